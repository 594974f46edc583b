// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"

	"pecd/fault"
	"pecd/storage"
)

// NewMailbox is a mailbox to be created.
type NewMailbox struct {
	Address  string
	Tier     string // Tier.Code
	Holder   string
	Ordinary bool     // open to ordinary mail (S4-037)
	Service  bool     // provider service mailbox (RFC 6109 §2.2.5)
	User     *NewUser // who may use it, with every permission; nil for nobody yet
}

// mailboxesPerStep bounds one commit of CreateMailboxes.
const mailboxesPerStep = 100

// CreateMailbox creates a mailbox with its folders (INBOX, Bozze, Posta
// inviata, Archivio, Cestino, Posta indesiderata) and, where one is given, its
// user, in one step. The mailbox is active when its domain is certified,
// provisioned otherwise. Exists when the address is or ever was in use (D22) or
// the login is taken; NotFound without the domain or the tier; Conflict where the
// body has as many of the tier as it may (S4-055).
func (d *Directory) CreateMailbox(ctx context.Context, n NewMailbox) (storage.Mailbox, error) {
	const op = "directory.CreateMailbox"
	if err := d.May(ctx, CreateMailboxes); err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	n, err := d.derivedFor(ctx, n)
	if err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	f := d.found()
	put, err := f.withUser(ctx, n)
	if err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	if err := f.commit(ctx); err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	m := put.Mailbox
	m.ID = put.ID
	return m, nil
}

// CreateMailboxes creates many mailboxes, up to 100 in a step: one that fails
// leaves nothing of its step behind, earlier steps stay. Give NewUser.Hash
// rather than a password where many users share one.
func (d *Directory) CreateMailboxes(ctx context.Context, all []NewMailbox) error {
	const op = "directory.CreateMailboxes"
	if err := d.May(ctx, CreateMailboxes); err != nil {
		return fault.Wrap(op, err)
	}
	all = slices.Clone(all)
	for i := range all {
		var err error
		if all[i], err = d.derivedFor(ctx, all[i]); err != nil {
			return fault.Wrap(op, fmt.Errorf("%s (0 of %d created): %w", all[i].Address, len(all), err))
		}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	f := d.found()
	for done := 0; done < len(all); {
		n := min(len(all)-done, mailboxesPerStep)
		for _, m := range all[done : done+n] {
			if _, err := f.withUser(ctx, m); err != nil {
				return fault.Wrap(op, fmt.Errorf("%s (%d of %d created): %w", m.Address, done, len(all), err))
			}
		}
		if err := f.commit(ctx); err != nil {
			return fault.Wrap(op, fmt.Errorf("%d of %d created: %w", done, len(all), err))
		}
		done += n
	}
	return nil
}

// derivedFor is derived for the user of a mailbox, where it has one.
func (d *Directory) derivedFor(ctx context.Context, n NewMailbox) (NewMailbox, error) {
	if n.User == nil {
		return n, nil
	}
	u, err := d.derived(ctx, *n.User)
	n.User = &u
	return n, err
}
