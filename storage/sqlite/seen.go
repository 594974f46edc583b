// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"math"

	"pecd/storage"
)

// viewer is the login that a call is marked with, as it is stored.
func viewer(ctx context.Context) string { return address(storage.Viewer(ctx)) }

// viewedFlags is messages.flags as the viewer ?1 has them in a mailbox with
// personal_seen.
const viewedFlags = `CASE WHEN EXISTS (SELECT 1 FROM seen
		WHERE seen.folder = messages.folder AND seen.uid = messages.uid AND seen.login = ?1)
	THEN (messages.flags | 8) - (messages.flags & 8) ELSE messages.flags END`

// viewedUnseen and viewedSubscribed are columns of folders as the viewer ?1 has them.
const (
	viewedUnseen     = "unseen + coalesce((SELECT c.unseen FROM seen_counts c WHERE c.folder = folders.id AND c.login = ?1), 0)"
	viewedSubscribed = "coalesce((SELECT s.subscribed FROM subscriptions s WHERE s.folder = folders.id AND s.login = ?1), subscribed)"
)

// ownSeen knows of which messages the viewer's \Seen is the contrary of the
// message's own, for a range of UIDs at a time: to look each of them up would take
// longer than to read the messages.
type ownSeen struct {
	s      *Store // nil: there are none
	folder storage.FolderID
	login  string

	from, to uint32   // what is known; nothing while to is 0
	uids     []uint32 // ascending; those before the message at work are taken away
}

// load makes sure that from is known.
func (o *ownSeen) load(ctx context.Context, from uint32) error {
	if o.s == nil || o.to > 0 && o.from <= from && from <= o.to {
		return nil
	}
	uids, _, err := readCells(ctx, o.s.read.db, "SELECT uid FROM seen WHERE folder = ? AND login = ? AND uid >= ? ORDER BY uid LIMIT ?",
		func(c cells) (uint32, int) { return uint32(c.int(0)), 0 }, o.uids[:0], int64(o.folder), o.login, int64(from), int64(flagChunk))
	if err != nil {
		return err
	}
	o.from, o.to, o.uids = from, math.MaxUint32, uids
	if len(uids) == flagChunk {
		o.to = uids[len(uids)-1]
	}
	return nil
}

// apply turns the flags of a row of messages, UID and flags first, into the
// viewer's. Rows come by UID.
func (o *ownSeen) apply(c cells) {
	uid := uint32(c.int(0))
	for len(o.uids) > 0 && o.uids[0] < uid {
		o.uids = o.uids[1:]
	}
	if len(o.uids) > 0 && o.uids[0] == uid {
		c[1] = c.int(1) ^ flagSeen
	}
}

// toggled is f with the contrary of \Seen, where other is set.
func (f flagSet) toggled(other bool) flagSet {
	if other {
		f.system ^= flagSeen
	}
	return f
}

// seenAs is f with \Seen as g has it.
func (f flagSet) seenAs(g flagSet) flagSet {
	f.system = f.system&^flagSeen | g.system&flagSeen
	return f
}

// differs reports whether the viewer's \Seen of a message is the contrary of the
// message's own.
func (r *run) differs(folder storage.FolderID, uid uint32) (bool, error) {
	if r.viewer == "" {
		return false, nil
	}
	var n int
	err := r.row("SELECT count(*) FROM seen WHERE folder = ? AND login = ? AND uid = ?", folder, r.viewer, uid).Scan(&n)
	return n > 0, err
}

// differ makes the viewer's \Seen of a message the contrary of the message's, or
// the same. The count is moved by countSeen.
func (r *run) differ(op string, folder storage.FolderID, uid uint32, contrary bool) error {
	if !contrary {
		_, err := r.exec("DELETE FROM seen WHERE folder = ? AND login = ? AND uid = ?", folder, r.viewer, uid)
		return err
	}
	n, err := r.affected("INSERT INTO seen (folder, login, uid) SELECT ?, login, ? FROM users WHERE login = ?", folder, uid, r.viewer)
	if err == nil && n == 0 {
		err = absent(op, "user %q", r.viewer)
	}
	return err
}

