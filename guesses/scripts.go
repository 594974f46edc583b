// SPDX-License-Identifier: EUPL-1.2

package guesses

// The decisions in Redis, each one script and so one step. Keys: the clients and
// the slots of accounts, sorted by the instant (ms) at which their whole burst is
// back; the names of existing accounts by slot; the networks of the account,
// sorted by the instant of their last login. Arguments: the client, the slot (""
// for none), the present instant by the asking node's clock.
//
// The figures are those of guesses.go.
const prologue = `
local client, slot, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = 0
if slot ~= '' then
  local at = tonumber(redis.call('ZSCORE', KEYS[4], client) or '-1')
  if at > now - 2592000000 then known = 1 end
end
local function full(key, member)
  return math.max(tonumber(redis.call('ZSCORE', key, member) or '0'), now)
end
local function count(key, member, burst, refill)
  redis.call('ZADD', key, math.min(full(key, member) + refill, now + burst * refill), member)
  redis.call('PEXPIRE', key, burst * refill)
end
`

// checkScript returns whether the client is refused, whether the account is,
// whether the client is known to it, how many wrong passwords are held against it,
// and its name.
const checkScript = prologue + `
local c = full(KEYS[1], client) > now + 19 * 6000
local a, held, name = false, 0, ''
if slot ~= '' then
  local f = full(KEYS[2], slot)
  held = math.ceil((f - now) / 30000)
  a = known == 0 and f > now + 19 * 30000
  name = redis.call('HGET', KEYS[3], slot) or ''
end
return {c and '1' or '0', a and '1' or '0', tostring(known), tostring(held), name}
`

// failedScript counts a wrong password; the fourth argument is the account's name
// where there is one. It returns whether the client is known to the account. What
// has passed is removed, and of too many clients those that are free first.
const failedScript = prologue + `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
count(KEYS[1], client, 20, 6000)
local over = redis.call('ZCARD', KEYS[1]) - 262144
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1) end
if slot == '' or known == 1 then return {tostring(known)} end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], old)
  redis.call('HDEL', KEYS[3], old)
end
count(KEYS[2], slot, 20, 30000)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], slot, ARGV[4]) end
redis.call('PEXPIRE', KEYS[3], 20 * 30000)
return {'0'}
`

// provedScript makes the client a known one. It returns whether it was, and how
// many wrong passwords are held against the account.
const provedScript = prologue + `
redis.call('ZADD', KEYS[4], now, client)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 2592000000)
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -17)
redis.call('PEXPIRE', KEYS[4], 2592000000)
return {tostring(known), tostring(math.ceil((full(KEYS[2], slot) - now) / 30000))}
`

// clearScript forgets: the first argument says what of.
const clearScript = `
if ARGV[1] == 'client' then
  redis.call('ZREM', KEYS[1], ARGV[2])
elseif ARGV[1] == 'account' then
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('HDEL', KEYS[3], ARGV[3])
else
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
end
return 1
`
