// SPDX-License-Identifier: EUPL-1.2

// Package trail writes to the PEC log who reached a mailbox and what he did there
// (S4-017: who read, moved or sent what). What changes mail is recorded in the
// very step that changes it (Done). Logins and readings, which are many and
// change nothing, are gathered by a Recorder and written within a second, many
// in one commit: a node that dies loses that second of them.
package trail

import (
	"slices"
	"strconv"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// Who is somebody at work.
type Who struct {
	Login   string         // canonical; "" where it is not known
	Program string         // name of the application password, "" for his own password
	Channel ledger.Channel // ledger.IMAP, POP3, SMTP, Web
	Remote  string         // IP address
}

// Messages are some messages of one folder.
type Messages struct {
	Mailbox     string // address
	Folder      string
	UIDValidity uint32
	UIDs        []uint32 // in any order
}

// Place is a folder that messages are in, or go to: zero for none.
type Place struct {
	Mailbox string // address
	Folder  string
}

// maxUIDText is how long a sequence set in one record may be, in octets: what
// the log keeps of it whole.
const maxUIDText = 3900

// Done returns the operations that record what who does with messages, for the
// step that does it: kind is ledger.MessageMoved, MessageCopied, MessageExpunged,
// MessageMarked or MessageAppended, to where they go. None without messages.
func Done(at time.Time, kind ledger.Kind, who Who, m Messages, to Place) []storage.Op {
	var ops []storage.Op
	for _, rec := range records(at, kind, who, m, to) {
		ops = append(ops, &storage.AppendRecord{Record: rec})
	}
	return ops
}

// Doing is Done for operations that tell themselves with which messages of in
// something was done.
func Doing(at time.Time, kind ledger.Kind, who Who, in Place, to Place) storage.Logged {
	return func(uids []uint32, validity uint32) []storage.Record {
		return records(at, kind, who, Messages{in.Mailbox, in.Folder, validity, uids}, to)
	}
}

func records(at time.Time, kind ledger.Kind, who Who, m Messages, to Place) []storage.Record {
	var all []storage.Record
	for _, e := range events(at, kind, who, m) {
		e.To, e.Detail = to.Mailbox, to.Folder
		all = append(all, record(e).Record)
	}
	return all
}

// events says what was done, in as many events as the sequence set needs.
func events(at time.Time, kind ledger.Kind, who Who, m Messages) []ledger.Event {
	var all []ledger.Event
	for uids := sorted(m.UIDs); len(uids) > 0; {
		text, n := sequence(uids)
		e := who.event(at, kind, m.Mailbox)
		e.Folder, e.UIDValidity, e.UIDs, e.Messages = m.Folder, m.UIDValidity, text, int64(n)
		all, uids = append(all, e), uids[n:]
	}
	return all
}

func (w Who) event(at time.Time, kind ledger.Kind, mailbox string) ledger.Event {
	return ledger.Event{At: at, Kind: kind, User: w.Login, Program: w.Program, Protocol: w.Channel, Peer: w.Remote, Mailbox: mailbox}
}

func record(e ledger.Event) *storage.AppendRecord {
	return &storage.AppendRecord{Record: storage.Record{At: e.At, Event: string(e.Kind), Mailbox: e.Mailbox, Data: e.Encode()}}
}

// sorted returns a copy in order, each UID once.
func sorted(uids []uint32) []uint32 {
	s := slices.Clone(uids)
	slices.Sort(s)
	return slices.Compact(s)
}

// sequence writes the first n of ascending UIDs as a sequence set (RFC 9051
// §9), as many as one record holds.
func sequence(uids []uint32) (text string, n int) {
	var b []byte
	for n < len(uids) && len(b) < maxUIDText {
		end := n
		for end+1 < len(uids) && uids[end+1] == uids[end]+1 {
			end++
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(uids[n]), 10)
		if end > n {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(uids[end]), 10)
		}
		n = end + 1
	}
	return string(b), n
}
