// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Query selects events. Zero fields do not restrict; the others all hold.
// Addresses and texts are compared without case.
type Query struct {
	From, To  time.Time // From ≤ At < To
	Kind      ledger.Kind
	ID        string // identificativo, with or without angle brackets
	MessageID string // the client's Message-ID, or that of a related message; brackets as above
	Mailbox   string // the own mailbox concerned
	Sender    string
	Recipient string
	Address   string // mailbox, sender or recipient
	Subject   string // a part of it
}

// Search calls fn for every event that q selects, in the order of the log.
// Records that cannot be read are passed over; where there are any, Search
// fails with fault.Internal after the rest. An error of fn ends it.
func Search(ctx context.Context, log storage.Log, q Query, fn func(storage.Record, ledger.Event) error) error {
	const op = "seal.Search"
	q.ID, q.MessageID, q.Subject = bare(q.ID), bare(q.MessageID), strings.ToLower(q.Subject)
	columns := storage.RecordQuery{From: q.From, To: q.To, ID: q.ID, Mailbox: q.Mailbox, Event: string(q.Kind)}
	var unread, first int64
	err := log.FindRecords(ctx, columns, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		if err != nil {
			if unread++; unread == 1 {
				first = r.Seq
			}
			return nil
		}
		if !q.matches(e) {
			return nil
		}
		return fn(r, e)
	})
	if err != nil {
		return fault.Wrap(op, err)
	}
	if unread > 0 {
		return fault.Say(op, fault.Internal, fmt.Sprintf(
			"%d registrazioni illeggibili, la prima è la %d: pecd ledger verify / unreadable records, the first is %d", unread, first, first))
	}
	return nil
}

// bare takes the angle brackets off an identifier.
func bare(id string) string { return strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">") }

// matches looks at what has no column.
func (q Query) matches(e ledger.Event) bool {
	recipient := func(address string) bool {
		for _, r := range e.Recipients {
			if strings.EqualFold(r.Address, address) {
				return true
			}
		}
		return false
	}
	message := func() bool {
		for _, id := range e.Related {
			if bare(id) == q.MessageID {
				return true
			}
		}
		return bare(e.MsgID) == q.MessageID
	}
	switch {
	case q.Sender != "" && !strings.EqualFold(e.Sender, q.Sender),
		q.Recipient != "" && !recipient(q.Recipient),
		q.Address != "" && !strings.EqualFold(e.Mailbox, q.Address) && !strings.EqualFold(e.Sender, q.Address) && !recipient(q.Address),
		q.MessageID != "" && !message(),
		q.Subject != "" && !strings.Contains(strings.ToLower(e.Subject), q.Subject):
		return false
	}
	return true
}
