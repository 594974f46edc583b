// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"pecd/storage"
)

type uidRange struct{ first, last uint32 }

func scanRange(row scanner) (r uidRange, err error) {
	err = row.Scan(&r.first, &r.last)
	return r, err
}

// Changes implements storage.Mail. Everything in the result belongs to one
// state of the folder, the one that its ModSeq names.
func (s *Store) Changes(ctx context.Context, id storage.FolderID, since uint64) (storage.Changes, error) {
	const op = "sqlite.Changes"
	var c storage.Changes
	// Prepared first: inside the transaction there may be no connection left to
	// prepare them on.
	modseq, err := s.read.stmt(ctx, `SELECT modseq, horizon, (SELECT personal_seen FROM mailboxes WHERE mailboxes.id = folders.mailbox)
		FROM folders WHERE id = ?`)
	if err != nil {
		return c, failed(op, err)
	}
	changed, err := s.read.stmt(ctx, "SELECT "+messageColumns+
		" FROM messages WHERE folder = ? AND modseq > ? ORDER BY uid")
	if err != nil {
		return c, failed(op, err)
	}
	args := []any{id, int64(since)}
	viewed, viewedArgs := changed, args
	if who := viewer(ctx); who != "" {
		viewed, err = s.read.stmt(ctx, "SELECT folder, uid, body, size, "+viewedFlags+
			", keywords, modseq, date, saved FROM messages WHERE folder = ? AND modseq > ? ORDER BY uid")
		if err != nil {
			return c, failed(op, err)
		}
		viewedArgs = []any{who, id, int64(since)}
	}
	vanished, err := s.read.stmt(ctx, "SELECT first, last FROM vanished WHERE folder = ? AND modseq > ?")
	if err != nil {
		return c, failed(op, err)
	}
	err = s.read.snapshot(ctx, func(tx *sql.Tx) error {
		var personal bool
		err := tx.StmtContext(ctx, modseq).QueryRowContext(ctx, id).Scan(&c.ModSeq, &c.Horizon, &personal)
		if err != nil || c.ModSeq <= since {
			return err
		}
		if personal {
			changed, args = viewed, viewedArgs
		}
		ms, err := collect(ctx, tx.StmtContext(ctx, changed), scanMessage, args...)
		if err != nil {
			return err
		}
		for _, m := range ms {
			c.Changed = append(c.Changed, m.public())
		}
		gone, err := collect(ctx, tx.StmtContext(ctx, vanished), scanRange, id, int64(since))
		for _, g := range gone {
			for uid := g.first; uid <= g.last; uid++ {
				c.Vanished = append(c.Vanished, uid)
			}
		}
		slices.Sort(c.Vanished)
		return err
	})
	if noRows(err) {
		return c, absent(op, "folder %d", id)
	}
	return c, failed(op, err)
}
