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
// not certified. Denied where the role of who acts may not do that, or what the
// provider set would end.
func (d *Directory) SetMailboxState(ctx context.Context, address string, to storage.MailboxState) error {
	const op = "directory.SetMailboxState"
	by := ActorOf(ctx).Role
	return fault.Wrap(op, d.change(ctx, stateAction(to), address, func(m *storage.Mailbox) (ledger.Event, error) {
		e := ledger.Event{Kind: ledger.MailboxState, From: string(m.State), To: string(to)}
		if m.State != to {
			if err := d.mayMove(ctx, *m, to); err != nil {
				return e, err
			}
		}
		// The provider makes a state that a body set its own by setting it again.
		if m.State != to || by == RoleProvider {
			m.State, m.StateBy = to, ""
			if by != RoleProvider {
				m.StateBy = string(by)
			}
		}
		return e, nil
	}))
}

// stateAction is what setting a state does.
func stateAction(to storage.MailboxState) Action {
	switch to {
	case storage.MailboxActive:
		return ActivateMailbox
	case storage.MailboxDeactivated:
		return DeactivateMailbox
	case storage.MailboxClosed:
		return CloseMailbox
	}
	return BlockMailbox
}

// mayMove checks that a mailbox may go to another state.
func (d *Directory) mayMove(ctx context.Context, m storage.Mailbox, to storage.MailboxState) error {
	const op = "directory.mayMove"
	switch {
	case to == storage.MailboxClosed && m.State != storage.MailboxDeactivated && m.State != storage.MailboxClosed:
		return fault.Say(op, fault.Conflict, "si chiude solo una casella disattivata, ed è per sempre / only a deactivated mailbox is closed, and for good")
	case !reachable(m.State, to):
		return fault.Say(op, fault.Conflict, fmt.Sprintf("passaggio di stato non previsto: %s → %s / no such change of state", m.State, to))
	case to != storage.MailboxActive:
		return nil
	}
	if by := ActorOf(ctx).Role; by != RoleProvider && m.StateBy != string(by) {
		return fault.Say(op, fault.Denied, "lo stato della casella è stato deciso dal gestore: solo lui può riattivarla / the provider set this state, and alone can end it")
	}
	ok, err := d.IsLocalDomain(ctx, m.Domain)
	if err == nil && !ok {
		return fault.Say(op, fault.Conflict, "il dominio non è certificato / the domain is not certified")
	}
	return err
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

// SetOrdinary opens a mailbox to ordinary mail or closes it (S4-037), without
// referring its senders anywhere.
func (d *Directory) SetOrdinary(ctx context.Context, address string, open bool) error {
	return fault.Wrap("directory.SetOrdinary", d.setOrdinary(ctx, address, open, ""))
}

// CloseToOrdinary closes a mailbox to ordinary mail (S4-037). Senders are told to
// write to redirect instead; nothing is sent on. Invalid where redirect is no
// address, or the mailbox's own.
func (d *Directory) CloseToOrdinary(ctx context.Context, address, redirect string) error {
	const op = "directory.CloseToOrdinary"
	to, _, why := canonicalAddress(redirect)
	if why != "" {
		return fault.Say(op, fault.Invalid, why)
	}
	if own, _, _ := canonicalAddress(address); own == to {
		return fault.Say(op, fault.Invalid, "l'indirizzo indicato è quello della casella stessa / that is the mailbox's own address")
	}
	return fault.Wrap(op, d.setOrdinary(ctx, address, false, to))
}

func (d *Directory) setOrdinary(ctx context.Context, address string, open bool, redirect string) error {
	return d.change(ctx, ChangeOrdinary, address, func(m *storage.Mailbox) (ledger.Event, error) {
		e := ledger.Event{Kind: ledger.OrdinaryClosed, From: m.Redirect, To: redirect}
		if open {
			e.Kind = ledger.OrdinaryOpened
		}
		m.Ordinary, m.Redirect = open, redirect
		return e, nil
	})
}

// change reads a mailbox from the store, lets edit alter it and writes it back,
// with the record of the event that edit returns, if who acts may do that. A
// mailbox that edit left as it was is not written.
func (d *Directory) change(ctx context.Context, a Action, address string, edit func(*storage.Mailbox) (ledger.Event, error)) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	m, err := d.MayMailbox(ctx, a, address)
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
	e.Mailbox = m.Address
	var step storage.Step
	if err := d.st.Commit(ctx, step.Add(&storage.PutMailbox{Mailbox: m}, d.recorded(ctx, e))); err != nil {
		return err
	}
	d.boxes.drop(m.Address)
	return nil
}
