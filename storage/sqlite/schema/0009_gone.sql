-- SPDX-License-Identifier: EUPL-1.2
--
-- What was in folders.subscribed and subscriptions of a folder when it was
-- deleted: the name stays subscribed to (RFC 9051 §6.3.7). No folder has a name
-- that is here.
CREATE TABLE gone_subscriptions (
  mailbox    INTEGER NOT NULL REFERENCES mailboxes (id),
  name       TEXT NOT NULL,
  login      TEXT NOT NULL, -- of users; '': the mailbox's
  subscribed INTEGER NOT NULL,
  PRIMARY KEY (mailbox, name, login)
) STRICT, WITHOUT ROWID;
