--- Of several texts for one place one is chosen: the one that is looked at is drawn where it would
--- stand, until it is taken or all are left. The keys for it are the buffer's only as long as that
--- takes. Changes no text.
local M = {}

local api = vim.api
local drawing = require('infill.drawing')
local space = api.nvim_create_namespace('infill.choice')

---@class infill.Choice
---@field entries { title: string, edit: table }[]
---@field at integer the entry that is drawn
---@field encoding string
---@field client integer
---@field marks { text: integer?, old: integer? }
---@field keys string what is to be pressed, in a line
---@field give_back fun() gives the buffer its own keys again
---@field scroll_back? fun()
---@field answer fun(entry: table?)

local choices = {} ---@type table<integer, infill.Choice> by buffer

local KEYS = { -- unless the user has mapped others to these
  { 'next', '<C-n>' },
  { 'previous', '<C-p>' },
  { 'take', '<CR>' },
  { 'leave', '<Esc>' },
}

--- The key that the user has mapped to it in the normal mode, if any.
local function own_key(plug)
  for _, map in ipairs(api.nvim_get_keymap('n')) do
    if map.rhs == plug then
      return map.lhs
    end
  end
end

--- Maps the keys in the buffer; what is to be pressed for what, and what takes the keys back.
local function lend_keys(buffer)
  local words, lent = {}, {}
  for _, each in ipairs(KEYS) do
    local name, key = unpack(each)
    local plug = ('<Plug>(infill-%s)'):format(name)
    local own = own_key(plug)
    if not own then
      local before = api.nvim_buf_call(buffer, function()
        return vim.fn.maparg(key, 'n', false, true)
      end)
      table.insert(lent, { key = key, before = before.buffer == 1 and before or nil })
      vim.keymap.set('n', key, plug, { buffer = buffer, nowait = true, desc = ('Infill: %s'):format(name) })
    end
    table.insert(words, ('%s %s'):format(own or key, name))
  end
  return table.concat(words, '  '), function()
    for _, key in ipairs(lent) do
      pcall(vim.keymap.del, 'n', key.key, { buffer = buffer })
      if key.before then
        api.nvim_buf_call(buffer, function()
          vim.fn.mapset('n', false, key.before)
        end)
      end
    end
  end
end

local function draw(buffer, choice)
  local edit = choice.entries[choice.at].edit
  local pieces = { { edit.newText, 'InfillVariant' } }
  local lines = drawing.lines_of(pieces, buffer)
  if edit.range.start.line == edit.range['end'].line then
    table.insert(lines[1], 1, { ' ' }) -- apart from what it would replace
  end
  local keys = ('%d/%d  %s'):format(choice.at, #choice.entries, choice.keys)
  local below = { { { keys, 'InfillKeys' } } }
  return drawing.draw(buffer, space, choice.marks, edit.range, choice.encoding, lines, below)
end

--- Scrolls where not all of it is seen; it scrolls back with the choice.
local function show_all_of(buffer, choice, below)
  if api.nvim_get_current_buf() ~= buffer then
    return
  end
  local window, view = api.nvim_get_current_win(), vim.fn.winsaveview()
  local range, top = choice.entries[1].edit.range, view.topline
  local function height()
    return api.nvim_win_text_height(window, { start_row = top - 1, end_row = range['end'].line }).all + below
  end
  while top <= range.start.line and height() > api.nvim_win_get_height(window) do
    top = top + 1
  end
  if top == view.topline then
    return
  end
  vim.fn.winrestview({ topline = top })
  choice.scroll_back = function()
    local cursor = api.nvim_win_is_valid(window) and api.nvim_win_get_cursor(window)
    if cursor and api.nvim_win_get_buf(window) == buffer and cursor[1] == view.lnum then
      api.nvim_win_call(window, function()
        vim.fn.winrestview({ topline = view.topline })
      end)
    end
  end
end

--- Ends the choice in this buffer, with nothing chosen unless an entry is named; false where there
--- is none.
---@param entry table?
---@return boolean
local function finish(buffer, entry)
  local choice = choices[buffer]
  if not choice then
    return false
  end
  choices[buffer] = nil
  if api.nvim_buf_is_valid(buffer) then
    choice.give_back()
    api.nvim_buf_clear_namespace(buffer, space, 0, -1)
    if choice.scroll_back then
      choice.scroll_back()
    end
  end
  choice.answer(entry)
  return true
end

--- Draws another entry, the one before for a negative count.
---@param count integer
function M.move(count)
  local buffer = api.nvim_get_current_buf()
  local choice = choices[buffer]
  if choice then
    choice.at = (choice.at - 1 + count) % #choice.entries + 1
    draw(buffer, choice)
  end
end

function M.take()
  local buffer = api.nvim_get_current_buf()
  local choice = choices[buffer]
  return finish(buffer, choice and choice.entries[choice.at])
end

--- Leaves the text as it is.
---@param buffer integer?
function M.leave(buffer)
  return finish(buffer or api.nvim_get_current_buf())
end

local function begin(buffer, entries, client, answer)
  M.leave(buffer)
  drawing.name_groups()
  local choice = { entries = entries, at = 1, encoding = client.offset_encoding, client = client.id, marks = {}, answer = answer }
  choice.keys, choice.give_back = lend_keys(buffer)
  choices[buffer] = choice
  show_all_of(buffer, choice, draw(buffer, choice))
  local function on_change()
    vim.schedule(function()
      if choices[buffer] == choice then
        M.leave(buffer)
        vim.notify('infill: the text changed, so there is nothing to choose from any more', vim.log.levels.WARN)
      end
    end)
    return true
  end
  api.nvim_buf_attach(buffer, false, { on_lines = on_change, on_reload = on_change })
  if api.nvim_get_current_buf() ~= buffer then
    local name = vim.fs.basename(api.nvim_buf_get_name(buffer))
    vim.notify(('infill: %d texts to choose from in %s'):format(#entries, name))
  end
end

--- The handler of `window/showMessageRequest`: a question whose entries are no texts for the buffer
--- as it is goes to Neovim's own. Like that one it is called in a coroutine, where it may wait.
function M.ask(err, params, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  local edit = (params.actions or {})[1] and params.actions[1].edit
  local waiting, is_main = coroutine.running()
  if not client or not edit or not waiting or is_main then
    return vim.lsp.handlers['window/showMessageRequest'](err, params, context)
  end
  local buffer = vim.uri_to_bufnr(edit.textDocument.uri)
  if not api.nvim_buf_is_loaded(buffer) or vim.lsp.util.buf_versions[buffer] ~= edit.textDocument.version then
    return vim.NIL
  end
  begin(buffer, params.actions, client, function(entry)
    vim.schedule(function()
      coroutine.resume(waiting, entry or vim.NIL)
    end)
  end)
  return coroutine.yield()
end

api.nvim_create_autocmd({ 'LspDetach', 'BufUnload' }, {
  group = api.nvim_create_augroup('infill.choice', {}),
  callback = function(event)
    local choice = choices[event.buf]
    if choice and (not event.data or event.data.client_id == choice.client) then
      M.leave(event.buf)
    end
  end,
})

return M
