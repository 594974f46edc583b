// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"math"

	"pecd/fault"
	"pecd/storage"
)

const (
	folderColumns = "id, mailbox, name, special_use, subscribed, uidvalidity, uidnext, modseq, messages, unseen" + moreFolderColumns
	// viewedFolder is folderColumns as the viewer ?1 has them.
	viewedFolder = "id, mailbox, name, special_use, " + viewedSubscribed + ", uidvalidity, uidnext, modseq, messages, " +
		viewedUnseen + moreFolderColumns

	moreFolderColumns = ", bytes, recoverable, horizon, (SELECT personal_seen FROM mailboxes WHERE mailboxes.id = folders.mailbox)"
)

func scanFolder(row scanner) (f storage.Folder, err error) {
	err = row.Scan(&f.ID, &f.Mailbox, &f.Name, &f.SpecialUse, &f.Subscribed,
		&f.UIDValidity, &f.UIDNext, &f.ModSeq, &f.Messages, &f.Unseen, &f.Bytes, &f.Recoverable, &f.Horizon, &f.PersonalSeen)
	return f, err
}

// Folders implements storage.Mail.
func (s *Store) Folders(ctx context.Context, m storage.MailboxID) ([]storage.Folder, error) {
	const op = "sqlite.Folders"
	fs, err := all(ctx, s.read, scanFolder,
		"SELECT "+viewedFolder+" FROM folders WHERE mailbox = ? ORDER BY name <> 'INBOX', name", viewer(ctx), m)
	if err == nil && len(fs) == 0 { // every mailbox has an INBOX
		return nil, absent(op, "mailbox %d", m)
	}
	return fs, failed(op, err)
}

// Folder implements storage.Mail.
func (s *Store) Folder(ctx context.Context, m storage.MailboxID, name string) (storage.Folder, error) {
	const op = "sqlite.Folder"
	name, err := folderName(op, name)
	if err != nil {
		return storage.Folder{}, err
	}
	return s.folder(ctx, op, "SELECT "+viewedFolder+" FROM folders WHERE mailbox = ? AND name = ?", viewer(ctx), m, name)
}

// FolderByID implements storage.Mail.
func (s *Store) FolderByID(ctx context.Context, id storage.FolderID) (storage.Folder, error) {
	return s.folder(ctx, "sqlite.FolderByID", "SELECT "+viewedFolder+" FROM folders WHERE id = ?", viewer(ctx), id)
}

func (s *Store) folder(ctx context.Context, op, query string, args ...any) (storage.Folder, error) {
	st, err := s.read.stmt(ctx, query)
	if err != nil {
		return storage.Folder{}, failed(op, err)
	}
	f, err := scanFolder(st.QueryRowContext(ctx, args...))
	if noRows(err) {
		return storage.Folder{}, absent(op, "folder %v", args[1:])
	}
	return f, failed(op, err)
}

// folder reads a folder inside the step.
func (r *run) folder(op string, id storage.FolderID) (storage.Folder, error) {
	f, err := scanFolder(r.row("SELECT "+folderColumns+" FROM folders WHERE id = ?", id))
	if noRows(err) {
		return f, absent(op, "folder %d", id)
	}
	return f, err
}

// named is folder for a name in canonical form.
func (r *run) named(op string, m storage.MailboxID, name string) (storage.Folder, error) {
	f, err := scanFolder(r.row("SELECT "+folderColumns+" FROM folders WHERE mailbox = ? AND name = ?", m, name))
	if noRows(err) {
		return f, absent(op, "folder %q in mailbox %d", name, m)
	}
	return f, err
}

// nextValidity returns a UIDVALIDITY higher than any the mailbox ever gave out.
// It follows the clock, so that a store restored from an old copy does not give
// out again what it gave out after the copy was made.
func (r *run) nextValidity(op string, m storage.MailboxID) (v uint32, err error) {
	now := min(max(r.now.Unix(), 1), math.MaxUint32)
	err = r.row("UPDATE mailboxes SET uidvalidity = max(uidvalidity + 1, ?) WHERE id = ? RETURNING uidvalidity", now, m).Scan(&v)
	if noRows(err) {
		return 0, absent(op, "mailbox %d", m)
	}
	return v, err
}

// makeFolder creates one folder as f describes it.
func (r *run) makeFolder(op string, f storage.Folder) (storage.Folder, error) {
	f.UIDNext, f.ModSeq = 1, 1
	var count int
	err := r.row(`SELECT (SELECT count(*) FROM folders WHERE mailbox = ?1)
		+ (SELECT count(DISTINCT name) FROM gone_subscriptions WHERE mailbox = ?1 AND name <> ?2)`, f.Mailbox, f.Name).Scan(&count)
	if err != nil {
		return f, err
	}
	if count >= maxFolders {
		return f, fault.Say(op, fault.TooMany,
			"troppe cartelle, anche eliminate ma ancora sottoscritte / too many folders, with those deleted but still subscribed to")
	}
	if f.UIDValidity, err = r.nextValidity(op, f.Mailbox); err != nil {
		return f, err
	}
	err = r.row(`INSERT INTO folders (mailbox, name, special_use, subscribed, uidvalidity, recoverable) VALUES (?, ?, ?, ?, ?, ?)
		RETURNING id, (SELECT personal_seen FROM mailboxes WHERE mailboxes.id = folders.mailbox)`,
		f.Mailbox, f.Name, f.SpecialUse, f.Subscribed, f.UIDValidity, f.Recoverable).Scan(&f.ID, &f.PersonalSeen)
	if err != nil {
		return f, err
	}
	return f, r.resubscribe(&f)
}

