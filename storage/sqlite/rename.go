// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"strings"

	"pecd/fault"
	"pecd/storage"
)

func renameFolder(op *storage.RenameFolder) (change, error) {
	const opName = "sqlite.RenameFolder"
	from, err := folderName(opName, op.From)
	if err != nil {
		return nil, err
	}
	to, err := folderName(opName, op.To)
	if err != nil {
		return nil, err
	}
	if from != inbox && strings.HasPrefix(to, from+"/") {
		return nil, fault.Say(opName, fault.Invalid, "una cartella non si sposta dentro sé stessa / a folder cannot move into itself")
	}
	return func(r *run) error {
		f, err := r.named(opName, op.Mailbox, from)
		if err != nil {
			return err
		}
		if from == inbox {
			return r.emptyInbox(opName, f, to, op.Logged)
		}
		if err := r.vacant(opName, op.Mailbox, to); err != nil {
			return err
		}
		if err := r.makeParents(opName, op.Mailbox, to); err != nil {
			return err
		}
		tree, err := rows(r, scanFolder, "SELECT "+folderColumns+
			" FROM folders WHERE mailbox = ? AND (name = ? OR (name > ? AND name < ?)) ORDER BY name",
			op.Mailbox, from, from+"/", from+"0")
		if err != nil {
			return err
		}
		for _, f := range tree {
			if err := r.moveName(opName, f, to+f.Name[len(from):]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// moveName gives a folder another name. It keeps its UIDVALIDITY unless the
// name had a higher one before (RFC 9051 §2.3.1.1).
func (r *run) moveName(op string, f storage.Folder, name string) error {
	if _, err := folderName(op, name); err != nil { // depth
		return err
	}
	var former uint32
	err := r.row("SELECT uidvalidity FROM retired WHERE mailbox = ? AND name = ?", f.Mailbox, name).Scan(&former)
	if err != nil && !noRows(err) {
		return err
	}
	if err := r.retire(f.Mailbox, f.Name, f.UIDValidity); err != nil {
		return err
	}
	validity := f.UIDValidity
	if former > validity {
		if validity, err = r.nextValidity(op, f.Mailbox); err != nil {
			return err
		}
	}
	r.touched(f.ID)
	if _, err = r.exec("UPDATE folders SET name = ?, uidvalidity = ? WHERE id = ?", name, validity, f.ID); err != nil {
		return err
	}
	f.Name = name
	return r.resubscribe(&f)
}

// emptyInbox is what renaming INBOX means: its messages move to a new folder,
// what lies below it stays (RFC 9051 §6.3.6).
func (r *run) emptyInbox(op string, from storage.Folder, name string, say storage.Logged) error {
	to, err := r.makePath(op, storage.Folder{Mailbox: from.Mailbox, Name: name})
	if err != nil {
		return err
	}
	ms, err := rows(r, scanMessage, "SELECT "+messageColumns+" FROM messages WHERE folder = ? ORDER BY uid", from.ID)
	if err != nil {
		return err
	}
	dest, err := r.insertCopies(op, from, ms, to)
	if err != nil {
		return err
	}
	uids := make([]uint32, len(ms))
	for i, m := range ms {
		uids[i] = m.uid
	}
	if err := r.logged(op, say, storage.Handled{UIDs: uids, Validity: from.UIDValidity, To: dest, ToValidity: to.UIDValidity}); err != nil {
		return err
	}
	return r.removeMessages(from, ms)
}
