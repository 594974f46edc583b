// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// SetMailboxState moves a mailbox along its life (requirements 2.4.d). Conflict
// where there is no such way: a closed mailbox stays closed (D22), one is
// closed only after it was deactivated, and none is active in a domain that is
// not certified.
func (d *Directory) SetMailboxState(ctx context.Context, address string, to storage.MailboxState) error {
	const op = "directory.SetMailboxState"
	return fault.Wrap(op, d.change(ctx, address, func(m *storage.Mailbox) (ledger.Event, error) {
		e := ledger.Event{Kind: ledger.MailboxState, From: string(m.State), To: string(to)}
		if m.State == to {
			return e, nil
		}
		if !reachable(m.State, to) {
			return e, fault.Say(op, fault.Conflict, fmt.Sprintf("passaggio di stato non previsto: %s → %s / no such change of state", m.State, to))
		}
		if to == storage.MailboxActive {
			ok, err := d.IsLocalDomain(ctx, m.Domain)
			if err != nil {
				return e, err
			}
			if !ok {
				return e, fault.Say(op, fault.Conflict, "il dominio non è certificato / the domain is not certified")
			}
		}
		m.State = to
		return e, nil
	}))
}

func reachable(from, to storage.MailboxState) bool {
	switch from {
	case storage.MailboxProvisioned, storage.MailboxBlocked:
		return to == storage.MailboxActive
	case storage.MailboxActive:
		return to == storage.MailboxBlocked || to == storage.MailboxDeactivated
	case storage.MailboxDeactivated:
		return to == storage.MailboxActive || to == storage.MailboxClosed
	}
	return false
}

// SetOrdinary opens a mailbox to ordinary mail or closes it (S4-037).
func (d *Directory) SetOrdinary(ctx context.Context, address string, open bool) error {
	return fault.Wrap("directory.SetOrdinary", d.change(ctx, address, func(m *storage.Mailbox) (ledger.Event, error) {
		m.Ordinary = open
		if open {
			return ledger.Event{Kind: ledger.OrdinaryOpened}, nil
		}
		return ledger.Event{Kind: ledger.OrdinaryClosed}, nil
	}))
}

// change reads a mailbox from the store, lets edit alter it and writes it back,
// with the record of the event that edit returns. A mailbox that edit left as it
// was is not written.
func (d *Directory) change(ctx context.Context, address string, edit func(*storage.Mailbox) (ledger.Event, error)) error {
	const op = "directory.change"
	a, _, why := canonicalAddress(address)
	if why != "" {
		return fault.New(op, fault.NotFound, nil)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	m, err := d.st.Mailbox(ctx, a)
	if err != nil {
		return err
	}
	before := m
	e, err := edit(&m)
	if err != nil {
		return err
	}
	if m == before {
		return nil
	}
	e.Mailbox = a
	var step storage.Step
	if err := d.st.Commit(ctx, step.Add(&storage.PutMailbox{Mailbox: m}, d.recorded(ctx, e))); err != nil {
		return err
	}
	d.boxes.drop(a)
	return nil
}