// countSeen moves by how much the unseen messages of a login are more than those
// that the folder counts.
func (r *run) countSeen(folder storage.FolderID, login string, unseen int) error {
	if unseen == 0 {
		return nil
	}
	_, err := r.exec(`INSERT INTO seen_counts (folder, login, unseen) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET unseen = unseen + excluded.unseen`, folder, login, unseen)
	return err
}

// forgetSeen takes away whose \Seen of a message differs, with the message.
func (r *run) forgetSeen(m message) error {
	logins, err := rows(r, scanLogin, "DELETE FROM seen WHERE folder = ? AND uid = ? RETURNING login", m.folder, m.uid)
	if err != nil {
		return err
	}
	for _, login := range logins {
		if err := r.countSeen(m.folder, login, -m.contrary()); err != nil {
			return err
		}
	}
	return nil
}

// copySeen gives the copy of a message to all who have their own \Seen of it.
func (r *run) copySeen(m message, to storage.FolderID, uid uint32) error {
	logins, err := rows(r, scanLogin, `INSERT INTO seen (folder, login, uid)
		SELECT ?, login, ? FROM seen WHERE folder = ? AND uid = ? RETURNING login`, to, uid, m.folder, m.uid)
	if err != nil {
		return err
	}
	for _, login := range logins {
		if err := r.countSeen(to, login, m.contrary()); err != nil {
			return err
		}
	}
	return nil
}

// seenOf makes \Seen of a message, of a folder where it is personal, what its copy
// is to have.
func (r *run) seenOf(m *message, to storage.Folder, uid uint32) error {
	if to.PersonalSeen {
		return r.copySeen(*m, to.ID, uid)
	}
	contrary, err := r.differs(m.folder, m.uid)
	m.flags = m.flags.toggled(contrary)
	return err
}

// contrary is what a message adds to the unseen ones of a login for whom its
// \Seen is the contrary.
func (m message) contrary() int {
	if m.flags.seen() {
		return 1
	}
	return -1
}

func scanLogin(row scanner) (login string, err error) {
	err = row.Scan(&login)
	return login, err
}

// personalSeen reports whether \Seen is personal in a folder, given as in receive.
func (r *run) personalSeen(id storage.FolderID, box storage.MailboxID) (personal bool, err error) {
	if id != 0 {
		err = r.row("SELECT personal_seen FROM mailboxes WHERE id = (SELECT mailbox FROM folders WHERE id = ?)", id).Scan(&personal)
	} else {
		err = r.row("SELECT personal_seen FROM mailboxes WHERE id = ?", box).Scan(&personal)
	}
	if noRows(err) { // receive says so
		return false, nil
	}
	return personal, err
}

// endPersonalSeen makes \Seen of all messages of a mailbox what they have
// themselves. Those for which that is a change have a new modseq.
func (r *run) endPersonalSeen(box storage.MailboxID) error {
	ids, err := rows(r, scanFolderID,
		"SELECT id FROM folders WHERE mailbox = ? AND EXISTS (SELECT 1 FROM seen WHERE seen.folder = folders.id)", box)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for _, q := range [...]string{
			"UPDATE folders SET modseq = modseq + 1 WHERE id = ?1",
			`UPDATE messages SET modseq = (SELECT modseq FROM folders WHERE id = ?1)
				WHERE folder = ?1 AND uid IN (SELECT uid FROM seen WHERE folder = ?1)`,
			"DELETE FROM seen WHERE folder = ?1",
		} {
			if _, err := r.exec(q, id); err != nil {
				return err
			}
		}
		r.touched(id)
	}
	_, err = r.exec("DELETE FROM seen_counts WHERE folder IN (SELECT id FROM folders WHERE mailbox = ?)", box)
	return err
}

func scanFolderID(row scanner) (id storage.FolderID, err error) {
	err = row.Scan(&id)
	return id, err
}
