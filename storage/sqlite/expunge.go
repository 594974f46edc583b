// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"pecd/storage"
)

func expunge(op *storage.Expunge) change {
	const opName = "sqlite.Expunge"
	uids := uidList(op.UIDs)
	return func(r *run) error {
		f, err := r.folder(opName, op.Folder)
		if err != nil {
			return err
		}
		ms, err := r.messages(op.Folder, uids)
		if err != nil {
			return err
		}
		gone := ms[:0]
		var expunged []uint32
		for _, m := range ms {
			if !op.DeletedOnly || m.flags.deleted() {
				gone, expunged = append(gone, m), append(expunged, m.uid)
			}
		}
		modseq := f.ModSeq + uint64(btoi(len(gone) > 0))
		r.after(func() { op.Expunged, op.ModSeq = expunged, modseq })
		if err := r.logged(opName, op.Logged, storage.Handled{UIDs: expunged, Validity: f.UIDValidity}); err != nil {
			return err
		}
		return r.removeMessages(f, gone)
	}
}

// removeMessages takes messages, ascending by UID, out of their folder and
// records them as vanished under one modseq. The folder's row is read again: a
// move within one folder has changed it.
func (r *run) removeMessages(f storage.Folder, ms []message) error {
	if len(ms) == 0 {
		return nil
	}
	var modseq uint64
	if err := r.row("UPDATE folders SET modseq = modseq + 1 WHERE id = ? RETURNING modseq", f.ID).Scan(&modseq); err != nil {
		return err
	}
	var imported bool // any message of the folder has an identifier of POP3
	if err := r.row("SELECT EXISTS (SELECT 1 FROM uidls WHERE folder = ?)", f.ID).Scan(&imported); err != nil {
		return err
	}
	var unseen, bytes int64
	for _, m := range ms {
		if _, err := r.exec("DELETE FROM messages WHERE folder = ? AND uid = ?", f.ID, m.uid); err != nil {
			return err
		}
		if imported {
			if _, err := r.exec("DELETE FROM uidls WHERE folder = ? AND uid = ?", f.ID, m.uid); err != nil {
				return err
			}
		}
		if f.PersonalSeen { // without it there are no rows
			if err := r.forgetSeen(m); err != nil {
				return err
			}
		}
		r.refBody(m.body, -1)
		unseen += int64(1 - btoi(m.flags.seen()))
		bytes += m.size
	}
	if err := r.vanish(f.ID, modseq, ms); err != nil {
		return err
	}
	_, err := r.exec("UPDATE folders SET messages = messages - ?, unseen = unseen - ?, bytes = bytes - ? WHERE id = ?",
		len(ms), unseen, bytes, f.ID)
	if err != nil {
		return err
	}
	r.touched(f.ID)
	return r.chargeFor(f, -bytes, -int64(len(ms)))
}
