// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// placement is one message on its way into one own mailbox, of whatever kind and
// from whichever point.
type placement struct {
	box  storage.Mailbox
	body storage.BodyRef // as it will be stored
	at   time.Time
	// class is what it is. Receipts and notices are stored whatever the quota says
	// (D23); what a message of another class may take up is quota, 0 for no bound.
	class ledger.Class
	quota int64
	into  *storage.Destination // chosen already; nil: INBOX
	flags []string
	quiet bool // nobody is told of it
}

// place adds to step what puts a message into its mailbox. It is the one way
// into a mailbox for all that the provider delivers, so that what a holder or his
// administrator chose for arriving messages holds for all of them.
func (c *Core) place(ctx context.Context, step *storage.Step, p placement) error {
	quota, exempt := p.quota, false
	if quota == 0 {
		quota, exempt = c.exempt(ctx, p.box)
	}
	step.Add(&storage.Append{
		Mailbox: p.box.ID, Into: p.into, Body: p.body, Flags: p.flags, InternalDate: p.at, Quota: quota, Exempt: exempt,
	})
	c.noteArrival(step, p)
	return nil
}

// room is how many octets a mailbox may hold.
func (c *Core) room(ctx context.Context, box storage.Mailbox) (int64, error) {
	f, err := c.Mailboxes.Figures(ctx, box)
	return f.QuotaBytes, err
}

// exempt is room for what is stored whatever the quota says: its holder is to
// learn that the mailbox fills up. That must not keep a receipt back.
func (c *Core) exempt(ctx context.Context, box storage.Mailbox) (quota int64, exempt bool) {
	quota, err := c.room(ctx, box)
	if err != nil {
		return 0, false
	}
	return quota, quota > 0
}
