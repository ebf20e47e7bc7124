--- Accepts ghost text, says why there is none, and knows where the server's program lies. All the
--- rest is done by Neovim's own client.
local M = {}

--- What of `text` is still to be inserted at (row, column), when it was made for a cursor at
--- (from_row, from_column) of the same buffer; nil when it does not belong here any more.
local function rest_of(text, line, from_row, from_column, row, column)
  if row ~= from_row or column < from_column then
    return nil
  end
  local typed = line:sub(from_column + 1, column)
  return vim.startswith(text, typed) and text:sub(#typed + 1) or nil
end

--- Takes the item that Neovim is about to insert and returns the one it should insert, if any.
---@param item vim.lsp.inline_completion.Item
---@return vim.lsp.inline_completion.Item?
local function still_due(item)
  if type(item.insert_text) ~= 'string' or not item.range or not item.range:is_empty() then
    return item -- another server's: it may replace text, or be a snippet
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local line, from_row, from_column = vim.api.nvim_get_current_line(), item.range:to_extmark()
  item.insert_text = rest_of(item.insert_text, line, from_row, from_column, row - 1, column)
  item.range = vim.range.extmark(0, row - 1, column, row - 1, column)
  return item.insert_text and item or nil
end

--- Puts the ghost text that is shown into the buffer; false when none is shown.
---
--- Neovim 0.12 by itself inserts the whole answer where the cursor was when it asked. What was
--- typed along since then would stand in the buffer twice, and an answer to a place that the
--- cursor has left would land there. So the answer is looked at once more before it is inserted.
---@return boolean
function M.accept()
  return vim.lsp.inline_completion.get({ on_accept = still_due })
end

--- What the server answers to one of its own commands, or nil when it does not.
---@param client vim.lsp.Client
---@param command string
---@return table?
function M.ask(client, command, ...)
  local params = { command = command, arguments = { ... } }
  local answer = client:request_sync('workspace/executeCommand', params, 2000)
  return answer and answer.result or nil
end

--- Why no ghost text is shown in this buffer, in one sentence.
---@return string
function M.why()
  local client = vim.lsp.get_clients({ name = 'infill', bufnr = 0 })[1]
  if not client then
    return 'infill-lsp does not run for this buffer; see :checkhealth infill'
  end
  local answer = M.ask(client, 'infill.why', vim.uri_from_bufnr(0))
  return answer and answer.explanation or 'infill-lsp does not answer; see :checkhealth infill'
end

--- How to start the server: `infill-lsp` from PATH, else from the `.venv` of the repository that
--- this file lies in, which `make demo` makes.
---@return string[]
function M.command()
  local this_file = vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2))
  local repository = vim.iter(vim.fs.parents(this_file)):nth(5)
  local program = vim.fs.joinpath(repository, '.venv', 'bin', 'infill-lsp')
  local on_path = vim.fn.executable('infill-lsp') == 1
  return { not on_path and vim.fn.executable(program) == 1 and program or 'infill-lsp' }
end

return M
