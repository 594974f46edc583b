-- SPDX-License-Identifier: EUPL-1.2
-- Asks whether a message passes, and counts it where it does.
-- ARGV: 6 mailbox, 7 version, 8 and 9 what this node has of the day (-1: not
-- told), 10 messages to count (0: only ask), 11 recipients, 12 member of the
-- minute, 13 to 16 the bounds, 17 a member of the minute to be removed.
-- Returns a status (1 passes, 0 does not, -1 another epoch, -2 an old version),
-- present nodes, nodes, seq, what counts, and when the minute opens.
if not current() or redis.call('SISMEMBER', KEYS[2], store) == 0 then return {-1} end
local box, version, ownm, ownr = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local messages, n = tonumber(ARGV[10]), tonumber(ARGV[11])
local here, all = present()
if ownm >= 0 then
  local last = day('q:' .. store)
  if version <= last then return {-2, here, all, seq(), last} end
  redis.call('HSET', KEYS[6], 'q:' .. store, ARGV[7])
  assign(box, ownm, ownr)
end
if ARGV[17] ~= '' and redis.call('ZREM', KEYS[7], ARGV[17]) == 1 then
  redis.call('DECRBY', KEYS[8], recipients(ARGV[17]))
end
local border = string.format('%.0f', now - 60000000)
local gone = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[7], '-inf', border)) do gone = gone + recipients(member) end
if redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', border) > 0 then redis.call('DECRBY', KEYS[8], gone) end
-- A clock was put back: what lies in the future, by more than clocks differ,
-- counts from now.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[7], string.format('(%.0f', now + 2000000), '+inf')) do
  redis.call('ZADD', KEYS[7], ARGV[3], member)
end
local minm, minr = redis.call('ZCARD', KEYS[7]), 0
if minm > 0 then minr = tonumber(redis.call('GET', KEYS[8]) or '0') else redis.call('DEL', KEYS[8]) end
local daym, dayr = day('m'), day('r')

local bound = {}
for i = 1, 4 do
  bound[i] = tonumber(ARGV[12 + i])
  if here < all then bound[i] = math.floor(bound[i] * here / all) end
end
local pass = minm + 1 <= bound[1] and daym + 1 <= bound[2] and minr + n <= bound[3] and dayr + n <= bound[4]
if pass and messages > 0 then
  redis.call('HINCRBY', KEYS[6], 'm', messages)
  redis.call('HINCRBY', KEYS[6], 'r', n)
  redis.call('HINCRBY', KEYS[6], 'm:' .. store, messages)
  redis.call('HINCRBY', KEYS[6], 'r:' .. store, n)
  redis.call('ZADD', KEYS[7], ARGV[3], ARGV[12])
  redis.call('INCRBY', KEYS[8], n)
  keep()
  touch(box)
end

local openm, openr = '0', '0'
local needm, needr = minm + 1 - bound[1], minr + n - bound[3]
if needm > 0 and minm > 0 then openm = redis.call('ZRANGE', KEYS[7], math.min(needm, minm) - 1, math.min(needm, minm) - 1, 'WITHSCORES')[2] end
local from = 0
while needr > 0 and from < minm do
  local some = redis.call('ZRANGE', KEYS[7], from, from + 99, 'WITHSCORES')
  for i = 1, #some, 2 do
    if needr > 0 then
      needr, openr = needr - recipients(some[i]), some[i + 1]
    end
  end
  from = from + 100
end
return {pass and 1 or 0, here, all, seq(), minm, minr, daym, dayr, openm, openr}
