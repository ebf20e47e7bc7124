--- The server's configuration for Neovim 0.12's own client, started by vim.lsp.enable('infill').
---@type vim.lsp.Config
return {
  cmd = require('infill').command(),
  -- Modules of the project that is open must never be imported in place of the server's own.
  cmd_env = { PYTHONPATH = '' },
  filetypes = {
    'bash',
    'c',
    'cpp',
    'css',
    'go',
    'html',
    'java',
    'javascript',
    'javascriptreact',
    'json',
    'jsonc',
    'lua',
    'python',
    'rust',
    'sh',
    'typescript',
    'typescriptreact',
  },
  -- The repository comes first: its .gitignore says what must not be read. A file without any
  -- of these is served all the same.
  root_markers = { '.git', '.hg', '.jj', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
  -- Drafts are drawn while they are written, see :help infill-drafts.
  init_options = { canvas = true },
  handlers = {
    ['infill/canvas'] = function(...)
      return require('infill.drafts').show(...)
    end,
    -- Of several texts one is chosen where it would stand, see :help infill-choosing.
    ['window/showMessageRequest'] = function(...)
      return require('infill.choice').ask(...)
    end,
  },
  get_language_id = function(_, filetype)
    return (filetype == 'sh' or filetype == 'bash') and 'shellscript' or filetype
  end,
}
