-- SPDX-License-Identifier: EUPL-1.2
--
-- The log's chain and its sealed days, the quarantine, and what deadlines and
-- the relay queue keep. The hashes of records that are there already are
-- filled in by the program, in the same transaction.

ALTER TABLE records ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
CREATE INDEX records_id ON records (id, seq) WHERE id <> '';
CREATE INDEX records_mailbox ON records (mailbox, seq) WHERE mailbox <> '';
CREATE INDEX records_at ON records (at, seq);

-- A row is never deleted: the first record that is kept links to its head.
CREATE TABLE seals (
  number     INTEGER PRIMARY KEY,
  day        TEXT NOT NULL,
  first      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  before     BLOB NOT NULL,
  head       BLOB NOT NULL,
  file       TEXT NOT NULL UNIQUE,
  sum        BLOB NOT NULL,
  at         INTEGER NOT NULL,
  stamp      BLOB,
  stamped_at INTEGER NOT NULL DEFAULT 0,
  purged     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE quarantine (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  point      TEXT NOT NULL,
  message    TEXT NOT NULL,
  provider   TEXT NOT NULL,
  sender     TEXT NOT NULL,
  recipients TEXT NOT NULL, -- JSON array
  virus      TEXT NOT NULL,
  size       INTEGER NOT NULL,
  body       INTEGER NOT NULL REFERENCES bodies (id)
) STRICT;
CREATE INDEX quarantine_at ON quarantine (at, id);
CREATE INDEX quarantine_body ON quarantine (body);

ALTER TABLE jobs ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

ALTER TABLE transactions ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
ALTER TABLE recipients ADD COLUMN first_notice INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recipients ADD COLUMN second_notice INTEGER NOT NULL DEFAULT 0;
