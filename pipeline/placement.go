// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"slices"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/sieve"
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
	// record is what the log says of it, with its folders; nil: nothing here.
	record *ledger.Event
	// found is what protection found in it, and way the direction in which it came:
	// another mailbox that it is forwarded to has rules of its own.
	found []protection.Finding
	way   protection.Direction
	// fixed keeps the holder's filter away.
	fixed bool
	// header and size are the message's where the caller has them; size 0: they
	// are read from body.
	header rfc822.Header
	size   int64
}

// place adds to step what puts a message into its mailbox. It is the one way
// into a mailbox for all that the provider delivers, so that what a holder or his
// administrator chose for arriving messages holds for all of them.
func (c *Core) place(ctx context.Context, step *storage.Step, p placement) error {
	actions, err := c.filtered(ctx, p)
	if err != nil {
		return err
	}
	quota, exempt := p.quota, false
	if quota == 0 {
		quota, exempt = c.exempt(ctx, p.box)
	}
	files := firstInbox(actions.File)
	for n, f := range files {
		a := &storage.Append{
			Mailbox: p.box.ID, Into: p.folder(f), Body: p.body, Flags: slices.Concat(p.flags, f.Flags), InternalDate: p.at, Quota: quota, Exempt: exempt,
		}
		if n > 0 { // a copy, of a receipt too, counts; one that does not fit is left out, and the message is there
			a.Exempt, a.Optional = false, true
		}
		step.Add(a)
	}
	for _, to := range actions.Forward {
		step.Add(forwardJob(p, to))
	}
	c.noteArrival(step, p)
	if p.record != nil {
		e := *p.record
		e.Folder = p.folders(files)
		step.Add(c.record(e))
	}
	return nil
}

// firstInbox has INBOX, where it is among them, before the other folders: if the
// mailbox has room for one only, that is it.
func firstInbox(files []sieve.File) []sieve.File {
	sorted := slices.Clone(files)
	slices.SortStableFunc(sorted, func(a, b sieve.File) int {
		switch {
		case a.Folder == sieve.Inbox && b.Folder != sieve.Inbox:
			return -1
		case b.Folder == sieve.Inbox && a.Folder != sieve.Inbox:
			return 1
		}
		return 0
	})
	return sorted
}

// folder is where a message goes; what is kept goes where it would go without a
// filter.
func (p placement) folder(f sieve.File) *storage.Destination {
	if f.Folder == sieve.Inbox {
		return p.into
	}
	return &storage.Destination{Name: f.Folder}
}

// folders names the folders for the log, the one that surely has the message first.
func (p placement) folders(files []sieve.File) string {
	var names []string
	for _, f := range files {
		name := f.Folder
		if into := p.folder(f); into != nil {
			name = into.Name
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
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
