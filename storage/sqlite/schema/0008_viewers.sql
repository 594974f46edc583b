-- SPDX-License-Identifier: EUPL-1.2
--
-- A row of seen says that \Seen of a message is for this login the contrary of
-- what the message has. How many more of a folder's messages are unseen for a
-- login than the folder counts (fewer: below 0) is kept here.
CREATE TABLE seen_counts (
  folder INTEGER NOT NULL REFERENCES folders (id),
  login  TEXT NOT NULL REFERENCES users (login),
  unseen INTEGER NOT NULL,
  PRIMARY KEY (folder, login)
) STRICT, WITHOUT ROWID;

-- What users have of their own in place of folders.subscribed.
CREATE TABLE subscriptions (
  folder     INTEGER NOT NULL REFERENCES folders (id),
  login      TEXT NOT NULL REFERENCES users (login),
  subscribed INTEGER NOT NULL,
  PRIMARY KEY (folder, login)
) STRICT, WITHOUT ROWID;
