-- SPDX-License-Identifier: EUPL-1.2
--
-- What a customer buys, and what becomes of it.

-- Of protection: recipients of what is sent. In proportion to the messages.
ALTER TABLE tiers ADD COLUMN recipients_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tiers ADD COLUMN recipients_per_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tiers ADD COLUMN notices INTEGER NOT NULL DEFAULT 0; -- of arrivals, included
UPDATE tiers SET recipients_per_minute = max(2000, 10 * max_per_minute, max_recipients),
  recipients_per_day = max(20000, 10 * max_per_day, max_recipients),
  notices = application = 0;

-- The public body that domains belong to.
CREATE TABLE customers (
  code    TEXT PRIMARY KEY,
  name    TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE domains ADD COLUMN customer TEXT NOT NULL DEFAULT '';

-- Raised above the tier, 0: not.
ALTER TABLE mailboxes ADD COLUMN raised_quota INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_per_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_recipients INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_message INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_recipients_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN raised_recipients_per_day INTEGER NOT NULL DEFAULT 0;
-- Where ordinary mail should go instead, told to its senders.
ALTER TABLE mailboxes ADD COLUMN redirect TEXT NOT NULL DEFAULT '';
-- Sending is blocked since (0: not), by whom and why.
ALTER TABLE mailboxes ADD COLUMN block_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN block_by TEXT NOT NULL DEFAULT '';
ALTER TABLE mailboxes ADD COLUMN block_reason TEXT NOT NULL DEFAULT '';
