-- SPDX-License-Identifier: EUPL-1.2
--
-- Where users are reached outside their mailboxes, and what they are told there.

CREATE TABLE contacts (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  login     TEXT NOT NULL REFERENCES users (login),
  kind      TEXT NOT NULL, -- mail, sms
  address   TEXT NOT NULL,
  code      BLOB,          -- HMAC or SHA-256 of the code that confirms it
  code_at   INTEGER NOT NULL,
  tries     INTEGER NOT NULL,
  confirmed INTEGER NOT NULL, -- 0: not yet
  created   INTEGER NOT NULL,
  UNIQUE (login, kind, address)
) STRICT;

-- Which arrivals a contact is told of, and what it was not told yet.
CREATE TABLE notices (
  contact INTEGER NOT NULL REFERENCES contacts (id),
  mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
  pending INTEGER NOT NULL DEFAULT 0,
  since   INTEGER NOT NULL DEFAULT 0,
  due     INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (contact, mailbox)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_mailbox ON notices (mailbox);
CREATE INDEX notices_due ON notices (due) WHERE pending > 0;
