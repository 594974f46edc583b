// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"crypto/sha256"

	"pecd/storage"
)

// sentSum is how many octets of the sum of a Message-ID are kept.
const sentSum = 16

// forgottenAtOnce is how many old rows each new one removes: more than one, so
// that none stay behind, and not so many that a step takes long.
const forgottenAtOnce = 8

// waitingCopies is how many copies of one Message-ID wait for the other side's:
// the last ones. A client may use one over and over again.
const waitingCopies = 16

// sentCopy is a copy of a submission that is being put into a folder.
type sentCopy struct {
	folder storage.FolderID
	sum    []byte
	client bool
}

func newSentCopy(s *storage.SentCopy, folder storage.FolderID) sentCopy {
	sum := sha256.Sum256([]byte(s.MessageID))
	return sentCopy{folder: folder, sum: sum[:sentSum], client: s.ByClient}
}

// spared tells whether an Append has nothing to put into its folder: the other
// copy of a submission is there, or there is no room for what is optional. Then
// the reference to its body, which was counted beforehand, is given back.
func (r *run) spared(opName string, op *storage.Append, folder storage.FolderID, m message) (bool, error) {
	if op.Sent != nil {
		there, f, met, err := r.meet(opName, newSentCopy(op.Sent, folder), m.flags)
		if err != nil {
			return false, err
		}
		r.after(func() { op.Sent.Met = met })
		if met {
			r.refBody(m.body, -1)
			r.after(func() { op.UID, op.UIDValidity, op.In, op.ModSeq = there.uid, f.UIDValidity, f.ID, there.modseq })
			return true, nil
		}
	}
	if !op.Optional {
		return false, nil
	}
	fits, err := r.fits(opName, op.Mailbox, m.size, op.Quota)
	if err != nil || fits {
		return false, err
	}
	r.refBody(m.body, -1)
	return true, nil
}

// meet looks for the other side's copy. Where it is there, it gets the flags
// besides its own, and is not met again.
func (r *run) meet(op string, c sentCopy, flags flagSet) (m message, f storage.Folder, met bool, err error) {
	var uid uint32
	err = r.row(`SELECT s.uid FROM sent_copies s JOIN messages m ON m.folder = s.folder AND m.uid = s.uid
		WHERE s.folder = ? AND s.sum = ? AND s.client = ? AND s.at BETWEEN ? AND ? ORDER BY s.uid LIMIT 1`,
		c.folder, c.sum, !c.client, nanos(r.now.Add(-storage.SentWindow)), nanos(r.now.Add(storage.SentWindow))).Scan(&uid)
	if noRows(err) {
		return m, f, false, nil
	}
	if err != nil {
		return m, f, false, err
	}
	if _, err := r.exec("DELETE FROM sent_copies WHERE folder = ? AND sum = ? AND client = ? AND uid = ?", c.folder, c.sum, !c.client, uid); err != nil {
		return m, f, false, err
	}
	if f, err = r.folder(op, c.folder); err != nil {
		return m, f, false, err
	}
	if m, err = r.message(c.folder, uid); err != nil {
		return m, f, false, err
	}
	if f.PersonalSeen { // who has seen it is each user's own affair
		flags.system &^= flagSeen
	}
	m, err = r.reflag(op, f, m, m.flags.add(flags))
	return m, f, true, err
}

// reflag gives a message other flags.
func (r *run) reflag(op string, f storage.Folder, m message, flags flagSet) (message, error) {
	if flags.equal(m.flags) {
		return m, nil
	}
	if len(flags.keywords) > maxKeywords {
		return m, invalid(op, "uid %d would have %d keywords, at most %d are kept", m.uid, len(flags.keywords), maxKeywords)
	}
	unseen := btoi(m.flags.seen()) - btoi(flags.seen())
	m.flags, m.modseq = flags, f.ModSeq+1
	_, err := r.exec("UPDATE messages SET flags = ?, keywords = ?, modseq = ? WHERE folder = ? AND uid = ?",
		flags.system, flags.joined(), m.modseq, f.ID, m.uid)
	if err != nil {
		return m, err
	}
	r.touched(f.ID)
	_, err = r.exec("UPDATE folders SET modseq = ?, unseen = unseen + ? WHERE id = ?", m.modseq, unseen, f.ID)
	return m, err
}

// awaitOther notes a copy that was put into its folder, until the other side's
// comes, or is not expected any more.
func (r *run) awaitOther(c sentCopy, uid uint32) error {
	_, err := r.exec(`DELETE FROM sent_copies WHERE (folder, sum, client, uid) IN
		(SELECT folder, sum, client, uid FROM sent_copies WHERE at < ? ORDER BY at LIMIT ?)`,
		nanos(r.now.Add(-storage.SentWindow)), forgottenAtOnce)
	if err != nil {
		return err
	}
	_, err = r.exec("INSERT INTO sent_copies (folder, sum, uid, client, at) VALUES (?, ?, ?, ?, ?)",
		c.folder, c.sum, uid, c.client, nanos(r.now))
	if err != nil {
		return err
	}
	_, err = r.exec(`DELETE FROM sent_copies WHERE folder = ?1 AND sum = ?2 AND client = ?3 AND uid <=
		(SELECT uid FROM sent_copies WHERE folder = ?1 AND sum = ?2 AND client = ?3 ORDER BY uid DESC LIMIT 1 OFFSET ?4)`,
		c.folder, c.sum, c.client, waitingCopies)
	return err
}

// fits tells whether a mailbox has room for so many octets more.
func (r *run) fits(op string, box storage.MailboxID, size, quota int64) (bool, error) {
	if quota <= 0 {
		return true, nil
	}
	var used int64
	err := r.row("SELECT used FROM mailboxes WHERE id = ?", box).Scan(&used)
	if noRows(err) {
		return false, absent(op, "mailbox %d", box)
	}
	return used+size <= quota, err
}
