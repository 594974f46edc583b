// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/ledger"
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
	n, err := d.derivedFor(ctx, n)
	if err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
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
	all = slices.Clone(all)
	for i := range all {
		var err error
		if all[i], err = d.derivedFor(ctx, all[i]); err != nil {
			return fault.Wrap(op, fmt.Errorf("%s (0 of %d created): %w", all[i].Address, len(all), err))
		}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	for done := 0; done < len(all); {
		n := min(len(all)-done, mailboxesPerStep)
		var step storage.Step
		made := make([]string, 0, n)
		logins := make(map[string]bool, n) // the store does not know those of this step yet
		for _, m := range all[done : done+n] {
			put, err := d.addMailbox(ctx, &step, m)
			if granted := grantees(step.Ops); err == nil && m.User != nil {
				login := granted[len(granted)-1]
				if logins[login] {
					err = fault.Say(op, fault.Exists, loginTaken)
				}
				logins[login] = true
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

// derivedFor is derived for the user of a mailbox, where it has one.
func (d *Directory) derivedFor(ctx context.Context, n NewMailbox) (NewMailbox, error) {
	if n.User == nil {
		return n, nil
	}
	u, err := d.derived(ctx, *n.User)
	n.User = &u
	return n, err
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
	step.Add(put, d.recorded(ctx, ledger.Event{Kind: ledger.MailboxCreated, Mailbox: address, To: string(state), Detail: tier.Code}))
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
	step.Add(
		&storage.PutUser{User: user}, &storage.PutGrant{Login: user.Login, New: put, Permission: storage.MayAll},
		d.recorded(ctx, ledger.Event{Kind: ledger.UserCreated, User: user.Login}),
		d.recorded(ctx, ledger.Event{Kind: ledger.UserGrant, User: user.Login, Mailbox: address, To: PermissionNames(storage.MayAll)}),
	)
	return put, nil
}
