-- SPDX-License-Identifier: EUPL-1.2
--
-- What administrators of public bodies may do.

-- The role that set a mailbox's state: what the provider set, a body's administrator does not end.
ALTER TABLE mailboxes ADD COLUMN state_by TEXT NOT NULL DEFAULT '';

-- The body whose administrators look after a user. '': the provider alone.
ALTER TABLE users ADD COLUMN customer TEXT NOT NULL DEFAULT '';

-- The role that shut a user out, as state_by.
ALTER TABLE users ADD COLUMN disabled_by TEXT NOT NULL DEFAULT '';

-- How many mailboxes of a tier a body may have. No row of a body: as many as it wants.
CREATE TABLE ceilings (
  customer  TEXT NOT NULL REFERENCES customers (code),
  tier      TEXT NOT NULL,
  mailboxes INTEGER NOT NULL,
  PRIMARY KEY (customer, tier)
) STRICT, WITHOUT ROWID;
