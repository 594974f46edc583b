// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// serviceLocal is the local part of every provider's service address, from
// which receipts come (RFC 6109 §2.1). A holder must not have it.
const serviceLocal = "posta-certificata@"

// founding gathers domains, mailboxes and users that are created together, and
// knows those that the store does not know yet. Its steps are committed in turn.
type founding struct {
	d       *Directory
	step    storage.Step
	boxes   []string // addresses in the step
	domains map[string]storage.Domain
	made    map[string]bool         // addresses
	users   map[string]storage.User // by login
	bodies  map[string]*use         // by body
	granted map[string]bool         // logins in the step
}

func (d *Directory) found() *founding {
	return &founding{
		d: d, domains: make(map[string]storage.Domain), made: make(map[string]bool), users: make(map[string]storage.User),
		bodies: make(map[string]*use), granted: make(map[string]bool),
	}
}

// commit writes what was gathered since the last one.
func (f *founding) commit(ctx context.Context) error {
	err := f.d.st.Commit(ctx, &f.step)
	f.d.boxes.drop(f.boxes...)
	f.d.grants.drop(slices.Collect(maps.Keys(f.granted))...)
	f.step, f.boxes, f.granted = storage.Step{}, nil, make(map[string]bool)
	if fault.Is(err, fault.Exists) {
		return taken(err)
	}
	return err
}

func taken(err error) error {
	return &fault.Error{Op: "directory.create", Kind: fault.Exists, Err: err,
		Text: "l'indirizzo è in uso o è stato usato: non può essere riassegnato / the address is or was in use"}
}

// withUser adds a mailbox with its one user, where it has one.
func (f *founding) withUser(ctx context.Context, n NewMailbox) (*storage.PutMailbox, error) {
	put, tier, err := f.mailbox(ctx, n)
	if err != nil || n.User == nil {
		return put, err
	}
	first := *n.User
	if first.Login == "" {
		first.Login = put.Mailbox.Address
	}
	if first.Name == "" {
		first.Name = n.Holder
	}
	if first.Body, err = f.bodyOf(ctx, put.Mailbox.Domain); err != nil {
		return nil, err
	}
	u, err := f.user(ctx, first)
	if err != nil {
		return nil, err
	}
	return put, f.grant(ctx, put, tier, u.Login, storage.MayAll)
}

// mailbox validates n and adds what creates it.
func (f *founding) mailbox(ctx context.Context, n NewMailbox) (*storage.PutMailbox, storage.Tier, error) {
	dom, address, err := f.place(ctx, n)
	if err != nil {
		return nil, storage.Tier{}, err
	}
	tier, err := f.d.Tier(ctx, n.Tier)
	if err != nil {
		return nil, storage.Tier{}, err
	}
	if err := checkName(n.Holder); err != nil {
		return nil, storage.Tier{}, err
	}
	if err := f.count(ctx, dom.Customer, tier, n.Service); err != nil {
		return nil, storage.Tier{}, err
	}
	state := storage.MailboxProvisioned
	if dom.State == storage.DomainCertified {
		state = storage.MailboxActive
	}
	put := &storage.PutMailbox{Mailbox: storage.Mailbox{
		Address: address, Domain: dom.Name, Tier: tier.Code, State: state, Holder: n.Holder,
		Ordinary: n.Ordinary, Service: n.Service, Created: f.d.clk.Now().UTC(),
	}}
	f.step.Add(put, f.d.recorded(ctx, ledger.Event{Kind: ledger.MailboxCreated, Mailbox: address, To: string(state), Detail: tier.Code}))
	for _, folder := range [...][2]string{
		{"Bozze", `\Drafts`}, {storage.SentName, storage.SentUse}, {"Archivio", `\Archive`}, {"Cestino", `\Trash`}, {"Posta indesiderata", `\Junk`},
	} {
		f.step.Add(&storage.CreateFolderIn{New: put, Name: folder[0], SpecialUse: folder[1], Subscribed: true})
	}
	f.boxes, f.made[address] = append(f.boxes, address), true
	return put, tier, nil
}

