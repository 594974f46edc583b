-- SPDX-License-Identifier: EUPL-1.2
--
-- Users' filters, as Sieve scripts.

CREATE TABLE filters (
  mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
  name    TEXT NOT NULL,
  script  TEXT NOT NULL,
  active  INTEGER NOT NULL, -- one of a mailbox
  at      INTEGER NOT NULL,
  PRIMARY KEY (mailbox, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX filters_active ON filters (mailbox) WHERE active;
