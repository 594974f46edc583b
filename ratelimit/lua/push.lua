-- SPDX-License-Identifier: EUPL-1.2
-- Tells what this node has of a mailbox, the minute included, in place of what
-- was known of it. ARGV: 6 mailbox, 7 version, 8 and 9 its day, then pairs of
-- instant and member of its minute. Returns a status as take.
if not current() then return {-1} end
local box, version = ARGV[6], tonumber(ARGV[7])
local last = day('q:' .. store)
if version <= last then return {-2, last} end
redis.call('HSET', KEYS[6], 'q:' .. store, ARGV[7])
redis.call('EXPIRE', KEYS[6], days)
assign(box, tonumber(ARGV[8]), tonumber(ARGV[9]))
local mine, sum = store .. ':', 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[7], 0, -1)) do
  if string.sub(member, 1, #mine) == mine then redis.call('ZREM', KEYS[7], member) else sum = sum + recipients(member) end
end
for i = 10, #ARGV, 2 do
  redis.call('ZADD', KEYS[7], ARGV[i], ARGV[i + 1])
  sum = sum + recipients(ARGV[i + 1])
end
redis.call('SET', KEYS[8], sum)
keep()
return {1}