// place is where a new mailbox goes: its address is free, its domain is there and
// of who acts.
func (f *founding) place(ctx context.Context, n NewMailbox) (storage.Domain, string, error) {
	const op = "directory.place"
	address, domain, why := canonicalAddress(n.Address)
	if why != "" {
		return storage.Domain{}, "", fault.Say(op, fault.Invalid, why)
	}
	if strings.HasPrefix(address, serviceLocal) && !n.Service {
		return storage.Domain{}, "", fault.Say(op, fault.Denied, "indirizzo riservato al gestore / address reserved to the provider")
	}
	dom, err := f.domain(ctx, domain)
	if err != nil {
		return storage.Domain{}, "", err
	}
	switch actor := ActorOf(ctx); {
	case actor.Role == RoleProvider:
	case dom.Customer == "" || dom.Customer != actor.Customer:
		return storage.Domain{}, "", fault.Say(op, fault.NotFound, unknownDomain)
	case n.Service:
		return storage.Domain{}, "", fault.Say(op, fault.Denied, notAllowed)
	}
	_, err = f.d.st.Mailbox(ctx, address)
	if f.made[address] || err == nil {
		return storage.Domain{}, "", taken(nil)
	}
	if !fault.Is(err, fault.NotFound) {
		return storage.Domain{}, "", err
	}
	return dom, address, nil
}

// domain is Domain, of those that are being made, too.
func (f *founding) domain(ctx context.Context, name string) (storage.Domain, error) {
	if dom, ok := f.domains[name]; ok {
		return dom, nil
	}
	return f.d.Domain(ctx, name)
}

func (f *founding) bodyOf(ctx context.Context, domain string) (string, error) {
	dom, err := f.domain(ctx, domain)
	return dom.Customer, err
}

// count takes one of the mailboxes that a body may have.
func (f *founding) count(ctx context.Context, body string, tier storage.Tier, service bool) error {
	if body == "" || service {
		return nil
	}
	u := f.bodies[body]
	if u == nil {
		now, err := f.d.use(ctx, body)
		if err != nil {
			return err
		}
		u = &now
		f.bodies[body] = u
	}
	return u.take(tier)
}

// user validates n and adds what creates him.
func (f *founding) user(ctx context.Context, n NewUser) (storage.User, error) {
	login, ok := canonicalLogin(n.Login)
	if _, there := f.users[login]; ok && there {
		return storage.User{}, fault.Say("directory.user", fault.Exists, loginTaken)
	}
	u, err := f.d.newUser(ctx, n)
	if err != nil {
		return storage.User{}, err
	}
	f.users[u.Login] = u
	f.step.Add(&storage.PutUser{User: u}, f.d.recorded(ctx, ledger.Event{Kind: ledger.UserCreated, User: u.Login}))
	return u, nil
}

// grant adds a permission on a mailbox of the same step.
func (f *founding) grant(ctx context.Context, put *storage.PutMailbox, tier storage.Tier, login string, p storage.Permission) error {
	if err := mayHold(tier, login, put.Mailbox.Address); err != nil {
		return err
	}
	f.granted[login] = true
	f.step.Add(&storage.PutGrant{Login: login, New: put, Permission: p},
		f.d.recorded(ctx, ledger.Event{Kind: ledger.UserGrant, User: login, Mailbox: put.Mailbox.Address, To: PermissionNames(p)}))
	return nil
}

// use is how many mailboxes of which tier a body has, and may have.
type use struct {
	bounded  bool // ceilings are set for the body
	ceilings map[string]int64
	have     map[string]int64
}

// use reads it. Closed mailboxes do not count, and neither do the provider's.
func (d *Directory) use(ctx context.Context, body string) (use, error) {
	ceilings, err := d.st.Ceilings(ctx, body)
	if err != nil {
		return use{}, err
	}
	u := use{bounded: len(ceilings) > 0, ceilings: make(map[string]int64), have: make(map[string]int64)}
	for _, c := range ceilings {
		u.ceilings[c.Tier] = c.Mailboxes
	}
	counts, err := d.st.CountMailboxes(ctx)
	if err != nil {
		return use{}, err
	}
	for _, c := range counts {
		of, err := d.bodyOf(ctx, c.Domain)
		if err != nil {
			return use{}, err
		}
		if of == body && c.State != storage.MailboxClosed {
			u.have[c.Tier] += c.Mailboxes
		}
	}
	return u, nil
}

// left is how many more mailboxes of a tier there may be.
func (u use) left(tier string) (n int64, bounded bool) {
	return u.ceilings[tier] - u.have[tier], u.bounded
}

// take counts one more. Conflict where there may be none.
func (u use) take(t storage.Tier) error {
	if left, bounded := u.left(t.Code); bounded && left <= 0 {
		return fault.Say("directory.take", fault.Conflict, fmt.Sprintf(
			"il massimale dell'ente per le caselle %s è raggiunto: %d su %d / the body has %d of %d mailboxes of that tier",
			t.Name, u.have[t.Code], u.ceilings[t.Code], u.have[t.Code], u.ceilings[t.Code]))
	}
	u.have[t.Code]++
	return nil
}
