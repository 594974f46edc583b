// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"strings"

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

// serviceLocal is the local part of every provider's service address, from
// which receipts come (RFC 6109 §2.1). A holder must not have it.
const serviceLocal = "posta-certificata@"

// mailboxesPerStep bounds one commit of CreateMailboxes.
const mailboxesPerStep = 100

// CreateDomain adds a domain. Exists if it is there.
func (d *Directory) CreateDomain(ctx context.Context, name string, state storage.DomainState) error {
	const op = "directory.CreateDomain"
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
	step.Add(&storage.PutDomain{Domain: storage.Domain{Name: n, State: state, Created: d.clk.Now().UTC()}})
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
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	dom, err := d.Domain(ctx, name)
	if err != nil {
		return fault.Wrap(op, err)
	}
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
	for {
		n := min(len(waiting), mailboxesPerStep)
		for _, m := range waiting[:n] {
			m.State = storage.MailboxActive
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

// CreateMailbox creates a mailbox with its folders (INBOX, Bozze, Posta
// inviata, Archivio, Cestino, Posta indesiderata) and, where one is given, its
// user, in one step. The mailbox is active when its domain is certified,
// provisioned otherwise. Exists when the address is or ever was in use (D22) or
// the login is taken; NotFound without the domain or the tier.
func (d *Directory) CreateMailbox(ctx context.Context, n NewMailbox) (storage.Mailbox, error) {
	const op = "directory.CreateMailbox"
	d.writing.Lock()
	defer d.writing.Unlock()
	var step storage.Step
	put, err := d.addMailbox(ctx, &step, n)
	if err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	if err := d.st.Commit(ctx, &step); err != nil {
		return storage.Mailbox{}, fault.Wrap(op, taken(err))
	}
	d.boxes.drop(put.Mailbox.Address)
	d.grants.drop(grantees(step.Ops)...)
	m := put.Mailbox
	m.ID = put.ID
	return m, nil
}

// CreateMailboxes creates many mailboxes, up to 100 in a step: one that fails
// leaves nothing of its step behind, earlier steps stay. Give NewUser.Hash
// rather than a password where many users share one.
func (d *Directory) CreateMailboxes(ctx context.Context, all []NewMailbox) error {
	const op = "directory.CreateMailboxes"
	d.writing.Lock()
	defer d.writing.Unlock()
	for done := 0; done < len(all); {
		n := min(len(all)-done, mailboxesPerStep)
		var step storage.Step
		made := make([]string, 0, n)
		logins := make(map[string]bool, n) // the store does not know those of this step yet
		for _, m := range all[done : done+n] {
			put, err := d.addMailbox(ctx, &step, m)
			if user, ok := step.Ops[len(step.Ops)-1].(*storage.PutGrant); ok && err == nil {
				if logins[user.Login] {
					err = fault.Say(op, fault.Exists, loginTaken)
				}
				logins[user.Login] = true
			}
			if err != nil {
				return fault.Wrap(op, fmt.Errorf("%s (%d of %d created): %w", m.Address, done, len(all), err))
			}
			made = append(made, put.Mailbox.Address)
		}
		if err := d.st.Commit(ctx, &step); err != nil {
			return fault.Wrap(op, fmt.Errorf("%d of %d created: %w", done, len(all), taken(err)))
		}
		d.boxes.drop(made...)
		d.grants.drop(grantees(step.Ops)...)
		done += n
	}
	return nil
}

// grantees are the users to whom operations grant something.
func grantees(ops []storage.Op) []string {
	var logins []string
	for _, op := range ops {
		if g, ok := op.(*storage.PutGrant); ok {
			logins = append(logins, g.Login)
		}
	}
	return logins
}

func taken(err error) error {
	if fault.Is(err, fault.Exists) {
		return &fault.Error{Op: "directory.create", Kind: fault.Exists, Err: err,
			Text: "l'indirizzo è in uso o è stato usato: non può essere riassegnato / the address is or was in use"}
	}
	return err
}

// addMailbox validates n and adds what creates it to the step.
func (d *Directory) addMailbox(ctx context.Context, step *storage.Step, n NewMailbox) (*storage.PutMailbox, error) {
	const op = "directory.addMailbox"
	address, domain, why := canonicalAddress(n.Address)
	if why != "" {
		return nil, fault.Say(op, fault.Invalid, why)
	}
	if strings.HasPrefix(address, serviceLocal) && !n.Service {
		return nil, fault.Say(op, fault.Denied, "indirizzo riservato al gestore / address reserved to the provider")
	}
	dom, err := d.Domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	tier, err := d.Tier(ctx, n.Tier)
	if err != nil {
		return nil, err
	}
	state := storage.MailboxProvisioned
	if dom.State == storage.DomainCertified {
		state = storage.MailboxActive
	}
	put := &storage.PutMailbox{Mailbox: storage.Mailbox{
		Address: address, Domain: dom.Name, Tier: tier.Code, State: state, Holder: n.Holder,
		Ordinary: n.Ordinary, Service: n.Service, Created: d.clk.Now().UTC(),
	}}
	step.Add(put)
	for _, f := range [...][2]string{
		{"Bozze", `\Drafts`}, {storage.SentName, storage.SentUse}, {"Archivio", `\Archive`}, {"Cestino", `\Trash`}, {"Posta indesiderata", `\Junk`},
	} {
		step.Add(&storage.CreateFolderIn{New: put, Name: f[0], SpecialUse: f[1], Subscribed: true})
	}
	if n.User == nil {
		return put, nil
	}
	u := *n.User
	if u.Login == "" {
		u.Login = address
	}
	user, err := d.newUser(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := mayHold(tier, user.Login, address); err != nil {
		return nil, err
	}
	step.Add(&storage.PutUser{User: user}, &storage.PutGrant{Login: user.Login, New: put, Permission: storage.MayAll})
	return put, nil
}

// SetMailboxState moves a mailbox along its life (requirements 2.4.d). Conflict
// where there is no such way: a closed mailbox stays closed (D22), one is
// closed only after it was deactivated, and none is active in a domain that is
// not certified.
func (d *Directory) SetMailboxState(ctx context.Context, address string, to storage.MailboxState) error {
	const op = "directory.SetMailboxState"
	return fault.Wrap(op, d.change(ctx, address, func(m *storage.Mailbox) error {
		if m.State == to {
			return nil
		}
		if !reachable(m.State, to) {
			return fault.Say(op, fault.Conflict, fmt.Sprintf("passaggio di stato non previsto: %s → %s / no such change of state", m.State, to))
		}
		if to == storage.MailboxActive {
			ok, err := d.IsLocalDomain(ctx, m.Domain)
			if err != nil {
				return err
			}
			if !ok {
				return fault.Say(op, fault.Conflict, "il dominio non è certificato / the domain is not certified")
			}
		}
		m.State = to
		return nil
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
	return fault.Wrap("directory.SetOrdinary", d.change(ctx, address, func(m *storage.Mailbox) error {
		m.Ordinary = open
		return nil
	}))
}

// change reads a mailbox from the store, lets edit alter it and writes it back.
func (d *Directory) change(ctx context.Context, address string, edit func(*storage.Mailbox) error) error {
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
	if err := edit(&m); err != nil {
		return err
	}
	if m == before {
		return nil
	}
	var step storage.Step
	if err := d.st.Commit(ctx, step.Add(&storage.PutMailbox{Mailbox: m})); err != nil {
		return err
	}
	d.boxes.drop(a)
	return nil
}
