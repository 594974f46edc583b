// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"fmt"
	"math"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// message is a row of messages.
type message struct {
	folder      storage.FolderID
	uid         uint32
	body        storage.BodyID
	size        int64
	flags       flagSet
	modseq      uint64
	date, saved int64 // Unix seconds
}

const messageColumns = "folder, uid, body, size, flags, keywords, modseq, date, saved"

func scanMessage(row scanner) (m message, err error) {
	var keywords string
	err = row.Scan(&m.folder, &m.uid, &m.body, &m.size, &m.flags.system, &keywords, &m.modseq, &m.date, &m.saved)
	m.flags.keywords = splitKeywords(keywords)
	return m, err
}

func (m message) public() storage.Message {
	return storage.Message{
		Folder: m.folder, UID: m.uid, Body: m.body, Size: m.size, Flags: m.flags.list(), ModSeq: m.modseq,
		InternalDate: time.Unix(m.date, 0).UTC(), SavedDate: time.Unix(m.saved, 0).UTC(),
	}
}

// insertMessage stores the row of a message.
func (r *run) insertMessage(m message) error {
	_, err := r.exec("INSERT INTO messages ("+messageColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		m.folder, m.uid, m.body, m.size, m.flags.system, m.flags.joined(), m.modseq, m.date, m.saved)
	return err
}

func (p *prepared) append(op *storage.Append) (change, error) {
	const opName = "sqlite.Append"
	id, body, err := p.refer(opName, op.Body)
	if err != nil {
		return nil, err
	}
	if id == 0 && body == nil {
		return nil, invalid(opName, "no body")
	}
	flags, err := parseFlags(opName, op.Flags)
	if err != nil {
		return nil, err
	}
	name := inbox
	if op.Name != "" {
		if name, err = folderName(opName, op.Name); err != nil {
			return nil, err
		}
	}
	if op.UIDL != "" && !validUIDL(op.UIDL) {
		return nil, invalid(opName, "identifier %q of POP3", op.UIDL)
	}
	into, err := intoFolder(opName, op)
	if err != nil {
		return nil, err
	}
	return func(r *run) error {
		bodyID, size, err := r.use(opName, id, body)
		if err != nil {
			return err
		}
		m := message{body: bodyID, size: size, flags: flags, saved: r.now.Unix()}
		if m.date = op.InternalDate.Unix(); op.InternalDate.IsZero() {
			m.date = m.saved
		}
		folder := op.Folder
		if into != nil {
			if folder, err = r.destination(opName, op.Mailbox, *into); err != nil {
				return err
			}
		}
		if done, err := r.spared(opName, op, folder, m); done || err != nil {
			return err
		}
		own := false // \Seen is that of the viewer alone
		if r.viewer != "" && m.flags.seen() {
			if own, err = r.personalSeen(folder, op.Mailbox); err != nil {
				return err
			}
			m.flags = m.flags.toggled(own)
		}
		in, err := r.receive(opName, folder, op.Mailbox, name, &m)
		if err != nil {
			return err
		}
		if op.UIDL != "" {
			if _, err := r.exec("INSERT INTO uidls (folder, uid, uidl) VALUES (?, ?, ?)", in.ID, m.uid, op.UIDL); err != nil {
				return err
			}
		}
		if op.Sent != nil {
			if err := r.awaitOther(newSentCopy(op.Sent, in.ID), m.uid); err != nil {
				return err
			}
		}
		if own {
			if err := errors.Join(r.differ(opName, m.folder, m.uid, true), r.countSeen(m.folder, r.viewer, m.contrary())); err != nil {
				return err
			}
		}
		r.after(func() { op.UID, op.UIDValidity, op.In, op.ModSeq = m.uid, in.UIDValidity, in.ID, m.modseq })
		if err := r.logged(opName, op.Logged, storage.Handled{UIDs: []uint32{m.uid}, Validity: in.UIDValidity}); err != nil {
			return err
		}
		return r.chargeQuota(opName, in.Mailbox, size, 1, op.Quota, op.Exempt)
	}, nil
}

// receive puts a message into a folder, given by id or by mailbox and name, as
// its next UID. Of the folder it returns what identifies it.
func (r *run) receive(op string, id storage.FolderID, box storage.MailboxID, name string, m *message) (storage.Folder, error) {
	const set = `UPDATE folders SET uidnext = uidnext + 1, modseq = modseq + 1, messages = messages + 1,
		unseen = unseen + ?, bytes = bytes + ? WHERE `
	const returning = " RETURNING id, mailbox, uidvalidity, uidnext, modseq, recoverable"
	unseen := 1
	if m.flags.seen() {
		unseen = 0
	}
	var q oneRow
	if id != 0 {
		q = r.row(set+"id = ?"+returning, unseen, m.size, id)
	} else {
		q = r.row(set+"mailbox = ? AND name = ?"+returning, unseen, m.size, box, name)
	}
	var f storage.Folder
	err := q.Scan(&f.ID, &f.Mailbox, &f.UIDValidity, &f.UIDNext, &f.ModSeq, &f.Recoverable)
	if noRows(err) {
		if id != 0 {
			return f, absent(op, "folder %d", id)
		}
		return f, absent(op, "folder %q in mailbox %d", name, box)
	}
	if err != nil {
		return f, err
	}
	if f.Recoverable {
		return f, keptApart(op)
	}
	if f.UIDNext == math.MaxUint32 {
		return f, fault.New(op, fault.Unsupported, fmt.Errorf("folder %d has used up its UIDs", f.ID))
	}
	m.folder, m.uid, m.modseq = f.ID, f.UIDNext-1, f.ModSeq
	r.touched(f.ID)
	return f, r.insertMessage(*m)
}

// chargeQuota is charge with a bound on what the mailbox holds afterwards; 0:
// none. exempt: what is charged may exceed it.
func (r *run) chargeQuota(op string, box storage.MailboxID, bytes, messages, quota int64, exempt bool) error {
	if quota <= 0 {
		_, err := r.exec("UPDATE mailboxes SET used = used + ?, messages = messages + ? WHERE id = ?", bytes, messages, box)
		return err
	}
	var used int64
	err := r.row("UPDATE mailboxes SET used = used + ?, messages = messages + ? WHERE id = ? RETURNING used",
		bytes, messages, box).Scan(&used)
	if err != nil {
		return err
	}
	if used > quota && !exempt {
		return fault.New(op, fault.Quota, fmt.Errorf("mailbox %d would hold %d bytes of %d", box, used, quota))
	}
	return r.grown(box, used-bytes, used, quota)
}
