-- SPDX-License-Identifier: EUPL-1.2
--
-- Who may use the interface for programs, and how users come by a new password.

CREATE TABLE api_tokens (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT NOT NULL,
  sum      BLOB NOT NULL UNIQUE,
  role     TEXT NOT NULL,    -- provider, customer, mailbox
  customer TEXT NOT NULL,    -- of an administrator of a public body
  mailbox  INTEGER NOT NULL, -- of a mailbox's application, 0
  created  INTEGER NOT NULL,
  expires  INTEGER NOT NULL, -- 0: never
  revoked  INTEGER NOT NULL  -- 0: not
) STRICT;

CREATE TABLE recoveries (
  sum     BLOB PRIMARY KEY,
  login   TEXT NOT NULL REFERENCES users (login),
  created INTEGER NOT NULL,
  tries   INTEGER NOT NULL,
  used    INTEGER NOT NULL   -- 0: not
) STRICT, WITHOUT ROWID;
