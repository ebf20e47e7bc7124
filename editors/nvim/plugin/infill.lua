--- While the model is being loaded the server has nothing to offer, and Neovim asks again only when
--- the cursor moves. So once loading has ended, a cursor that waits in insert mode is served, too.
if vim.g.loaded_infill then
  return
end
vim.g.loaded_infill = true

vim.api.nvim_create_autocmd('LspProgress', {
  group = vim.api.nvim_create_augroup('infill', {}),
  pattern = 'end',
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    local waiting = vim.startswith(vim.api.nvim_get_mode().mode, 'i')
    if waiting and client and client.name == 'infill' and client.attached_buffers[vim.api.nvim_get_current_buf()] then
      vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = 0, modeline = false })
    end
  end,
})
