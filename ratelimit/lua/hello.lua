-- SPDX-License-Identifier: EUPL-1.2
-- Begins an epoch where there is none, and returns the one that is.
redis.call('SET', KEYS[1], epoch, 'NX')
return redis.call('GET', KEYS[1])
