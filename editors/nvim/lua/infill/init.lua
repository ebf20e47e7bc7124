--- Accepts ghost text, says why there is none, and knows where the server's program lies. What is
--- done at a word is in `infill.deeds`; all the rest is done by Neovim's own client.
local M = {}

local rest = require('infill.rest')

--- The next piece of a text, blanks and line ends before it included.
local PIECES = {
  word = { '^%s*[%w_\128-\255]+', '^%s*[^%w%s_\128-\255]+', '^%s+' },
  line = { '^\n?[^\n]*' },
}

local function piece_of(text, part)
  for _, pattern in ipairs(PIECES[part] or {}) do
    local piece = text:match(pattern)
    if piece and piece ~= '' then
      return piece
    end
  end
  return text
end

local left = '' -- of the item that Neovim inserts now
local wanted = {} ---@type (string|false)[] what was pressed for meanwhile

--- Takes the item that Neovim is about to insert and returns the one it should insert, if any.
---@param item vim.lsp.inline_completion.Item
---@param part 'word'|'line'|nil
---@return vim.lsp.inline_completion.Item?
local function still_due(item, part)
  if type(item.insert_text) ~= 'string' or not item.range or not item.range:is_empty() then
    return not part and item or nil -- another server's: it may replace text, or be a snippet
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local line, from_row, from_column = vim.api.nvim_get_current_line(), item.range:to_extmark()
  local text = rest.of(item.insert_text, line, from_row, from_column, row - 1, column)
  if not text then
    return nil
  end
  item.insert_text = piece_of(text, part)
  item.range = vim.range.extmark(0, row - 1, column, row - 1, column)
  left = text:sub(#item.insert_text + 1)
  if left ~= '' then
    item.command = nil -- it tells that all of it was taken
  end
  return item
end

--- Inserts a piece of what is left of ghost text that was taken in part.
local function take(text, part)
  local piece = piece_of(text, part)
  local lines = vim.split(piece, '\n', { plain = true })
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  rest.forget()
  vim.api.nvim_buf_set_text(0, row - 1, column, row - 1, column, lines)
  local last = #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines - 1, #lines == 1 and column + last or last })
  rest.keep(text:sub(#piece + 1))
end

--- Takes what else was pressed for, from what Neovim has left.
local function take_wanted()
  if left ~= '' then
    rest.keep(left)
    left = ''
  end
  local parts = wanted
  wanted = {}
  for _, part in ipairs(parts) do
    local text = rest.due()
    if text then
      take(text, part or nil)
    end
  end
end

--- Puts the ghost text that is shown into the buffer, or its next word or line; false when none is
--- shown.
---
--- Neovim 0.12 by itself inserts the whole answer where the cursor was when it asked. What was
--- typed along since then would stand in the buffer twice, and an answer to a place that the
--- cursor has left would land there. So the answer is looked at once more before it is inserted.
---@param part 'word'|'line'|nil
---@return boolean
function M.accept(part)
  if #wanted > 0 then -- keys come faster than Neovim inserts
    table.insert(wanted, part or false)
    return true
  end
  local inserts = rest.due() ~= nil
  if not inserts and vim.lsp.inline_completion then -- which Neovim 0.11 lacks
    inserts = vim.lsp.inline_completion.get({
      on_accept = function(item)
        table.remove(wanted, 1)
        return still_due(item, part)
      end,
    })
  end
  if inserts then
    table.insert(wanted, part or false)
    vim.schedule(take_wanted) -- a mapping with <expr> must not change the text itself
  end
  return inserts
end

--- Shows another of the texts that the server offers, the one before for a negative count.
---@param count integer
function M.select(count)
  if vim.lsp.inline_completion then
    rest.forget()
    vim.lsp.inline_completion.select({ count = count })
  end
end

--- The client for the current buffer, if there is one.
---@return vim.lsp.Client?
function M.client()
  return vim.lsp.get_clients({ name = 'infill', bufnr = 0 })[1]
end

--- Asks for a fill here and now, also for one that is not sure, and for several where there are.
---
--- Neovim's client calls each of its requests automatic, so the next one is told to be none.
function M.suggest()
  local client = M.client()
  if not client or not vim.lsp.inline_completion then
    return
  end
  local request = client.request
  client.request = function(self, method, params, ...)
    if method == 'textDocument/inlineCompletion' then
      client.request = request
      params.context.triggerKind = vim.lsp.protocol.InlineCompletionTriggerKind.Invoked
    end
    return request(self, method, params, ...)
  end
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = 0, modeline = false })
end

--- What the server does, in a few words, for a statusline; empty where it does not run. Cheap.
---@return string
function M.status()
  local client = M.client()
  return client and 'infill: ' .. require('infill.state').of(client) or ''
end

--- The answer to `infill.status` in a sentence.
---@return string
function M.told_of(status)
  local model = type(status.choice) == 'string' and status.choice or ('the model is %s'):format(status.model)
  local server = type(status.server) == 'table' and status.server
  local where = server and ('; in the server with process id %s (%s)'):format(server.pid, server.state) or ''
  local failure = type(status.failure) == 'string' and status.failure or 'no model is loaded'
  if not status.enabled then
    return 'switched off in the settings'
  elseif status.loading then
    return model .. ', and is being loaded' .. where
  end
  return (status.ready and model or failure) .. where
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
  local client = M.client()
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
