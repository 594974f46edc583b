-- SPDX-License-Identifier: EUPL-1.2
-- Notes that this node has told all it has. Once all nodes have, the epoch is
-- complete, and this node is present. Returns whether it is, present nodes,
-- nodes, seq.
if not current() then return {-1} end
redis.call('SADD', KEYS[2], store)
if redis.call('SCARD', KEYS[2]) < nodes then return {0, 0, nodes, seq()} end
local here, all = present()
return {1, here, all, seq()}
