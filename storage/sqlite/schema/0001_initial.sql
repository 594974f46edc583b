-- SPDX-License-Identifier: EUPL-1.2
--
-- Instants are Unix nanoseconds (0: none), IMAP dates Unix seconds. AUTOINCREMENT
-- wherever an identifier leaves the store: one that was deleted must never come
-- back as something else. Byte strings may be NULL: the driver binds empty ones so.

CREATE TABLE tiers (
  code           TEXT PRIMARY KEY,
  name           TEXT NOT NULL,
  quota          INTEGER NOT NULL,
  max_per_day    INTEGER NOT NULL,
  max_per_minute INTEGER NOT NULL,
  max_recipients INTEGER NOT NULL,
  max_message    INTEGER NOT NULL,
  multi_user     INTEGER NOT NULL,
  application    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE domains (
  name    TEXT PRIMARY KEY,
  state   TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A row is never deleted: its address stays taken for good.
CREATE TABLE mailboxes (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  address     TEXT NOT NULL UNIQUE,
  domain      TEXT NOT NULL,
  tier        TEXT NOT NULL,
  state       TEXT NOT NULL,
  holder      TEXT NOT NULL,
  ordinary    INTEGER NOT NULL,
  service     INTEGER NOT NULL,
  created     INTEGER NOT NULL,
  used        INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
  messages    INTEGER NOT NULL DEFAULT 0 CHECK (messages >= 0),
  uidvalidity INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX mailboxes_domain ON mailboxes (domain, address);

CREATE TABLE users (
  login    TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  hash     TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
  login      TEXT NOT NULL REFERENCES users (login),
  mailbox    INTEGER NOT NULL REFERENCES mailboxes (id),
  permission INTEGER NOT NULL,
  PRIMARY KEY (login, mailbox)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_mailbox ON grants (mailbox);

CREATE TABLE files (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  refs INTEGER NOT NULL CHECK (refs >= 0)  -- rows of blobs
) STRICT;

-- Bytes are in data, or in a file from off on.
CREATE TABLE blobs (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  refs INTEGER NOT NULL CHECK (refs >= 0), -- rows of bodies
  size INTEGER NOT NULL,
  sum  BLOB NOT NULL,
  file INTEGER REFERENCES files (id),
  off  INTEGER NOT NULL,
  data BLOB
) STRICT;
CREATE UNIQUE INDEX blobs_sum ON blobs (sum, size);
CREATE INDEX blobs_file ON blobs (file);

CREATE TABLE bodies (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  refs     INTEGER NOT NULL CHECK (refs >= 0), -- rows of messages and jobs
  size     INTEGER NOT NULL,
  blob     INTEGER REFERENCES blobs (id),
  head_len INTEGER NOT NULL,
  tail_len INTEGER NOT NULL,
  packed   INTEGER NOT NULL,                   -- 1: head deflated, 2: tail deflated
  sum      BLOB NOT NULL,
  head     BLOB,
  tail     BLOB
) STRICT;
CREATE INDEX bodies_blob ON bodies (blob);

CREATE TABLE folders (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
  name        TEXT NOT NULL,
  special_use TEXT NOT NULL,
  subscribed  INTEGER NOT NULL,
  uidvalidity INTEGER NOT NULL,
  uidnext     INTEGER NOT NULL DEFAULT 1,
  modseq      INTEGER NOT NULL DEFAULT 1,
  messages    INTEGER NOT NULL DEFAULT 0 CHECK (messages >= 0),
  unseen      INTEGER NOT NULL DEFAULT 0 CHECK (unseen >= 0),
  bytes       INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
  UNIQUE (mailbox, name)
) STRICT;

-- The highest UIDVALIDITY a name had before its folder went away.
CREATE TABLE retired (
  mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
  name        TEXT NOT NULL,
  uidvalidity INTEGER NOT NULL,
  PRIMARY KEY (mailbox, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  folder   INTEGER NOT NULL REFERENCES folders (id),
  uid      INTEGER NOT NULL,
  body     INTEGER NOT NULL REFERENCES bodies (id),
  size     INTEGER NOT NULL,
  flags    INTEGER NOT NULL,
  keywords TEXT NOT NULL,
  modseq   INTEGER NOT NULL,
  date     INTEGER NOT NULL,
  saved    INTEGER NOT NULL,
  PRIMARY KEY (folder, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_modseq ON messages (folder, modseq);
CREATE INDEX messages_body ON messages (body);

-- Expunged UIDs as ranges first..last.
CREATE TABLE vanished (
  folder INTEGER NOT NULL REFERENCES folders (id),
  modseq INTEGER NOT NULL,
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  PRIMARY KEY (folder, modseq, first)
) STRICT, WITHOUT ROWID;

-- When a job is due, and who holds it, is indexed in memory.
CREATE TABLE jobs (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL,
  lane       TEXT NOT NULL,
  due        INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  body       INTEGER REFERENCES bodies (id),
  payload    BLOB
) STRICT;
CREATE INDEX jobs_body ON jobs (body);

CREATE TABLE once (
  key TEXT PRIMARY KEY,
  at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE transactions (
  num      INTEGER PRIMARY KEY AUTOINCREMENT,
  id       TEXT NOT NULL,
  own      INTEGER NOT NULL,
  sender   TEXT NOT NULL,
  msgid    TEXT NOT NULL,
  subject  TEXT NOT NULL,
  provider TEXT NOT NULL,
  receipt  TEXT NOT NULL,
  at       INTEGER NOT NULL,
  size     INTEGER NOT NULL,
  UNIQUE (id, own)
) STRICT;
CREATE INDEX transactions_at ON transactions (at, num);

CREATE TABLE recipients (
  tx          INTEGER NOT NULL REFERENCES transactions (num),
  seq         INTEGER NOT NULL,
  address     TEXT NOT NULL,
  key         TEXT NOT NULL, -- address in lower case
  external    INTEGER NOT NULL,
  taken       INTEGER NOT NULL,
  outcome     TEXT NOT NULL,
  outcome_at  INTEGER NOT NULL,
  outcome_ref TEXT NOT NULL,
  PRIMARY KEY (tx, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX recipients_key ON recipients (tx, key);

-- AUTOINCREMENT is rolled back with the row: the sequence has no gaps.
CREATE TABLE records (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  event   TEXT NOT NULL,
  id      TEXT NOT NULL,
  mailbox TEXT NOT NULL,
  data    BLOB
) STRICT;
