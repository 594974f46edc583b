-- SPDX-License-Identifier: EUPL-1.2
--
-- A deleted user keeps his row: the log names him, and nobody else may get his
-- login.

ALTER TABLE users ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0; -- 0: not
