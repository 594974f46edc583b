// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// CreateDomain adds a domain. Exists if it is there.
func (d *Directory) CreateDomain(ctx context.Context, name string, state storage.DomainState) error {
	const op = "directory.CreateDomain"
	if err := d.May(ctx, ChangeDomains); err != nil {
		return fault.Wrap(op, err)
	}
	n, why := canonicalDomain(name)
	if why != "" {
		return fault.Say(op, fault.Invalid, why)
	}
	if state != storage.DomainCertified && state != storage.DomainPending {
		return fault.Say(op, fault.Invalid, "stato del dominio sconosciuto / unknown domain state")
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	_, err := d.Domain(ctx, n)
	switch {
	case err == nil:
		return fault.Say(op, fault.Exists, "il dominio esiste già / the domain exists")
	case !fault.Is(err, fault.NotFound):
		return fault.Wrap(op, err)
	}
	var step storage.Step
	step.Add(
		&storage.PutDomain{Domain: storage.Domain{Name: n, State: state, Created: d.clk.Now().UTC()}},
		d.recorded(ctx, ledger.Event{Kind: ledger.DomainState, Domain: n, To: string(state)}),
	)
	if err := d.st.Commit(ctx, &step); err != nil {
		return fault.Wrap(op, err)
	}
	d.domains.drop("")
	return nil
}

// CertifyDomain makes a pending domain certified and its provisioned mailboxes
// active (requirements 2.4.d). Repeated after an interruption it goes on.
func (d *Directory) CertifyDomain(ctx context.Context, name string) error {
	const op = "directory.CertifyDomain"
	if err := d.May(ctx, ChangeDomains); err != nil {
		return fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	dom, err := d.Domain(ctx, name)
	if err != nil {
		return fault.Wrap(op, err)
	}
	before := dom.State
	dom.State = storage.DomainCertified
	var waiting []storage.Mailbox
	err = d.st.Mailboxes(ctx, dom.Name, func(m storage.Mailbox) error {
		if m.State == storage.MailboxProvisioned {
			waiting = append(waiting, m)
		}
		return nil
	})
	if err != nil {
		return fault.Wrap(op, err)
	}
	step := new(storage.Step).Add(&storage.PutDomain{Domain: dom})
	if before != dom.State {
		step.Add(d.recorded(ctx, ledger.Event{Kind: ledger.DomainState, Domain: dom.Name, From: string(before), To: string(dom.State)}))
	}
	for {
		n := min(len(waiting), mailboxesPerStep)
		for _, m := range waiting[:n] {
			step.Add(d.recorded(ctx, ledger.Event{Kind: ledger.MailboxState, Mailbox: m.Address, From: string(m.State), To: string(storage.MailboxActive)}))
			m.State, m.StateBy = storage.MailboxActive, ""
			step.Add(&storage.PutMailbox{Mailbox: m})
		}
		if err := d.st.Commit(ctx, step); err != nil {
			return fault.Wrap(op, err)
		}
		d.domains.drop("")
		for _, m := range waiting[:n] {
			d.boxes.drop(m.Address)
		}
		if waiting = waiting[n:]; len(waiting) == 0 {
			return nil
		}
		step = new(storage.Step)
	}
}

// SetDomainBody gives a domain to a public body, "" to none. Its mailboxes and the
// users whose logins are addresses of it go with it. NotFound without domain or
// body; Conflict where the body would have more mailboxes than it may.
func (d *Directory) SetDomainBody(ctx context.Context, name, body string) error {
	const op = "directory.SetDomainBody"
	if err := d.May(ctx, ChangeDomains); err != nil {
		return fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	dom, err := d.Domain(ctx, name)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if body != "" {
		b, err := d.body(ctx, body)
		if err != nil {
			return fault.Wrap(op, err)
		}
		body = b.Code
	}
	if dom.Customer == body {
		return nil
	}
	before := dom.Customer
	dom.Customer = body
	if err := d.fitsBody(ctx, dom); err != nil {
		return fault.Wrap(op, err)
	}
	e := ledger.Event{Kind: ledger.DomainBody, Domain: dom.Name, From: before, To: body}
	if err := d.st.Commit(ctx, new(storage.Step).Add(&storage.PutDomain{Domain: dom}, d.recorded(ctx, e))); err != nil {
		return fault.Wrap(op, err)
	}
	d.domains.drop("")
	return nil
}

// fitsBody checks that the mailboxes of a domain fit below the ceilings of the body
// that it is given to.
func (d *Directory) fitsBody(ctx context.Context, dom storage.Domain) error {
	counts, err := d.st.CountMailboxes(ctx)
	if err != nil || dom.Customer == "" {
		return err
	}
	more := make(map[string]int64)
	for _, c := range counts {
		if c.Domain == dom.Name && c.State != storage.MailboxClosed {
			more[c.Tier] += c.Mailboxes
		}
	}
	u, err := d.use(ctx, dom.Customer)
	if err != nil {
		return err
	}
	for tier, n := range more {
		if left, bounded := u.left(tier); bounded && n > left {
			return fault.Say("directory.fitsBody", fault.Conflict, fmt.Sprintf(
				"il dominio ha %d caselle %s, l'ente ne può aggiungere %d / the domain has %d mailboxes of that tier, the body may add %d", n, tier, max(left, 0), n, max(left, 0)))
		}
	}
	return nil
}

// ListDomains calls fn by name for every domain that who acts may see. An error of
// fn ends the listing and is returned.
func (d *Directory) ListDomains(ctx context.Context, fn func(storage.Domain) error) error {
	const op = "directory.ListDomains"
	all, err := d.st.Domains(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	for _, dom := range all {
		if d.MayBody(ctx, SeeBody, dom.Customer) != nil {
			continue
		}
		if err := fn(dom); err != nil {
			return fault.Wrap(op, err)
		}
	}
	return nil
}
