-- SPDX-License-Identifier: EUPL-1.2
--
-- What readers keep of a message so as not to open its body. It is apart from
-- bodies: a scan of it then touches no page with message contents.

CREATE TABLE summaries (
  body INTEGER PRIMARY KEY REFERENCES bodies (id) ON DELETE CASCADE,
  data BLOB NOT NULL
) STRICT;
