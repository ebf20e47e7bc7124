--- :checkhealth infill. Looks at Neovim, at the server's program and at the running client; what
--- the program knows of itself (device, model, a fill tried) it is asked for: `infill-lsp doctor`.
local health = vim.health
local M = {}

function M.check()
  health.start('Neovim')
  if not M.check_neovim() then
    return
  end
  health.start('The server')
  local command = require('infill').command()
  if M.check_program(command) then
    M.check_client()
    M.check_doctor(command)
  end
end

--- Says `good` or `bad`, the latter with advice; returns which it was.
local function tell(is_good, good, bad, advice)
  if is_good then
    health.ok(good)
  else
    health.warn(bad, advice)
  end
  return is_good
end

--- False when nothing else can be looked at.
function M.check_neovim()
  local version = ('Neovim %s'):format(vim.version())
  if vim.fn.has('nvim-0.12') == 0 or not vim.lsp.inline_completion then
    health.error(version .. ' has no inline completion', 'Install Neovim 0.12 or newer.')
    return false
  end
  health.ok(version)
  tell(
    vim.lsp.inline_completion.is_enabled(),
    'inline completion is enabled',
    'inline completion is not enabled: no ghost text is shown',
    'Put `vim.lsp.inline_completion.enable()` into your init.lua.'
  )
  tell(
    vim.lsp.is_enabled('infill'),
    'the language server is enabled',
    'the language server is not enabled: it is not started',
    "Put `vim.lsp.enable('infill')` into your init.lua."
  )
  return true
end

--- Runs the program as the client would. Returns what it printed, and when it failed why.
local function ask(command, arguments, seconds)
  local argv = vim.list_extend(vim.list_slice(command), arguments)
  local ran, result = pcall(function()
    return vim.system(argv, { env = { PYTHONPATH = '' }, text = true }):wait(seconds * 1000)
  end)
  if not ran then
    return '', tostring(result)
  end
  local failure = result.code ~= 0 and ('it ended with status %d. %s'):format(result.code, vim.trim(result.stderr))
  return result.stdout or '', failure or nil
end

--- False when there is no program that works.
function M.check_program(command)
  local program = vim.fn.exepath(command[1])
  if program == '' then
    health.error('`infill-lsp` is neither on $PATH nor in the .venv of the clone', {
      'Run `make demo` in the clone of infill-lsp, which makes its .venv,',
      'or install the package and put `infill-lsp` on $PATH.',
    })
    return false
  end
  local version, failure = ask(command, { '--version' }, 20)
  if failure then
    health.error(('`%s --version`: %s'):format(program, failure), 'Install infill-lsp again.')
    return false
  end
  health.ok(('%s: `%s`'):format(vim.trim(version), program))
  return true
end

function M.check_client()
  local clients = vim.lsp.get_clients({ name = 'infill' })
  if #clients == 0 then
    health.info('not running now; it starts with the first source file (see `lsp/infill.lua` for which)')
  end
  for _, client in ipairs(clients) do
    tell(
      client:supports_method('textDocument/inlineCompletion'),
      ('running for %d buffer(s), in `%s`'):format(vim.tbl_count(client.attached_buffers), client.root_dir or 'no folder'),
      'running, but it does not offer inline completion',
      'Is another program called `infill-lsp` on $PATH? See :checkhealth vim.lsp.'
    )
  end
end
