-- SPDX-License-Identifier: EUPL-1.2
-- Returns what changed after a number: status, present nodes, nodes, seq, the
-- number it goes up to, and for each mailbox its name, the day's messages and
-- recipients of the other nodes. ARGV: 6 the number, 7 how many at most, 8 the
-- beginning of the mailboxes' day keys, 9 "1" to note that this node is present.
-- All keys are in one slot of a cluster, those found here, too.
if not current() then return {-1} end
local here, all = 0, nodes
if ARGV[9] == '1' then
  if redis.call('SISMEMBER', KEYS[2], store) == 0 then return {-1} end
  here, all = present()
end
local out = {1, here, all, seq(), ARGV[6]}
local some = redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. ARGV[6], '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[7]))
for i = 1, #some, 2 do
  local v = redis.call('HMGET', ARGV[8] .. some[i], 'm', 'm:' .. store, 'r', 'r:' .. store)
  out[#out + 1] = some[i]
  out[#out + 1] = tonumber(v[1] or '0') - tonumber(v[2] or '0')
  out[#out + 1] = tonumber(v[3] or '0') - tonumber(v[4] or '0')
  out[5] = some[i + 1]
end
return out
