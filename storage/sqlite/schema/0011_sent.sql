-- SPDX-License-Identifier: EUPL-1.2
--
-- What each mailbox sent: the record of the send limits.

CREATE TABLE sent (
  mailbox    INTEGER NOT NULL,
  at         INTEGER NOT NULL, -- Unix second
  messages   INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  PRIMARY KEY (mailbox, at)
) STRICT, WITHOUT ROWID;
