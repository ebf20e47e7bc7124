--- What the server is doing, from what it says by itself, so that a statusline may ask at every
--- redraw. Knows nothing of windows.
local M = {}

local bars = {} ---@type table<integer, table<string|integer, { title: string, percentage: integer }>>
local failures = {} ---@type table<integer, string>

local LOADING = 'loading the model'
local READY = 'the model is ready' -- what loading it ends with

--- Asks what there is instead, where a model could not be loaded: often the bundled one.
local function after_failure(client, message)
  local asked = { command = 'infill.status', arguments = {} }
  client:request('workspace/executeCommand', asked, function(_, status)
    local ready = type(status) == 'table' and status.ready
    failures[client.id] = not ready and message or nil
    vim.cmd.redrawstatus()
  end)
end

--- Hears of an LspProgress event of one of our clients.
---@param client vim.lsp.Client
---@param params lsp.ProgressParams
function M.progress(client, params)
  local client_id = client.id
  local value, token = params.value, params.token or ''
  local ours = bars[client_id] or {}
  bars[client_id] = ours
  if value.kind == 'end' then
    if ours[token] and ours[token].title == LOADING then
      failures[client_id] = nil
      if value.message ~= READY then
        after_failure(client, value.message)
      end
    end
    ours[token] = nil
    return
  end
  local title = value.title and value.title:gsub('^infill%-lsp: ', '')
  ours[token] = {
    title = title or (ours[token] or {}).title or '',
    percentage = value.percentage or (ours[token] or {}).percentage or 0,
  }
end

local function is_filling(client)
  for _, request in pairs(client.requests) do
    if request.type == 'pending' and request.method == 'textDocument/inlineCompletion' then
      return true
    end
  end
  return false
end

--- What the client's server does, in a few words.
---@param client vim.lsp.Client
---@return string
function M.of(client)
  if not client.initialized then
    return 'starting'
  end
  local _, bar = next(bars[client.id] or {})
  if bar then
    return bar.title == LOADING and 'loading' or ('%s %d%%'):format(bar.title, bar.percentage)
  end
  return failures[client.id] and 'no model' or is_filling(client) and 'filling' or 'ready'
end

return M
