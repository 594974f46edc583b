// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

// maxLikeNames is how many names are tried for the recoverable folder.
const maxLikeNames = 100

// keptApart is the answer to whoever would put messages into a recoverable folder.
func keptApart(op string) error {
	return fault.Say(op, fault.Denied,
		"in questa cartella entrano solo i messaggi eliminati via POP3 / only messages deleted by POP3 go into this folder")
}

func discard(op *storage.Discard) (change, error) {
	const opName = "sqlite.Discard"
	name, err := folderName(opName, op.Name)
	if err != nil {
		return nil, err
	}
	uids := uidList(op.UIDs)
	return func(r *run) error {
		from, err := r.folder(opName, op.From)
		if err != nil {
			return err
		}
		if from.Recoverable {
			return keptApart(opName)
		}
		ms, err := r.messages(op.From, uids)
		if err != nil {
			return err
		}
		if len(ms) == 0 {
			return nil
		}
		to, err := r.recoverableOf(opName, from.Mailbox, name)
		if err != nil {
			return err
		}
		dest, err := r.insertCopies(opName, from, ms, to)
		if err != nil {
			return err
		}
		bytes := to.Bytes
		source := make([]uint32, len(ms))
		for i, m := range ms {
			source[i] = m.uid
			bytes += m.size
		}
		if op.Limit > 0 && bytes > op.Limit {
			return fault.New(opName, fault.Quota, fmt.Errorf("recoverable folder %d would hold %d bytes of %d", to.ID, bytes, op.Limit))
		}
		r.after(func() { op.Source, op.Dest, op.Folder = source, dest, to.ID })
		if err := r.removeMessages(from, ms); err != nil {
			return err
		}
		return r.logged(opName, op.Logged, storage.Handled{UIDs: source, Validity: from.UIDValidity, To: dest, ToValidity: to.UIDValidity})
	}, nil
}

// recoverableOf returns the recoverable folder of a mailbox; where there is none
// it makes one of that name, or of one like it.
func (r *run) recoverableOf(op string, m storage.MailboxID, name string) (storage.Folder, error) {
	f, err := scanFolder(r.row("SELECT "+folderColumns+" FROM folders WHERE mailbox = ? AND recoverable", m))
	if err == nil || !noRows(err) {
		return f, err
	}
	for i := 1; i <= maxLikeNames; i++ {
		f := storage.Folder{Mailbox: m, Name: name, Subscribed: true, Recoverable: true}
		if i > 1 {
			f.Name = fmt.Sprintf("%s %d", name, i)
		}
		made, err := r.makePath(op, f)
		if !fault.Is(err, fault.Exists) {
			return made, err
		}
	}
	return storage.Folder{}, fault.New(op, fault.TooMany, fmt.Errorf("mailbox %d: all names like %q are taken", m, name))
}

// validUIDL reports whether s is a unique-id of RFC 1939 §7.
func validUIDL(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= storage.MaxUIDL
}

// UIDLs implements storage.Recoverable.
func (s *Store) UIDLs(ctx context.Context, id storage.FolderID, fn func(uid uint32, uidl string) error) error {
	type row struct {
		uid  uint32
		uidl string
	}
	for after := uint32(0); ; {
		found, err := all(ctx, s.read, func(sc scanner) (u row, err error) {
			err = sc.Scan(&u.uid, &u.uidl)
			return u, err
		}, "SELECT uid, uidl FROM uidls WHERE folder = ? AND uid > ? ORDER BY uid LIMIT ?", id, after, chunk)
		if err != nil {
			return failed("sqlite.UIDLs", err)
		}
		for _, u := range found {
			if err := fn(u.uid, u.uidl); err != nil {
				return err
			}
			after = u.uid
		}
		if len(found) < chunk {
			return nil
		}
	}
}

// RecoverableFolders implements storage.Recoverable.
func (s *Store) RecoverableFolders(ctx context.Context) ([]storage.Folder, error) {
	fs, err := all(ctx, s.read, scanFolder, "SELECT "+folderColumns+" FROM folders WHERE recoverable AND messages > 0 ORDER BY id")
	return fs, failed("sqlite.RecoverableFolders", err)
}
