--- The command :Infill, <Plug> mappings, and ghost text for a cursor that has waited for the model.
--- No key is taken: whoever wants one maps it to a <Plug>.
if vim.g.loaded_infill then
  return
end
vim.g.loaded_infill = true

vim.api.nvim_create_user_command('Infill', function(called)
  require('infill.deeds').run(called)
end, {
  desc = 'Fill, repair, rewrite; ask the server how it is',
  nargs = '+',
  range = true,
  complete = function(...)
    return require('infill.deeds').complete(...)
  end,
})

vim.api.nvim_create_user_command('InfillWhy', function()
  vim.notify(require('infill').why())
end, { desc = 'Why no ghost text is shown here' })

local function map(mode, name, desc, run)
  vim.keymap.set(mode, ('<Plug>(infill-%s)'):format(name), run, { desc = desc })
end

for name, part in pairs({ ['accept'] = false, ['accept-word'] = 'word', ['accept-line'] = 'line' }) do
  map('i', name, 'Take the ghost text, or the next piece of it', function()
    require('infill').accept(part or nil)
  end)
end
for name, count in pairs({ next = 1, previous = -1 }) do
  map('i', name, 'Show another ghost text', function()
    require('infill').select(count)
  end)
end
map('i', 'suggest', 'Ask for ghost text now', function()
  require('infill').suggest()
end)
for name, command in pairs({ fill = 'fill', ['fill-all'] = 'fill-all', ['repair'] = 'repair', cancel = 'cancel' }) do
  map('n', name, ':Infill ' .. command, ('<Cmd>Infill %s<CR>'):format(command))
end
for name, count in pairs({ next = 1, previous = -1 }) do
  map('n', name, 'Look at another of the texts to choose from', function()
    require('infill.choice').move(count * vim.v.count1)
  end)
end
for _, name in ipairs({ 'take', 'leave' }) do
  map('n', name, ('Of the texts to choose from %s'):format(name == 'take' and 'take this' or 'take none'), function()
    require('infill.choice')[name]()
  end)
end
map('x', 'rewrite', ':Infill rewrite', ':Infill rewrite<CR>')

local group = vim.api.nvim_create_augroup('infill', {})

local function ours(id)
  local client = vim.lsp.get_client_by_id(id)
  return client and client.name == 'infill' and client or nil
end

-- While the model is being loaded the server has nothing to offer, and Neovim asks again only when
-- the cursor moves. So once loading has ended it is made to ask.
vim.api.nvim_create_autocmd('LspProgress', {
  group = group,
  callback = function(event)
    local client = ours(event.data.client_id)
    if not client then
      return
    end
    require('infill.state').progress(client, event.data.params)
    local inserting = vim.startswith(vim.api.nvim_get_mode().mode, 'i')
    if inserting and event.data.params.value.kind == 'end' then
      vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = 0, modeline = false })
    end
    vim.cmd.redrawstatus()
  end,
})

-- Neovim's own colours leave ghost text as bright as code in a terminal without 24-bit colours.
local function tell_ghost_text_from_code()
  local ghost = vim.api.nvim_get_hl(0, { name = 'ComplHint', link = false })
  if not ghost.ctermfg and not ghost.cterm then
    vim.api.nvim_set_hl(0, 'ComplHint', vim.tbl_extend('force', ghost, { ctermfg = 8 }))
  end
end
tell_ghost_text_from_code()
vim.api.nvim_create_autocmd('ColorScheme', { group = group, callback = tell_ghost_text_from_code })

-- Ghost text of which a part was taken goes when the server's answer to the new text is there.
vim.api.nvim_create_autocmd('LspRequest', {
  group = group,
  callback = function(event)
    local request = event.data.request
    if request.method == 'textDocument/inlineCompletion' and ours(event.data.client_id) then
      require('infill.stale').heard(request.bufnr, event.data.request_id, request.type == 'complete')
      if request.type == 'complete' then
        require('infill.rest').forget()
      end
      vim.schedule(vim.cmd.redrawstatus)
    end
  end,
})
vim.api.nvim_create_autocmd({ 'CursorMovedI', 'TextChangedI' }, {
  group = group,
  callback = function()
    require('infill.rest').follow()
  end,
})
-- Neovim's client draws at CursorMovedI, which comes before TextChangedI and the screen; where the
-- text has not changed it may draw after us.
vim.api.nvim_create_autocmd('InsertCharPre', {
  group = group,
  callback = function()
    require('infill.stale').typed(vim.v.char)
  end,
})
vim.api.nvim_create_autocmd({ 'TextChangedI', 'CursorMovedI' }, {
  group = group,
  callback = function(event)
    local stale = require('infill.stale')
    if event.event == 'TextChangedI' then
      stale.look()
    else
      vim.schedule(stale.look)
    end
  end,
})
vim.api.nvim_create_autocmd('InsertLeave', {
  group = group,
  callback = function(event)
    require('infill.rest').forget()
    require('infill.stale').forget(event.buf)
  end,
})
