-- SPDX-License-Identifier: EUPL-1.2
--
-- Where users are reached outside their mailboxes, and what they are told there.

CREATE TABLE contacts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  login      TEXT NOT NULL REFERENCES users (login),
  kind       TEXT NOT NULL, -- mail, sms
  address    TEXT NOT NULL,
  created    INTEGER NOT NULL,
  confirmed  INTEGER NOT NULL, -- 0: not, or not any more
  code       BLOB,             -- salt and sum of the code that confirms it
  code_at    INTEGER NOT NULL,
  tries      INTEGER NOT NULL, -- wrong ones
  refused    INTEGER NOT NULL DEFAULT 0, -- notices refused for good, one after the other
  refused_at INTEGER NOT NULL DEFAULT 0, -- the first of them
  sent       INTEGER NOT NULL DEFAULT 0, -- notices of a day
  sent_until INTEGER NOT NULL DEFAULT 0, -- its end
  UNIQUE (login, kind, address)
) STRICT;

-- Codes that were sent to an address or number within a day, whoever's it is.
CREATE TABLE codes (
  address TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX codes_address ON codes (address, at);

-- Which contact is told of what arrives in which mailbox, and how many it was
-- told of one by one within the present minute.
CREATE TABLE notices (
  contact INTEGER NOT NULL REFERENCES contacts (id),
  mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
  minute  INTEGER NOT NULL DEFAULT 0, -- its beginning
  told    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (contact, mailbox)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_mailbox ON notices (mailbox);

-- What a contact is to be told.
CREATE TABLE notices_due (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  contact  INTEGER NOT NULL REFERENCES contacts (id),
  mailbox  INTEGER NOT NULL REFERENCES mailboxes (id),
  kind     TEXT NOT NULL,    -- that of the contact
  level    INTEGER NOT NULL, -- percentage of the quota; 0: of arrivals
  count    INTEGER NOT NULL, -- arrivals
  first    INTEGER NOT NULL,
  last     INTEGER NOT NULL,
  open     INTEGER NOT NULL, -- collects further arrivals until it is due
  due      INTEGER NOT NULL,
  attempts INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX notices_open ON notices_due (contact, mailbox) WHERE open;
CREATE INDEX notices_next ON notices_due (kind, due);

-- Mailboxes whose tier has no notices, but which may have them.
CREATE TABLE notices_allowed (
  mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id)
) STRICT;

-- The level of its quota that a mailbox has reached last.
CREATE TABLE quota_levels (
  mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id),
  level   INTEGER NOT NULL, -- percentage, 0: none
  told    INTEGER NOT NULL
) STRICT;
CREATE INDEX quota_untold ON quota_levels (mailbox) WHERE NOT told;
