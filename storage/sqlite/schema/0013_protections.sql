-- SPDX-License-Identifier: EUPL-1.2
--
-- What is done about spam and dangerous contents.

CREATE TABLE protections (
  scope  TEXT PRIMARY KEY, -- a domain or an address
  policy TEXT NOT NULL
) STRICT, WITHOUT ROWID;
