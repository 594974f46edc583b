-- SPDX-License-Identifier: EUPL-1.2
--
-- Several people and applications on one mailbox, and what mail clients that
-- come back after a long time are told.

ALTER TABLE mailboxes ADD COLUMN personal_seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN file_sent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN file_receipts INTEGER NOT NULL DEFAULT 0;

-- The sum is the SHA-256 of a secret that the provider generated: it has too
-- many bits to be guessed, so it needs no slow hash.
CREATE TABLE app_passwords (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  login      TEXT NOT NULL REFERENCES users (login),
  name       TEXT NOT NULL,
  sum        BLOB NOT NULL UNIQUE,
  protocols  INTEGER NOT NULL,
  permission INTEGER NOT NULL,
  mailbox    INTEGER REFERENCES mailboxes (id), -- NULL: all of the user's
  created    INTEGER NOT NULL,
  expires    INTEGER NOT NULL, -- 0: never
  revoked    INTEGER NOT NULL  -- 0: not
) STRICT;
CREATE INDEX app_passwords_login ON app_passwords (login, id);

-- Recoverable: what POP3 clients deleted, for a while.
ALTER TABLE folders ADD COLUMN recoverable INTEGER NOT NULL DEFAULT 0;
-- Expunges up to this modseq may be missing from vanished.
ALTER TABLE folders ADD COLUMN horizon INTEGER NOT NULL DEFAULT 0;

-- Who has seen which message, in mailboxes with personal_seen.
CREATE TABLE seen (
  folder INTEGER NOT NULL REFERENCES folders (id),
  login  TEXT NOT NULL REFERENCES users (login),
  uid    INTEGER NOT NULL,
  PRIMARY KEY (folder, login, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_message ON seen (folder, uid);

-- POP3 identifiers that messages had before they were imported.
CREATE TABLE uidls (
  folder INTEGER NOT NULL REFERENCES folders (id),
  uid    INTEGER NOT NULL,
  uidl   TEXT NOT NULL,
  PRIMARY KEY (folder, uid)
) STRICT, WITHOUT ROWID;
