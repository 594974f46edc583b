// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// relayLife is how long an undelivered message is tried: an error must reach
// the sender within 24 hours (RFC 6109 §2.2.2, pec-rules §1.8). The queue hands
// a job out then, whatever keeps it back.
const relayLife = 24 * time.Hour

// expired reports whether the time of a job is over.
func expired(job storage.Job, at time.Time) bool { return at.Sub(job.Created) >= relayLife }

func deliverJob(body *storage.NewBody, p deliverPayload, at time.Time) *storage.Enqueue {
	return &storage.Enqueue{
		Job:  storage.Job{Kind: JobDeliver, Due: at, Created: at, Expires: at.Add(relayLife), Payload: encodePayload(p)},
		Body: storage.BodyRef{New: body},
	}
}

func relayJob(body *storage.NewBody, domain string, p relayPayload, at time.Time) *storage.Enqueue {
	return &storage.Enqueue{
		Job:  storage.Job{Kind: JobRelay, Lane: domain, Due: at, Created: at, Expires: at.Add(relayLife), Payload: encodePayload(p)},
		Body: storage.BodyRef{New: body},
	}
}

// outgoing is a receipt or notice of ours on its way to its addressee.
type outgoing struct {
	body     *storage.NewBody
	to       string
	id       string    // identificativo of the message it is about
	accepted time.Time // when that message was accepted
	eightBit bool
}

// route adds to step what brings a receipt or notice of ours to its addressee:
// straight into an own mailbox, whose quota does not count for it (D23), or to
// the relay. It reports false where the addressee does not exist any more.
func (c *Core) route(ctx context.Context, step *storage.Step, o outgoing, at time.Time) (bool, error) {
	local, err := c.isLocal(ctx, o.to)
	if err != nil {
		return false, err
	}
	if !local {
		step.Add(o.body, relayJob(o.body, domainOf(o.to), relayPayload{
			ID: o.id, Sender: c.serviceAddress(), Recipients: []string{o.to}, EightBit: o.eightBit,
			Certified: c.Providers.Certified(domainOf(o.to)),
		}, at))
		return true, nil
	}
	box, err := c.Mailboxes.Mailbox(ctx, o.to)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	kept := prefixed(o.body, returnPath(c.serviceAddress()))
	return true, c.place(ctx, step.Add(kept), placement{
		box: box, body: storage.BodyRef{New: kept}, at: at, class: ledger.ClassReceipt, into: c.receiptsInto(box, o.accepted),
	})
}

// eventOf is a log event about a certified message (pec-rules §6.3).
func eventOf(m pec.Message, k ledger.Kind, at time.Time) ledger.Event {
	e := ledger.Event{At: at, Kind: k, ID: m.ID, MsgID: m.MsgID, Sender: m.Sender, Subject: m.Subject}
	e.ReceiptType = string(m.Receipt)
	for _, r := range m.Recipients {
		if r.External {
			e.Ordinary++
			e.Recipients = append(e.Recipients, ledger.Recipient{Address: r.Address, Type: ledger.Ordinary})
		} else {
			e.Certified++
			e.Recipients = append(e.Recipients, ledger.Recipient{Address: r.Address, Type: ledger.Certified})
		}
	}
	return e
}

// concern narrows an event to the recipients it is about. The log has all of
// them at the acceptance or arrival of the message.
func concern(e *ledger.Event, recipients ...string) {
	e.Recipients, e.Certified, e.Ordinary = nil, 0, 0
	for _, r := range recipients {
		e.Recipients = append(e.Recipients, ledger.Recipient{Address: r})
	}
}
