// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"
	"time"

	"pecd/conduct"
	"pecd/fault"
	"pecd/pec"
	"pecd/storage"
)

// mayConduct says whether a mailbox may send for what it did lately: one that is
// blocked may not, one that is slowed down not always. With take a message is
// about to be accepted.
func (c *Core) mayConduct(ctx context.Context, box storage.Mailbox, take bool) error {
	const op = "pipeline.mayConduct"
	if box.Block.On() {
		return conduct.Refusal(op, box.Block.Reason)
	}
	if c.Conduct == nil {
		return nil
	}
	return fault.Wrap(op, c.Conduct.MaySend(box.Address, take, func() (int, error) {
		f, err := c.Mailboxes.Figures(ctx, box)
		return f.MaxPerMinute, err
	}))
}

// submitted tells what was accepted.
func (a *Access) submitted(ctx context.Context, m *accepted) {
	if a.Conduct == nil || m.box.Service {
		return
	}
	t, err := a.Mailboxes.Tier(ctx, m.box.Tier)
	if err != nil {
		a.Logger.Warn("conduct: a message is not counted", "error", err)
		return
	}
	a.Conduct.Submitted(conduct.Sent{Mailbox: m.box.Address, Login: m.Login, Application: t.Application})
}

// suspected tells that a submission was refused for what is in it.
func (c *Core) suspected(box storage.Mailbox) {
	if c.Conduct != nil && !box.Service {
		c.Conduct.Intercepted(box.Address)
	}
}

// outcome tells whether a recipient of a message of ours, accepted at an instant,
// exists.
func (c *Core) outcome(sender string, accepted time.Time, exists bool) {
	if c.Conduct == nil {
		return
	}
	known, unknown := 1, 0
	if !exists {
		known, unknown = 0, 1
	}
	c.Conduct.Outcome(strings.ToLower(sender), accepted, known, unknown)
}

// answered tells what other servers said of the recipients of a message of ours.
// That a certified recipient was taken by its provider says nothing yet.
func (r *RelayPoint) answered(job storage.Job, p relayPayload, a Attempt) {
	if !p.Envelope || r.Conduct == nil {
		return
	}
	for _, x := range a.Results {
		switch {
		case x.Err == nil && !p.Certified:
			r.outcome(p.Sender, job.Created, true)
		case x.Err != nil && !temporary(x.Err):
			r.outcome(p.Sender, job.Created, !missing(relayRefusal(x.Err).code))
		}
	}
}

// missing reports whether a notice says that a recipient does not exist.
func missing(code pec.ErrorCode) bool { return code == pec.NoDest || code == pec.NoDomain }

// told is what another provider's receipt says of recipients of ours, once it is
// stored. A notice that one does not exist is believed where our message to him is
// on record, open and his provider's to speak of: otherwise anybody could have our
// mailboxes blocked. before is that record as it was, zero without one.
func (i *Incoming) told(m *arrived, sender string, before storage.Transaction) {
	if m.rec.Kind == pec.Delivery {
		i.outcome(sender, m.at, true)
	}
	for _, r := range concerned(m.rec.CertData) {
		if owns := m.verdict.Origin.Domains; owns != nil && owns(domainOf(r)) && open(before, r) {
			i.outcome(before.Sender, before.At, false)
		}
	}
}

// before reads the transaction that a notice of a missing recipient is about: zero
// for other receipts, and where it is none of ours.
func (i *Incoming) before(ctx context.Context, m *arrived) (storage.Transaction, error) {
	if i.Conduct == nil || m.rec.Kind != pec.NonDelivery || !missing(m.rec.CertData.Error) {
		return storage.Transaction{}, nil
	}
	tx, err := i.Store.Transaction(ctx, m.rec.CertData.ID, true)
	if fault.Is(err, fault.NotFound) {
		return storage.Transaction{}, nil
	}
	return tx, err
}
