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
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  kind    TEXT NOT NULL, -- link, code
  login   TEXT NOT NULL REFERENCES users (login),
  sum     BLOB NOT NULL,
  made_by TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  tries   INTEGER NOT NULL,
  used    INTEGER NOT NULL -- 0: not
) STRICT;
CREATE INDEX recoveries_login ON recoveries (login, created);
CREATE INDEX recoveries_sum ON recoveries (sum);

-- An application asks what became of the message that it gave this Message-ID.
CREATE INDEX transactions_msgid ON transactions (msgid) WHERE own = 1 AND msgid <> '';
