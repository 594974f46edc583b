-- SPDX-License-Identifier: EUPL-1.2
--
-- What is filed for the holder of a mailbox.

-- Octets at the start of the blob that are not the message's.
--
-- Where a table is STRICT, ALTER TABLE … ADD COLUMN reads all of its rows to check
-- them (sqlite3AlterFinishAddColumn): many gigabytes of bodies, before the node
-- serves anybody. A column at the end with a default changes the text of the
-- schema and nothing on the disk, so that the text is changed by itself. That it
-- changed the other connections learn from the table made below.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - length(') STRICT')) || ', skip INTEGER NOT NULL DEFAULT 0) STRICT'
  WHERE type = 'table' AND name = 'bodies' AND sql LIKE '%) STRICT';
PRAGMA writable_schema = RESET;

-- Copies of submissions that were put into a folder a short while ago, by the
-- provider or by the client, and have not met the other one's. sum is the
-- beginning of the SHA-256 of the Message-ID. A row may outlive its message.

CREATE TABLE sent_copies (
  folder INTEGER NOT NULL REFERENCES folders (id),
  sum    BLOB NOT NULL,
  uid    INTEGER NOT NULL,
  client INTEGER NOT NULL, -- 1: put there by the client
  at     INTEGER NOT NULL,
  PRIMARY KEY (folder, sum, client, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_copies_at ON sent_copies (at);
