// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"fmt"
	"math"

	"pecd/fault"
	"pecd/storage"
)

func copyMessages(op *storage.CopyMessages) change {
	const opName = "sqlite.CopyMessages"
	uids := uidList(op.UIDs)
	return func(r *run) error {
		from, err := r.folder(opName, op.From)
		if err != nil {
			return err
		}
		to, err := r.folder(opName, op.To)
		if err != nil {
			return err
		}
		ms, err := r.messages(op.From, uids)
		if err != nil {
			return err
		}
		if to.Recoverable {
			return keptApart(opName)
		}
		quota := op.Quota
		if op.Move && from.Mailbox == to.Mailbox && !from.Recoverable {
			quota = 0
		}
		dest, err := r.insertCopies(opName, from, ms, to)
		if err != nil {
			return err
		}
		if op.Move {
			if err := r.removeMessages(from, ms); err != nil {
				return err
			}
		}
		if quota > 0 && len(ms) > 0 {
			if err := r.holds(opName, to.Mailbox, ms, quota); err != nil {
				return err
			}
		}
		source := make([]uint32, len(ms))
		for i, m := range ms {
			source[i] = m.uid
		}
		r.after(func() { op.Source, op.Dest, op.UIDValidity = source, dest, to.UIDValidity })
		return r.logged(opName, op.Logged, storage.Handled{UIDs: source, Validity: from.UIDValidity, To: dest, ToValidity: to.UIDValidity})
	}
}

// holds fails where a mailbox holds more than a bound now that messages were added.
func (r *run) holds(op string, box storage.MailboxID, added []message, quota int64) error {
	var used, bytes int64
	if err := r.row("SELECT used FROM mailboxes WHERE id = ?", box).Scan(&used); err != nil {
		return err
	}
	if used > quota {
		return fault.New(op, fault.Quota, fmt.Errorf("mailbox %d would hold %d bytes of %d", box, used, quota))
	}
	for _, m := range added {
		bytes += m.size
	}
	return r.grown(box, used-bytes, used, quota)
}

// messages reads the messages that are there, in the order of uids.
func (r *run) messages(folder storage.FolderID, uids []uint32) ([]message, error) {
	var out []message
	for _, uid := range uids {
		m, err := r.message(folder, uid)
		if noRows(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// insertCopies puts copies of messages of a folder into another one and returns
// their UIDs. All of them share one modseq. Each user has seen of the copies what
// he has seen of the messages; where \Seen is not personal it is the viewer's.
func (r *run) insertCopies(op string, from storage.Folder, ms []message, to storage.Folder) ([]uint32, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	if int64(to.UIDNext)+int64(len(ms)) >= math.MaxUint32 {
		return nil, fault.New(op, fault.Unsupported, fmt.Errorf("folder %d has used up its UIDs", to.ID))
	}
	dest := make([]uint32, len(ms))
	var unseen, bytes int64
	for i, m := range ms {
		dest[i] = to.UIDNext + uint32(i)
		if from.PersonalSeen {
			if err := r.seenOf(&m, to, dest[i]); err != nil {
				return nil, err
			}
		}
		m.folder, m.uid, m.modseq, m.saved = to.ID, dest[i], to.ModSeq+1, r.now.Unix()
		if err := r.insertMessage(m); err != nil {
			return nil, err
		}
		r.refBody(m.body, 1)
		unseen += int64(1 - btoi(m.flags.seen()))
		bytes += m.size
	}
	_, err := r.exec(`UPDATE folders SET uidnext = uidnext + ?, modseq = ?, messages = messages + ?,
		unseen = unseen + ?, bytes = bytes + ? WHERE id = ?`, len(ms), to.ModSeq+1, len(ms), unseen, bytes, to.ID)
	if err != nil {
		return nil, err
	}
	r.touched(to.ID)
	return dest, r.chargeFor(to, bytes, int64(len(ms)))
}
