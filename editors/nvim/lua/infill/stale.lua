--- Takes ghost text off the screen as soon as something else is typed, or the cursor is on another
--- line. Neovim's client by itself leaves it there, cut by as much as was typed, until the server's
--- next answer. Changes no text, takes no key, knows no server.
local M = {}

local api = vim.api
local namespace = api.nvim_create_namespace('nvim.lsp.inline_completion')

local over = {} ---@type table<integer, boolean> buffers in which something else was typed
local since = {} ---@type table<integer, string> what was typed since Neovim's client last drew
local asked = {} ---@type table<integer, { id: integer, tick: integer }> the newest question

local function drawn(buffer)
  return api.nvim_buf_get_extmarks(buffer, namespace, 0, -1, { details = true })
end

--- This text is about to be inserted at the cursor.
function M.typed(text)
  local buffer = api.nvim_get_current_buf()
  since[buffer] = (since[buffer] or '') .. text
  for _, mark in ipairs(drawn(buffer)) do
    local chunks = mark[4].virt_text or {}
    local first = chunks[1] and chunks[1][1] or ''
    local is_seen = first ~= '' or mark[4].virt_lines
    if is_seen and not vim.startswith(first, since[buffer]) then
      over[buffer] = true
    end
  end
end

--- Looks whether what Neovim's client has drawn belongs to the cursor.
function M.look()
  local buffer, row = api.nvim_get_current_buf(), api.nvim_win_get_cursor(0)[1] - 1
  since[buffer] = nil
  for _, mark in ipairs(drawn(buffer)) do
    if over[buffer] or mark[2] ~= row then
      api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
    end
  end
end

--- A question for ghost text is on its way, or has its answer. An answer to a text that has changed
--- since says nothing, and what was drawn before it would be drawn again.
function M.heard(buffer, id, is_answer)
  local tick = api.nvim_buf_get_changedtick(buffer)
  if not is_answer then
    asked[buffer] = { id = id, tick = tick }
  elseif asked[buffer] and asked[buffer].id == id and asked[buffer].tick == tick then
    over[buffer] = nil
  end
end

function M.forget(buffer)
  over[buffer], since[buffer], asked[buffer] = nil, nil, nil
end

return M
