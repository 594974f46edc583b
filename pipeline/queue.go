// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// Queue is the queued messages as an operator sees and moves them (ADR 0007
// §5): those on their way to other servers and those to be put into mailboxes.
// Deadlines are not messages, and what filters forward is done at once; they are
// listed where asked for by kind, and nobody moves them.
type Queue struct {
	*Core
	delivery *DeliveryPoint
	relay    *RelayPoint
}

// NewQueue returns the queue of the provider whose points are given.
func NewQueue(c *Core, d *DeliveryPoint, r *RelayPoint) *Queue {
	return &Queue{Core: c, delivery: d, relay: r}
}

// Filter selects queued messages. Zero fields do not restrict; the others all hold.
type Filter struct {
	Kind        string // JobRelay, JobDeliver, JobForward or JobDeadline; "": the first two
	Destination string // domain, without case
	// Mailbox is a sender, or the own mailbox that a delivery waits for; without case.
	Mailbox   string
	OlderThan time.Duration // queued at least that long
	LastError string        // part of it, without case
	Held      bool          // held ones only
	// Restored selects what was set aside when the store was put back from a
	// copy, of every kind, instead of what waits to be done.
	Restored bool
}

// Entry is one queued message.
type Entry struct {
	Job         storage.JobID
	Kind        string
	Destination string // domain
	ID          string // identificativo of the message, or of the one that the receipt is about
	Sender      string // reverse path; the service address for receipts; "" where it is not known any more
	Recipients  []string
	Receipt     bool // a receipt or notice of ours
	Created     time.Time
	Due         time.Time // the next attempt, where nothing keeps it back
	Paused      time.Time // until when its destination is not tried, zero where it is
	Expires     time.Time // when it is given up, zero for never
	Attempts    int
	LastError   string
	Held        bool // by an operator
	Active      bool // being done at this moment

	own      bool   // an envelope of ours
	provider string // whose envelope or receipt it is
	// msgID and subject are the envelope's, as far as they are known.
	msgID, subject string
}

// List calls fn for every queued message that the filter selects, by due time.
func (q *Queue) List(ctx context.Context, f Filter, fn func(Entry) error) error {
	now := q.Clock.Now()
	l := lister{Queue: q}
	kind := f.Kind
	if f.Restored && kind != "" {
		kind = storage.SetAside + kind
	}
	return q.Store.Jobs(ctx, kind, func(j storage.Job) error {
		if aside := strings.HasPrefix(j.Kind, storage.SetAside); aside != f.Restored {
			return nil
		}
		j = asItWas(j)
		if f.Kind == "" && !f.Restored && (j.Kind == JobDeadline || j.Kind == JobForward) || f.Held && !j.Held || now.Sub(j.Created) < f.OlderThan || !contains(j.LastError, f.LastError) {
			return nil
		}
		e, err := l.entry(ctx, j)
		if err != nil {
			return fault.Wrap("pipeline.List", err)
		}
		if f.Destination != "" && !strings.EqualFold(f.Destination, e.Destination) || f.Mailbox != "" && !e.concerns(f.Mailbox) {
			return nil
		}
		return fn(e)
	})
}

func contains(s, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

func (e Entry) concerns(mailbox string) bool {
	return strings.EqualFold(e.Sender, mailbox) || e.Kind == JobDeliver && len(e.Recipients) == 1 && strings.EqualFold(e.Recipients[0], mailbox)
}

// lister describes jobs. The deliveries of one message come one after the
// other: its transaction is read once.
type lister struct {
	*Queue
	tx storage.Transaction // read last
}

func (l *lister) entry(ctx context.Context, j storage.Job) (Entry, error) {
	e := Entry{
		Job: j.ID, Kind: j.Kind, Destination: j.Lane, Created: j.Created, Due: j.Due, Expires: j.Expires,
		Attempts: j.Attempts, LastError: j.LastError, Held: j.Held,
	}
	switch j.Kind {
	case JobRelay:
		var p relayPayload
		if decodePayload(j.Payload, &p) != nil {
			return e, nil // what cannot be read is in the queue all the same
		}
		e.ID, e.Sender, e.Recipients, e.Receipt, e.own = p.ID, p.Sender, p.everybody(), !p.Envelope, p.Envelope
		e.msgID, e.subject, e.provider = p.MsgID, p.Subject, l.Builder.Provider.Name
		if p.Notice != nil { // to a user's contact, whose address is on no record
			e.Recipients = []string{p.Notice.Masked}
		}
		e.Paused, e.Active = l.relay.lanes.paused(j.Lane), l.relay.underway.has(j.ID)
	case JobDeliver:
		var p deliverPayload
		if decodePayload(j.Payload, &p) != nil {
			return e, nil
		}
		e.ID, e.Recipients, e.Destination = p.ID, []string{p.Recipient}, domainOf(p.Recipient)
		e.own, e.provider, e.Active = p.Own, p.Provider, l.delivery.underway.has(j.ID)
		if p.Own {
			e.provider = l.Builder.Provider.Name
		}
		if !p.Silent { // who was never taken in charge has no transaction
			return e, l.describe(ctx, p, &e)
		}
	case JobForward:
		var p forwardPayload
		if decodePayload(j.Payload, &p) != nil {
			return e, nil
		}
		e.Sender, e.Recipients, e.Destination, e.provider = p.Mailbox, []string{p.To}, domainOf(p.To), l.Builder.Provider.Name
	case JobDeadline:
		var p deadlinePayload
		if decodePayload(j.Payload, &p) != nil {
			return e, nil
		}
		e.ID, e.own = p.ID, true
		return e, l.describe(ctx, deliverPayload{ID: p.ID, Own: true}, &e)
	}
	return e, nil
}

// describe says what the transaction of a delivery knows of its message.
func (l *lister) describe(ctx context.Context, p deliverPayload, e *Entry) error {
	if id := p.transaction(); id != l.tx.ID {
		tx, err := l.Store.Transaction(ctx, id, p.Own)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		tx.ID = id
		l.tx = tx
	}
	e.Sender, e.msgID, e.subject = l.tx.Sender, l.tx.MsgID, l.tx.Subject
	return nil
}
