-- SPDX-License-Identifier: EUPL-1.2
-- KEYS: 1 epoch, 2 joined, 3 nodes, 4 seq, and where a mailbox is concerned 5
-- changed (of the day), 6 its day, 7 its minute, 8 the minute's recipients.
-- ARGV: 1 epoch, 2 store, 3 now in microseconds, 4 how long a node is thought
-- present, 5 how many nodes there are.
local epoch, store, now, stale, nodes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local days = 3 * 86400

local function current() return redis.call('GET', KEYS[1]) == epoch end

-- present notes that this node is there, and returns how many are, of how many.
local function present()
  if now > tonumber(redis.call('HGET', KEYS[3], store) or '0') then redis.call('HSET', KEYS[3], store, ARGV[3]) end
  local n = 0
  for _, at in ipairs(redis.call('HVALS', KEYS[3])) do
    if tonumber(at) >= now - stale then n = n + 1 end
  end
  return n, math.max(nodes, n)
end

local function seq() return tonumber(redis.call('GET', KEYS[4]) or '0') end

local function day(field) return tonumber(redis.call('HGET', KEYS[6], field) or '0') end

-- touch has the others know that the day of a mailbox has changed.
local function touch(box)
  redis.call('ZADD', KEYS[5], redis.call('INCR', KEYS[4]), box)
  redis.call('EXPIRE', KEYS[5], days)
  redis.call('EXPIRE', KEYS[6], days)
end

-- assign sets what this node has of a mailbox's day.
local function assign(box, m, r)
  local dm, dr = m - day('m:' .. store), r - day('r:' .. store)
  if dm == 0 and dr == 0 then return end
  redis.call('HINCRBY', KEYS[6], 'm', dm)
  redis.call('HINCRBY', KEYS[6], 'r', dr)
  redis.call('HSET', KEYS[6], 'm:' .. store, m, 'r:' .. store, r)
  touch(box)
end

local function recipients(member) return tonumber(string.match(member, ':(%d+)$')) end

local function keep()
  redis.call('EXPIRE', KEYS[7], 120)
  redis.call('EXPIRE', KEYS[8], 120)
end