// makeParents creates the missing folders above name.
func (r *run) makeParents(op string, m storage.MailboxID, name string) error {
	for _, p := range parents(name) {
		_, err := r.named(op, m, p)
		if fault.Is(err, fault.NotFound) {
			_, err = r.makeFolder(op, storage.Folder{Mailbox: m, Name: p})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makePath creates a folder that must not exist, and its missing parents.
func (r *run) makePath(op string, f storage.Folder) (storage.Folder, error) {
	if err := r.vacant(op, f.Mailbox, f.Name); err != nil {
		return storage.Folder{}, err
	}
	if err := r.makeParents(op, f.Mailbox, f.Name); err != nil {
		return storage.Folder{}, err
	}
	return r.makeFolder(op, f)
}

// vacant fails with Exists where a folder of that name is.
func (r *run) vacant(op string, m storage.MailboxID, name string) error {
	_, err := r.named(op, m, name)
	switch {
	case err == nil:
		return fault.New(op, fault.Exists, fmt.Errorf("folder %q exists", name))
	case fault.Is(err, fault.NotFound):
		return nil
	}
	return err
}

func createFolder(op *storage.CreateFolder) (change, error) {
	const opName = "sqlite.CreateFolder"
	name, err := folderName(opName, op.Name)
	if err != nil {
		return nil, err
	}
	return func(r *run) error {
		f, err := r.makePath(opName, storage.Folder{
			Mailbox: op.Mailbox, Name: name, SpecialUse: op.SpecialUse, Subscribed: op.Subscribed,
		})
		r.after(func() { op.Folder = f })
		return err
	}, nil
}

func (p *prepared) createFolderIn(op *storage.CreateFolderIn) (change, error) {
	const opName = "sqlite.CreateFolderIn"
	name, err := folderName(opName, op.Name)
	if err != nil {
		return nil, err
	}
	if !p.boxes[op.New] {
		return nil, invalid(opName, "mailbox is not created earlier in the step")
	}
	return func(r *run) error {
		_, err := r.makePath(opName, storage.Folder{
			Mailbox: r.made[op.New], Name: name, SpecialUse: op.SpecialUse, Subscribed: op.Subscribed,
		})
		return err
	}, nil
}

func deleteFolder(op *storage.DeleteFolder) (change, error) {
	const opName = "sqlite.DeleteFolder"
	name, err := folderName(opName, op.Name)
	if err != nil {
		return nil, err
	}
	if name == inbox {
		return nil, fault.Say(opName, fault.Denied, "INBOX non si elimina / INBOX cannot be deleted")
	}
	return func(r *run) error {
		f, err := r.named(opName, op.Mailbox, name)
		if err != nil {
			return err
		}
		var children int
		err = r.row("SELECT count(*) FROM folders WHERE mailbox = ? AND name > ? AND name < ?",
			op.Mailbox, name+"/", name+"0").Scan(&children) // "0" follows "/"
		if err != nil {
			return err
		}
		if children > 0 {
			return fault.Say(opName, fault.Denied, "la cartella contiene altre cartelle / the folder has subfolders")
		}
		if f.Recoverable && f.Messages > 0 {
			return fault.Say(opName, fault.Denied,
				"la cartella contiene messaggi conservati dopo lo scarico via POP3 / the folder has messages that are kept after POP3 deleted them")
		}
		if op.Logged != nil {
			uids, err := rows(r, scanUID, "SELECT uid FROM messages WHERE folder = ? ORDER BY uid", f.ID)
			if err != nil {
				return err
			}
			if err := r.logged(opName, op.Logged, storage.Handled{UIDs: uids, Validity: f.UIDValidity}); err != nil {
				return err
			}
		}
		if err := r.keepSubscriptions(f); err != nil {
			return err
		}
		return r.dropFolder(f)
	}, nil
}

// dropFolder deletes a folder with its messages.
func (r *run) dropFolder(f storage.Folder) error {
	ids, err := rows(r, scanBodyID, "SELECT body FROM messages WHERE folder = ?", f.ID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r.refBody(id, -1)
	}
	for _, q := range []string{
		"DELETE FROM messages WHERE folder = ?",
		"DELETE FROM seen WHERE folder = ?",
		"DELETE FROM sent_copies WHERE folder = ?",
		"DELETE FROM seen_counts WHERE folder = ?",
		"DELETE FROM subscriptions WHERE folder = ?",
		"DELETE FROM uidls WHERE folder = ?",
		"DELETE FROM vanished WHERE folder = ?",
		"DELETE FROM folders WHERE id = ?",
	} {
		if _, err := r.exec(q, f.ID); err != nil {
			return err
		}
	}
	if err := r.retire(f.Mailbox, f.Name, f.UIDValidity); err != nil {
		return err
	}
	r.touched(f.ID)
	return r.chargeFor(f, -f.Bytes, -int64(f.Messages))
}

func scanUID(row scanner) (uid uint32, err error) {
	err = row.Scan(&uid)
	return uid, err
}

func scanBodyID(row scanner) (id storage.BodyID, err error) {
	err = row.Scan(&id)
	return id, err
}

// retire remembers the UIDVALIDITY that a name had before its folder went away.
func (r *run) retire(m storage.MailboxID, name string, validity uint32) error {
	_, err := r.exec(`INSERT INTO retired (mailbox, name, uidvalidity) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET uidvalidity = max(uidvalidity, excluded.uidvalidity)`, m, name, validity)
	return err
}

// chargeFor moves the counters of a folder's mailbox. What is recoverable does
// not count there.
func (r *run) chargeFor(f storage.Folder, bytes, messages int64) error {
	if f.Recoverable || bytes == 0 && messages == 0 {
		return nil
	}
	_, err := r.exec("UPDATE mailboxes SET used = used + ?, messages = messages + ? WHERE id = ?", bytes, messages, f.Mailbox)
	return err
}
