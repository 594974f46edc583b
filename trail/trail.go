// SPDX-License-Identifier: EUPL-1.2

// Package trail writes to the PEC log who reached a mailbox and what he did there
// (S4-017: who read, moved or sent what). What changes mail is recorded in the
// very step that changes it (Doing). Logins and readings, which are many and
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
	ID      int64          // of the application password, 0 without one
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

// Doing returns what records that who does something with messages of in, for the
// operation that does it: kind is ledger.MessageMoved, MessageCopied,
// MessageExpunged, MessageMarked or MessageAppended, to where they go.
func Doing(at time.Time, kind ledger.Kind, who Who, in Place, to Place) storage.Logged {
	return func(h storage.Handled) []storage.Record {
		var all []storage.Record
		for _, e := range events(at, kind, who, in, h) {
			e.To, e.Detail = to.Mailbox, to.Folder
			all = append(all, record(e).Record)
		}
		return all
	}
}

// Purged returns what records that messages of in were removed after their time
// of keeping, those put there before an instant. size tells the octets of one.
func Purged(at time.Time, in Place, before time.Time, size func(uid uint32) int64) storage.Logged {
	return func(h storage.Handled) []storage.Record {
		var all []storage.Record
		uids := h.UIDs
		for _, e := range events(at, ledger.RecoverablePurged, Who{Channel: ledger.POP3}, in, h) {
			e.Detail = "eliminati fino al / deleted up to " + before.UTC().Format(time.RFC3339)
			for _, uid := range uids[:e.Messages] {
				e.Size += size(uid)
			}
			uids = uids[e.Messages:]
			all = append(all, record(e).Record)
		}
		return all
	}
}

// events says what was done, in as many events as the sequence sets need. Each
// tells of the same messages where they were and where they went.
func events(at time.Time, kind ledger.Kind, who Who, in Place, h storage.Handled) []ledger.Event {
	var all []ledger.Event
	for len(h.UIDs) > 0 {
		text, n := sequence(h.UIDs)
		there := ""
		if len(h.To) > 0 {
			if there, n = sequence(h.To[:n]); n < len(h.UIDs) {
				text, n = sequence(h.UIDs[:n])
			}
			h.To = h.To[n:]
		}
		e := who.event(at, kind, in.Mailbox)
		e.Folder, e.UIDValidity, e.UIDs, e.Messages = in.Folder, h.Validity, text, int64(n)
		e.ToUIDs, e.ToValidity = there, h.ToValidity
		all, h.UIDs = append(all, e), h.UIDs[n:]
	}
	return all
}

func (w Who) event(at time.Time, kind ledger.Kind, mailbox string) ledger.Event {
	return ledger.Event{At: at, Kind: kind, User: w.Login, Program: w.Program, ProgramID: w.ID, Protocol: w.Channel, Peer: w.Remote, Mailbox: mailbox}
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

// sequence writes the first n of UIDs, in the order they are in, as a
// sequence set (RFC 9051 §9), as many as one record holds.
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
