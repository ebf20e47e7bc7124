--- The command :InfillWhy, and ghost text for a cursor that has waited for the model.
if vim.g.loaded_infill then
  return
end
vim.g.loaded_infill = true

vim.api.nvim_create_user_command('InfillWhy', function()
  vim.notify(require('infill').why())
end, { desc = 'Why no ghost text is shown here' })

-- While the model is being loaded the server has nothing to offer, and Neovim asks again only when
-- the cursor moves. So once loading has ended it is made to ask.
vim.api.nvim_create_autocmd('LspProgress', {
  group = vim.api.nvim_create_augroup('infill', {}),
  pattern = 'end',
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    local inserting = vim.startswith(vim.api.nvim_get_mode().mode, 'i')
    if inserting and client and client.name == 'infill' then
      vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = 0, modeline = false })
    end
  end,
})
