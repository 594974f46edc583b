-- SPDX-License-Identifier: EUPL-1.2
--
-- Which store this is: the row with the highest number. A store that is put
-- back from a copy gets a new one, because from then on it is another than the
-- one that went on after the copy.

CREATE TABLE identity (
  number INTEGER PRIMARY KEY,
  id     TEXT NOT NULL,
  copied INTEGER NOT NULL, -- instant of the copy that it was put back from, 0 for none
  since  INTEGER NOT NULL  -- when it was put back, 0 for a new store
) STRICT;
INSERT INTO identity (number, id, copied, since) VALUES (1, lower(hex(randomblob(16))), 0, 0);
