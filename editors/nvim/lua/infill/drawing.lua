--- Draws a text where it would stand, with what it would replace struck through. Changes no text and
--- does not know whose text it is.
local M = {}

local api = vim.api

local GROUPS = {
  InfillSettled = 'Comment',
  InfillUnsettled = 'NonText',
  InfillReplaced = 'DiagnosticDeprecated',
  InfillVariant = 'DiffAdd',
  InfillKeys = 'MoreMsg',
}

function M.name_groups()
  for name, link in pairs(GROUPS) do
    api.nvim_set_hl(0, name, { link = link, default = true })
  end
end

---@alias infill.Piece { [1]: string, [2]: string } a text and its highlight group

--- The pieces as lines of chunks, as virtual text takes them.
---@param pieces infill.Piece[]
---@return infill.Piece[][]
function M.lines_of(pieces, buffer)
  local tab = (' '):rep(vim.bo[buffer].tabstop)
  local lines = { {} }
  for _, piece in ipairs(pieces) do
    for n, text in ipairs(vim.split(piece[1], '\n', { plain = true })) do
      if n > 1 then
        table.insert(lines, {})
      end
      if text ~= '' then
        table.insert(lines[#lines], { (text:gsub('\t', tab)), piece[2] })
      end
    end
  end
  return lines
end

--- Row, column in bytes, and the line there; a place behind the last line is that line's end.
local function place_of(buffer, position, encoding)
  local row = math.min(position.line, api.nvim_buf_line_count(buffer) - 1)
  local line = api.nvim_buf_get_lines(buffer, row, row + 1, true)[1]
  local column = row < position.line and #line or vim.str_byteindex(line, encoding, position.character, false)
  return row, column, line
end

--- Whether lines that are put in at this place push down what stands there, and nothing else.
local function are_whole(lines, before)
  local last = vim.iter(lines[#lines]):map(function(chunk)
    return chunk[1]
  end)
  return #lines > 1 and not (before .. last:join('')):find('%S')
end

--- What stands at `range` is struck through, and the lines follow it: below it where it is several,
--- since text within a line can be drawn on that line alone. What pushes a line down is drawn above
--- it, but for the first, over which nothing is seen. `below` are drawn under all of it.
---@param marks { text: integer?, old: integer? } those of before are changed, not made anew
---@param range lsp.Range
---@param lines infill.Piece[][]
---@param below infill.Piece[][]?
---@return integer # how many lines are drawn below
function M.draw(buffer, space, marks, range, encoding, lines, below)
  local row, column, line = place_of(buffer, range.start, encoding)
  local last_row, last_column = place_of(buffer, range['end'], encoding)
  local before = line:sub(1, column):gsub('\t', (' '):rep(vim.bo[buffer].tabstop))
  local is_new = last_row == row and last_column == column
  local above = is_new and row > 0 and are_whole(lines, before)
  if above or last_row > row then
    table.insert(lines[1], 1, { (before:gsub('%S', ' ')), 'InfillUnsettled' })
    table.insert(lines, 1, {})
  end
  if above then
    table.remove(lines)
  end
  vim.list_extend(lines, below or {})
  if not is_new then
    marks.old = api.nvim_buf_set_extmark(buffer, space, row, column, {
      id = marks.old,
      end_row = last_row,
      end_col = last_column,
      hl_group = 'InfillReplaced',
    })
  end
  marks.text = api.nvim_buf_set_extmark(buffer, space, last_row, last_column, {
    id = marks.text,
    virt_text = #lines[1] > 0 and lines[1] or nil,
    virt_text_pos = 'inline',
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
    virt_lines_above = above,
    hl_mode = 'combine',
    right_gravity = false,
  })
  return #lines - 1
end

return M
