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
  local command = vim.lsp.config.infill.cmd
  if M.check_program(command) then
    M.check_client()
    health.start('What the server finds: infill-lsp doctor')
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
  if vim.fn.has('nvim-0.11') == 0 then
    health.error(version .. ' has no vim.lsp.enable()', 'Install Neovim 0.12 or newer.')
    return false
  end
  if vim.lsp.inline_completion then
    health.ok(version)
    tell(
      vim.lsp.inline_completion.is_enabled(),
      'inline completion is enabled',
      'inline completion is not enabled: no ghost text is shown',
      'Put `vim.lsp.inline_completion.enable()` into your init.lua.'
    )
  else
    health.warn(version .. ' has no inline completion: no ghost text is shown', {
      'Code actions and :Infill work, and fills are entries of the completion menu.',
      'Install Neovim 0.12 or newer for ghost text.',
    })
  end
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
    health.error(('`%s` is not on $PATH'):format(command[1]), {
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
    health.info('it is not running now; it starts with the first source file')
  end
  for _, client in ipairs(clients) do
    local way, name = 'textDocument/inlineCompletion', 'inline completion'
    if not vim.lsp.inline_completion then
      way, name = 'textDocument/completion', 'entries of the completion menu'
    end
    tell(
      client:supports_method(way),
      ('it runs for %d buffer(s) and offers %s'):format(vim.tbl_count(client.attached_buffers), name),
      'it runs, but does not offer ' .. name,
      'Is another program called `infill-lsp` on $PATH? See :checkhealth vim.lsp.'
    )
    local info = client.server_info
    if info and info.version then
      health.info(('the running server is version %s'):format(info.version))
    end
    M.check_status(client)
  end
end

function M.check_status(client)
  local status = require('infill').ask(client, 'infill.status')
  if not status then
    health.warn('it does not answer', 'See the log that :checkhealth vim.lsp names.')
  elseif not status.enabled then
    health.warn('filling is switched off', 'Set `enabled` to true, see :help infill-settings.')
  elseif status.ready and type(status.failure) == 'string' then
    health.warn(status.failure, 'Another model can be named, see :help infill-settings.')
  elseif status.ready then
    health.ok(('its model %s is loaded'):format(vim.inspect(status.model)))
  elseif status.loading then
    health.info(('its model %s is being loaded'):format(vim.inspect(status.model)))
  else
    health.error(tostring(status.failure), 'Another model can be named, see :help infill-settings.')
  end
  if not status then
    return
  end
  if type(status.choice) == 'string' then
    health.info(status.choice) -- what "auto" is, and why
  end
  if type(status.server) == 'table' then
    local server = status.server
    health.info(('the model is in the server with process id %s (%s), %s'):format(server.pid, server.state, server.address))
  else
    health.info('the model is in this window, not in a server that windows share')
  end
end

--- The model that the client's configuration names, as the command line takes it.
local function model_wanted()
  local options = (vim.lsp.config.infill or {}).init_options or {}
  options = options.infill or options
  local arguments = options.model and { '--model', options.model } or {}
  if not vim.tbl_isempty(options.model_keys or {}) then
    vim.list_extend(arguments, { '--model-keys', vim.json.encode(options.model_keys) })
  end
  return arguments
end

function M.check_doctor(command)
  local arguments = vim.list_extend({ 'doctor', '--json' }, model_wanted())
  local printed, failure = ask(command, arguments, 120) -- it loads the model and tries a fill
  local decoded, report = pcall(vim.json.decode, printed)
  if not decoded then
    health.error('`infill-lsp doctor` gave no report: ' .. (failure or 'it is not JSON'))
    return
  end
  for _, check in ipairs(report.checks) do
    local line, advice = ('%s: %s'):format(check.name, check.found), check.advice ~= '' and check.advice or nil
    if check.ok == true then
      health.ok(line)
    elseif check.ok == false then
      health.error(line, advice)
    else
      health.info(line) -- good to know, and cannot be wrong
    end
  end
end

return M
