--- Draws drafts into the buffers that they are for, while the server writes; gone as soon as they
--- are final, given up with Escape, or the text changes. Changes no text and takes no key.
local M = {}

local api = vim.api
local drawing = require('infill.drawing')
local space = api.nvim_create_namespace('infill.drafts')

---@class infill.Canvas
---@field id string
---@field uri string
---@field client integer
---@field is_over boolean what else comes of it is not drawn
---@field marks table<string|integer, { text: integer, old: integer? }> by hole

local canvases = {} ---@type table<integer, infill.Canvas> by buffer

local function erase(buffer)
  if api.nvim_buf_is_valid(buffer) then
    api.nvim_buf_clear_namespace(buffer, space, 0, -1)
  end
end

--- Erases what is drawn; what is still sent for it is not drawn any more.
local function give_up(buffer, canvas)
  canvas.is_over = true
  erase(buffer)
end

local function forget(buffer)
  canvases[buffer] = nil
  erase(buffer)
  if not next(canvases) then
    vim.on_key(nil, space)
  end
end

--- Tells the server to stop writing into this buffer; false where it does not.
---@param buffer integer
---@return boolean
function M.cancel(buffer)
  local canvas = canvases[buffer]
  if not canvas or canvas.is_over then
    return false
  end
  give_up(buffer, canvas)
  local client = vim.lsp.get_client_by_id(canvas.client)
  if client then
    local params = { command = 'infill.cancel', arguments = { canvas.uri } }
    client:request('workspace/executeCommand', params, function() end, buffer)
  end
  return true
end

--- Sees Escape wherever it is mapped to; it does what it does all the same.
local function on_key(key, typed)
  local pressed = typed and typed ~= '' and typed or key
  if pressed == '\27' and canvases[api.nvim_get_current_buf()] and not api.nvim_get_mode().mode:find('^c') then
    local buffer = api.nvim_get_current_buf()
    vim.schedule(function()
      M.cancel(buffer)
    end)
  end
end

local function begin(buffer, told, client)
  drawing.name_groups()
  local canvas = { id = told.id, uri = told.uri, client = client, is_over = false, marks = {} }
  canvases[buffer] = canvas
  vim.on_key(on_key, space)
  api.nvim_buf_attach(buffer, false, {
    -- The server hears of the change, too, gives up and says so.
    on_lines = function()
      canvas.is_over = true
      vim.schedule(function()
        if canvases[buffer] == canvas then
          erase(buffer)
        end
      end)
      return true
    end,
    on_reload = function()
      canvas.is_over = true
    end,
  })
  return canvas
end

--- The text in pieces, each with its highlight group.
local function pieces_of(hole, encoding)
  local pieces, at = {}, 0
  local function add(until_, group)
    if until_ > at then
      table.insert(pieces, { hole.text:sub(at + 1, until_), group })
      at = until_
    end
  end
  for _, frozen in ipairs(hole.frozen) do
    local start, length = unpack(frozen)
    add(vim.str_byteindex(hole.text, encoding, start, false), 'InfillUnsettled')
    add(vim.str_byteindex(hole.text, encoding, start + length, false), 'InfillSettled')
  end
  add(#hole.text, 'InfillUnsettled')
  return pieces
end

--- The handler of `infill/canvas`.
function M.show(_, told, context)
  local buffer = vim.uri_to_bufnr(told.uri)
  local canvas = canvases[buffer]
  local is_known = canvas and canvas.id == told.id
  if told.final or told.cancelled then
    return is_known and forget(buffer)
  end
  local client = vim.lsp.get_client_by_id(context.client_id)
  if not client or not api.nvim_buf_is_loaded(buffer) or vim.lsp.util.buf_versions[buffer] ~= told.version then
    return
  end
  if not is_known then
    erase(buffer)
    canvas = begin(buffer, told, client.id)
  elseif canvas.is_over then
    return
  end
  local marks, encoding = canvas.marks, client.offset_encoding
  canvas.marks = {}
  for _, hole in ipairs(told.holes) do
    canvas.marks[hole.id] = marks[hole.id] or {}
    local lines = drawing.lines_of(pieces_of(hole, encoding), buffer)
    drawing.draw(buffer, space, canvas.marks[hole.id], hole.range, encoding, lines)
    marks[hole.id] = nil
  end
  for _, gone in pairs(marks) do
    for _, id in pairs(gone) do
      api.nvim_buf_del_extmark(buffer, space, id)
    end
  end
end

api.nvim_create_autocmd({ 'LspDetach', 'BufUnload' }, {
  group = api.nvim_create_augroup('infill.drafts', {}),
  callback = function(event)
    local canvas = canvases[event.buf]
    if canvas and (not event.data or event.data.client_id == canvas.client) then
      forget(event.buf)
    end
  end,
})

return M
