--- What is left of ghost text of which a word or a line was taken: shown until Neovim's client has
--- the server's next answer, so that the next word can be taken at once. Knows no server.
local M = {}

local namespace = vim.api.nvim_create_namespace('infill.rest')
local left ---@type { buf: integer, row: integer, column: integer, text: string }?

--- What of `text` is still to be inserted at (row, column), when it was made for a cursor at
--- (from_row, from_column) of the same buffer; nil when it does not belong here any more.
---@return string?
function M.of(text, line, from_row, from_column, row, column)
  if row ~= from_row or column < from_column then
    return nil
  end
  local typed = line:sub(from_column + 1, column)
  return vim.startswith(text, typed) and text:sub(#typed + 1) or nil
end

local function cursor()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return row - 1, column
end

local function draw(row, column, text)
  local lines = vim.split(text, '\n', { plain = true })
  vim.api.nvim_buf_set_extmark(0, namespace, row, column, {
    virt_text = { { lines[1], 'ComplHint' } },
    virt_text_pos = 'inline',
    virt_lines = vim.tbl_map(function(line)
      return { { line, 'ComplHint' } }
    end, vim.list_slice(lines, 2)),
    hl_mode = 'combine',
  })
end

function M.forget()
  if left and vim.api.nvim_buf_is_valid(left.buf) then
    vim.api.nvim_buf_clear_namespace(left.buf, namespace, 0, -1)
  end
  left = nil
end

--- The text that is left for the cursor, or nil.
---@return string?
function M.due()
  if not left or left.buf ~= vim.api.nvim_get_current_buf() then
    return nil
  end
  local row, column = cursor()
  local text = M.of(left.text, vim.api.nvim_get_current_line(), left.row, left.column, row, column)
  return text ~= '' and text or nil
end

--- Keeps `text` for the place where the cursor now is.
function M.keep(text)
  M.forget()
  if text == '' then
    return
  end
  local row, column = cursor()
  left = { buf = vim.api.nvim_get_current_buf(), row = row, column = column, text = text }
  draw(row, column, text)
end

--- Follows the cursor: what was typed along goes, and all of it where it does not belong.
function M.follow()
  if not left then
    return
  end
  local text = M.due()
  M.forget()
  if text then
    M.keep(text)
  end
end

return M
