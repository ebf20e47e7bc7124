--- :checkhealth infill. Looks at Neovim, at the server's program and at the running client; what
--- the program says of itself (device, model, a fill tried) comes from `infill-lsp doctor`.
local health = vim.health
local M = {}

local function check_neovim()
  local version = ('Neovim %s'):format(vim.version())
  if vim.fn.has('nvim-0.12') == 0 or not vim.lsp.inline_completion then
    health.error(version .. ' has no inline completion', 'Install Neovim 0.12 or newer.')
    return false
  end
  health.ok(version)
  return true
end

local function check_settings()
  if vim.lsp.inline_completion.is_enabled() then
    health.ok('inline completion is enabled')
  else
    health.warn('inline completion is not enabled, so no ghost text is shown',
      'Put `vim.lsp.inline_completion.enable()` into your init.lua.')
  end
  if vim.lsp.is_enabled('infill') then
    health.ok('the language server infill is enabled')
  else
    health.warn('the language server infill is not enabled', "Put `vim.lsp.enable('infill')` into your init.lua.")
  end
end

--- Runs the server's program with these arguments. Returns what it printed, or nil and why not.
local function ask(command, arguments, timeout)
  local argv = vim.list_extend(vim.deepcopy(command), arguments)
  local started, process = pcall(vim.system, argv, { env = { PYTHONPATH = '' }, text = true })
  if not started then
    return nil, process
  end
  local result = process:wait(timeout)
  if result.code == 124 and result.signal ~= 0 then
    return nil, ('it did not end within %d s'):format(timeout / 1000)
  end
  return result.stdout, result.code ~= 0 and ('it ended with status %d: %s'):format(result.code, vim.trim(result.stderr)) or nil
end

return M
