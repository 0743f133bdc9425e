-- The action `lua.certlatch`: HAProxy has no sub-requests, so this sends the auth request. Only a 200
-- allows; any other answer below 500 goes to the client. Without an answer nothing is set, and the
-- `deny` that follows the action in haproxy.cfg refuses the request.

-- CERTLATCH_COOKIE_NAME, if you have changed it.
local SESSION_COOKIE = '__Host-certlatch'
-- The listener `certlatch` of haproxy.cfg.
local CERTLATCH = 'unix@/run/haproxy/certlatch.sock'

-- Headers of one connection or of the body stay here; certlatch gets all the others, so that it can
-- refuse what is wrong with them.
local NOT_ASKED = {
  ['connection'] = true,
  ['content-length'] = true,
  ['expect'] = true,
  ['host'] = true,
  ['keep-alive'] = true,
  ['te'] = true,
  ['trailer'] = true,
  ['transfer-encoding'] = true,
  ['upgrade'] = true,
}
local NOT_ANSWERED = { ['connection'] = true, ['content-length'] = true, ['keep-alive'] = true }

-- For the application: always certlatch's values, never what a client sends.
local TOLD = { 'remote-user', 'x-certlatch-device', 'x-certlatch-via' }

-- HAProxy returns header values indexed from 0, and expects them indexed from 1.
local function copy(headers, left_out)
  local copied = {}
  for name, values in pairs(headers) do
    if not left_out[name] then
      copied[name] = {}
      for index = 0, #values do table.insert(copied[name], values[index]) end
    end
  end
  return copied
end

-- The application never sees the session: it is as good as the device.
local function remove_session(http, lines)
  http:req_del_header('cookie')
  local kept = {}
  for index = 0, lines and #lines or -1 do
    for pair in lines[index]:gmatch('[^;]+') do
      local trimmed = pair:match('^%s*(.-)%s*$')
      if trimmed ~= '' and trimmed:match('^[^=]*') ~= SESSION_COOKIE then
        table.insert(kept, trimmed)
      end
    end
  end
  if #kept > 0 then http:req_add_header('cookie', table.concat(kept, '; ')) end
end

local function let_in(txn, cookies, answer)
  for _, name in ipairs(TOLD) do
    local value = answer[name] and answer[name][0]
    txn.http:req_del_header(name)
    if value and value ~= '' then txn.http:req_add_header(name, value) end
  end
  remove_session(txn.http, cookies)
  if answer['set-cookie'] then txn:set_var('txn.certlatch_cookie', answer['set-cookie'][0]) end
  txn:set_var('txn.certlatch_allowed', true)
end

core.register_action('certlatch', { 'http-req' }, function(txn)
  local headers = txn.http:req_get_headers()
  local answer = core.httpclient():get({
    url = 'http://certlatch/verify',
    dst = CERTLATCH,
    headers = copy(headers, NOT_ASKED),
  })
  if answer.status == 200 then
    let_in(txn, headers['cookie'], answer.headers)
  elseif answer.status and answer.status >= 300 and answer.status < 500 then
    local reply = txn:reply({ status = answer.status, headers = copy(answer.headers, NOT_ANSWERED) })
    if txn.sf:method() ~= 'HEAD' then reply:set_body(answer.body) end
    txn:done(reply)
  end
end)
