--- What can be done to a buffer at somebody's word, asked of the server, which answers with progress,
--- messages and one edit: the subcommands of :Infill. Knows nothing of how it is done.
local M = {}

local infill = require('infill')
local STRENGTHS = { 'gently', 'moderately', 'freely' }

local function say(sentence, level)
  vim.notify('infill: ' .. sentence, level or vim.log.levels.INFO)
end

--- The client for this buffer; says so where there is none.
local function client_here()
  local client = infill.client()
  if not client then
    say('the server does not run for this buffer; see :checkhealth infill', vim.log.levels.WARN)
  end
  return client
end

--- The same, where this buffer may be changed; says so where it may not.
local function writer_here()
  local client = client_here()
  if client and not vim.bo.modifiable then
    return say("this buffer must not be changed ('nomodifiable'): nothing is begun", vim.log.levels.WARN)
  end
  return client
end

local function ask(client, command, arguments, done)
  local params = { command = command, arguments = arguments }
  client:request('workspace/executeCommand', params, function(err, answer)
    if err then
      say(err.message, vim.log.levels.ERROR)
    elseif done then
      done(answer)
    end
  end, vim.api.nvim_get_current_buf()) -- not 0, for which Neovim would not tell of the last changes first
end

--- The selection, where the command was called on it; else the lines that it was called on; else
--- the cursor.
local function range_of(called, encoding)
  local given = vim.lsp.util.make_given_range_params
  if called.range == 0 then
    local here = vim.api.nvim_win_get_cursor(0)
    local at = vim.lsp.util.make_position_params(0, encoding).position
    return { start = at, ['end'] = at }, here
  end
  local from, to = vim.api.nvim_buf_get_mark(0, '<'), vim.api.nvim_buf_get_mark(0, '>')
  local selected = called.range == 2 and from[1] == called.line1 and to[1] == called.line2
  if selected and vim.fn.visualmode() == 'v' then
    return given(nil, nil, 0, encoding).range
  end
  local last = vim.api.nvim_buf_get_lines(0, called.line2 - 1, called.line2, true)[1]
  return given({ called.line1, 0 }, { called.line2, math.max(#last - 1, 0) }, 0, encoding).range
end

local function act(deed, called)
  local client = writer_here()
  if not client then
    return
  end
  local wish = {
    deed = deed,
    uri = vim.uri_from_bufnr(0),
    version = vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()],
    range = range_of(called, client.offset_encoding),
  }
  ask(client, 'infill.act', { wish })
end

local function deed(name)
  return {
    run = function(_, called)
      act(name, called)
    end,
  }
end

--- Stops the server and starts it again for the buffers that had it.
local function restart()
  vim.lsp.enable('infill', false)
  for _, client in ipairs(vim.lsp.get_clients({ name = 'infill' })) do
    client:stop()
  end
  local function start(patience)
    if patience > 0 and #vim.lsp.get_clients({ name = 'infill' }) > 0 then
      return vim.defer_fn(function()
        start(patience - 1)
      end, 50)
    end
    vim.lsp.enable('infill')
  end
  start(60)
end

---@type table<string, { words: string[]?, run: fun(word: string?, called: table) }>
M.commands = {
  fill = deed('fill-hole'),
  ['fill-all'] = {
    words = { 'file', 'function' },
    run = function(word, called)
      act('fill-' .. (word or 'file'), called)
    end,
  },
  repair = deed('repair'),
  rewrite = {
    words = STRENGTHS,
    run = function(word, called)
      if word then
        return act('rewrite-' .. word, called)
      elseif not writer_here() then
        return
      end
      vim.ui.select(STRENGTHS, { prompt = 'How much may change?' }, function(chosen)
        if chosen then
          act('rewrite-' .. chosen, called)
        end
      end)
    end,
  },
  docstring = deed('write-docstring'),
  parameter = deed('add-parameter'),
  suggest = {
    run = function()
      if not vim.lsp.inline_completion then
        say('Neovim 0.11 has no ghost text; fills are in the completion menu', vim.log.levels.WARN)
      elseif not vim.api.nvim_get_mode().mode:find('^n?i') then
        say('ghost text is shown in insert mode: map <Plug>(infill-suggest) there', vim.log.levels.WARN)
      elseif writer_here() then
        infill.suggest()
      end
    end,
  },
  cancel = {
    run = function()
      local client = client_here()
      if not client then
        return
      elseif not require('infill.choice').leave() and infill.status() == 'infill: ready' then
        say('nothing is under way')
      end
      ask(client, 'infill.cancel', { vim.uri_from_bufnr(0) })
    end,
  },
  why = {
    run = function()
      vim.notify(infill.why())
    end,
  },
  status = {
    run = function()
      local client = client_here()
      if not client then
        return
      end
      ask(client, 'infill.status', {}, function(status)
        say(infill.told_of(status))
      end)
    end,
  },
  log = {
    run = function()
      local path = vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
      vim.cmd.tabedit(vim.fn.fnameescape(path))
    end,
  },
  restart = { run = restart },
}

--- `:Infill NAME [WORD]`.
function M.run(called)
  local name, word, more = unpack(called.fargs)
  local command = M.commands[name]
  if not command then
    return say(('there is no `:Infill %s`; there are %s'):format(name, table.concat(M.names(), ', ')), vim.log.levels.ERROR)
  end
  if more or word and not vim.tbl_contains(command.words or {}, word) then
    local known = command.words and 'one of ' .. table.concat(command.words, ', ') or 'nothing'
    local given = table.concat(called.fargs, ' ', 2)
    return say(('`:Infill %s` takes %s, not %s'):format(name, known, given), vim.log.levels.ERROR)
  end
  command.run(word, called)
end

function M.names()
  local names = vim.tbl_keys(M.commands)
  table.sort(names)
  return names
end

--- What completes the word that is being typed.
function M.complete(lead, line)
  local words = vim.split(vim.trim(line:sub(1, #line - #lead)), '%s+')
  local name = words[2]
  local known = not name and M.names() or (M.commands[name] or {}).words or {}
  return vim.tbl_filter(function(it)
    return vim.startswith(it, lead) and #words <= 2
  end, known)
end

return M
