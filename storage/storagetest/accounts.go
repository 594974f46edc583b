// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"errors"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

func testAccounts(e *env) {
	std := storage.Tier{Code: "standard", Name: "Standard", MultiUser: true, Application: true, Notices: true, Figures: storage.Figures{
		QuotaBytes: 1 << 30, MaxPerDay: 2000, MaxPerMinute: 60, MaxRecipients: 1000, MaxMessage: 104857600,
		RecipientsPerMinute: 3000, RecipientsPerDay: 40000,
	}}
	e.ok(&storage.PutTier{Tier: std}, &storage.PutTier{Tier: storage.Tier{Code: "large", Name: "Grande"}})
	std.Name = "Normale"
	e.ok(&storage.PutTier{Tier: std})
	equal(e, "tiers", fmt.Sprintf("%+v", must(e.Tiers(e.ctx))(e)),
		fmt.Sprintf("%+v", []storage.Tier{{Code: "large", Name: "Grande"}, std}))

	c := storage.Customer{Code: "c_x", Name: "Comune", Created: at}
	e.ok(&storage.PutCustomer{Customer: c}, &storage.PutCustomer{Customer: storage.Customer{Code: "a_x", Name: "Altro", Created: at}})
	c.Name = "Comune di X"
	e.ok(&storage.PutCustomer{Customer: storage.Customer{Code: c.Code, Name: c.Name}})
	equal(e, "customers", fmt.Sprintf("%+v", must(e.Customers(e.ctx))(e)),
		fmt.Sprintf("%+v", []storage.Customer{{Code: "a_x", Name: "Altro", Created: at}, c}))

	e.ok(&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: c.Code, Tier: "standard", Mailboxes: 40}},
		&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: c.Code, Tier: "large", Mailboxes: 0}},
		&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: "a_x", Tier: "large", Mailboxes: 1}})
	e.ok(&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: c.Code, Tier: "standard", Mailboxes: 41}})
	equal(e, "ceilings", fmt.Sprint(must(e.Ceilings(e.ctx, c.Code))(e)), "[{c_x large 0} {c_x standard 41}]")
	e.ok(&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: c.Code, Tier: "large", Mailboxes: -1}})
	equal(e, "ceiling removed", fmt.Sprint(must(e.Ceilings(e.ctx, c.Code))(e)), "[{c_x standard 41}]")

	d := storage.Domain{Name: "x.it", State: storage.DomainPending, Created: at}
	e.ok(&storage.PutDomain{Domain: d})
	d.State, d.Customer = storage.DomainCertified, c.Code
	e.ok(&storage.PutDomain{Domain: storage.Domain{Name: "X.it", State: d.State, Customer: c.Code, Created: at}})
	equal(e, "domains", fmt.Sprintf("%+v", must(e.Domains(e.ctx))(e)), fmt.Sprintf("%+v", []storage.Domain{d}))

	m := storage.Mailbox{Address: "Mario.Rossi@x.it", Domain: "x.it", Tier: "standard", State: storage.MailboxActive,
		Holder: "Mario Rossi", Ordinary: true, Created: at, StateBy: "customer", Redirect: "ufficio@altrove.it",
		Raised: storage.Figures{QuotaBytes: 1, MaxPerDay: 2, MaxPerMinute: 3, MaxRecipients: 4, MaxMessage: 5, RecipientsPerMinute: 6, RecipientsPerDay: 7},
		Block:  storage.SendBlock{Since: at, By: "root", Reason: "perché sì"}}
	put := &storage.PutMailbox{Mailbox: m}
	u := storage.User{Login: "Mario", Name: "Mario", Hash: "$argon2id$x", Customer: c.Code, Created: at}
	e.ok(put, &storage.PutUser{User: u},
		&storage.PutGrant{Login: "MARIO", New: put, Permission: storage.MayAll},
		&storage.CreateFolderIn{New: put, Name: "Bozze/x", SpecialUse: `\Drafts`, Subscribed: true})
	m.ID, m.Address = put.ID, "mario.rossi@x.it"
	got := must(e.Mailbox(e.ctx, "MARIO.rossi@X.it"))(e)
	equal(e, "mailbox", got, m)
	equal(e, "by identifier", must(e.MailboxByID(e.ctx, m.ID))(e), m)
	e.wantFolders(m.ID, "INBOX Bozze Bozze/x")
	equal(e, "INBOX is subscribed", e.named(m.ID, "INBOX").Subscribed, true)
	f := e.named(m.ID, "Bozze/x")
	equal(e, "folder", fmt.Sprint(f.SpecialUse, f.Subscribed), fmt.Sprint(`\Drafts`, true))
	u.Login = "mario"
	equal(e, "user", must(e.User(e.ctx, "mArIo"))(e), u)
	equal(e, "grants", fmt.Sprint(must(e.Grants(e.ctx, "Mario"))(e)),
		fmt.Sprint([]storage.Grant{{Login: "mario", Mailbox: m.ID, Address: m.Address, Permission: storage.MayAll}}))

	e.put(e.named(m.ID, "INBOX"), "12345")
	e.ok(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: "servizio@x.it", Tier: "standard", Service: true}},
		&storage.PutMailbox{Mailbox: storage.Mailbox{Address: "b@x.it", Tier: "standard", State: storage.MailboxActive}})
	equal(e, "counted", fmt.Sprint(must(e.CountMailboxes(e.ctx))(e)), "[{x.it standard active 2 5}]")
	m.State, m.StateBy, m.Tier, m.Holder, m.Ordinary, m.Service = storage.MailboxClosed, "", "large", "", false, true
	m.PersonalSeen, m.FileSent, m.FileReceipts = true, true, true
	m.Used, m.Messages = 999, 999
	e.ok(&storage.PutMailbox{Mailbox: m})
	m.Used, m.Messages = 5, 1
	equal(e, "replaced", must(e.Mailbox(e.ctx, m.Address))(e), m)
	u.Disabled, u.DisabledBy, u.Hash, u.Deleted = true, "customer", "other", at.AddDate(0, 0, 1)
	e.ok(&storage.PutUser{User: u}, &storage.PutGrant{Login: "mario", Mailbox: m.ID, Permission: storage.MayRead})
	equal(e, "user replaced", must(e.User(e.ctx, "mario"))(e), u)
	equal(e, "grant replaced", must(e.Grants(e.ctx, "mario"))(e)[0].Permission, storage.MayRead)
	before := e.dump()
	e.again()
	equal(e, "reopened", e.dump(), before)
	e.ok(&storage.PutGrant{Login: "mario", Mailbox: m.ID})
	equal(e, "grant removed", len(must(e.Grants(e.ctx, "mario"))(e)), 0)
	e.ok(&storage.PutGrant{Login: "mario", Mailbox: m.ID})
}

func testAccountsRefused(e *env) {
	in := e.box("a@x.it")
	box := func(addr string) *storage.PutMailbox {
		return &storage.PutMailbox{Mailbox: storage.Mailbox{Address: addr, Domain: "x.it"}}
	}
	// D22: an address once used is never given out again.
	e.fails(fault.Exists, box("A@x.it"))
	closed := must(e.Mailbox(e.ctx, "a@x.it"))(e)
	closed.State = storage.MailboxClosed
	e.ok(&storage.PutMailbox{Mailbox: closed})
	e.fails(fault.Exists, box("a@x.it"))
	e.fails(fault.Exists, box("b@x.it"), box("b@x.it"))
	for _, bad := range []string{"", "a", "@x.it", "a@"} {
		e.fails(fault.Invalid, box(bad))
	}
	moved := closed
	moved.Address = "c@x.it"
	e.fails(fault.Invalid, &storage.PutMailbox{Mailbox: moved})
	moved.ID += 99
	e.fails(fault.NotFound, &storage.PutMailbox{Mailbox: moved})
	e.fails(fault.Invalid, &storage.PutUser{})
	e.fails(fault.Invalid, &storage.PutDomain{})
	e.fails(fault.Invalid, &storage.PutTier{})
	e.fails(fault.Invalid, &storage.PutCustomer{})
	e.fails(fault.Invalid, &storage.PutCeiling{Ceiling: storage.Ceiling{Customer: "x"}})
	e.fails(fault.NotFound, &storage.PutCeiling{Ceiling: storage.Ceiling{Customer: "x", Tier: "y", Mailboxes: 1}})
	e.fails(fault.NotFound, &storage.PutGrant{Login: "nobody", Mailbox: in.Mailbox, Permission: storage.MayAll})
	e.ok(&storage.PutUser{User: storage.User{Login: "u"}})
	e.fails(fault.NotFound, &storage.PutGrant{Login: "u", Mailbox: in.Mailbox + 99, Permission: storage.MayAll})
	e.fails(fault.Invalid, &storage.PutGrant{Login: "u", New: box("d@x.it"), Permission: storage.MayAll})
	e.fails(fault.Invalid, &storage.CreateFolderIn{New: box("d@x.it"), Name: "f"})
	d := box("d@x.it")
	e.fails(fault.Exists, d, &storage.CreateFolderIn{New: d, Name: "Inbox"})
}

func testAppPasswords(e *env) {
	in := e.box("a@x.it")
	for _, login := range []string{"ugo", "Anna"} {
		e.ok(&storage.PutUser{User: storage.User{Login: login, Created: at}})
	}
	var users []string
	err := e.Users(e.ctx, func(u storage.User) error { users = append(users, u.Login); return nil })
	equal(e, "users", fmt.Sprint(users, err), fmt.Sprint([]string{"anna", "ugo"}, nil))
	e.ok(&storage.PutGrant{Login: "ugo", Mailbox: in.Mailbox, Permission: storage.MayRead},
		&storage.PutGrant{Login: "anna", Mailbox: in.Mailbox, Permission: storage.MayAll})
	equal(e, "grants on", fmt.Sprint(must(e.GrantsOn(e.ctx, in.Mailbox))(e)), fmt.Sprint([]storage.Grant{
		{Login: "anna", Mailbox: in.Mailbox, Address: "a@x.it", Permission: storage.MayAll},
		{Login: "ugo", Mailbox: in.Mailbox, Address: "a@x.it", Permission: storage.MayRead},
	}))

	p := storage.AppPassword{Login: "UGO", Name: "Protocollo", Sum: [32]byte{1}, Protocols: storage.ByIMAP | storage.ByPOP3,
		Permission: storage.MayRead, Mailbox: in.Mailbox, Created: at, Expires: at.AddDate(1, 0, 0)}
	first, second := &storage.PutAppPassword{AppPassword: p}, &storage.PutAppPassword{AppPassword: p}
	second.AppPassword.Sum, second.AppPassword.Mailbox = [32]byte{2}, 0
	logged := func(id int64) storage.Record { return storage.Record{Event: fmt.Sprint("password ", id)} }
	second.Logged = logged
	e.ok(first, second)
	p.Login, p.ID = "ugo", first.ID
	equal(e, "recorded", e.events(), fmt.Sprint("password ", second.ID))
	equal(e, "by sum", must(e.AppPassword(e.ctx, p.Sum))(e), p)
	e.fails(fault.Exists, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "anna", Name: "x", Sum: p.Sum}})
	e.fails(fault.NotFound, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "nobody", Name: "x", Sum: [32]byte{3}}})
	e.fails(fault.NotFound, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "anna", Name: "x", Sum: [32]byte{3}, Mailbox: 99}})
	e.fails(fault.Invalid, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "anna", Sum: [32]byte{3}}})
	e.fails(fault.Exists, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "anna", Name: "x", Sum: p.Sum}, Logged: logged})
	e.fails(fault.Invalid, &storage.PutAppPassword{AppPassword: storage.AppPassword{Login: "anna", Name: "x", Sum: [32]byte{4}},
		Logged: func(int64) storage.Record { return storage.Record{} }})

	// Only its name and its end can be changed, and only by its own user.
	other := p
	other.Login = "anna"
	e.fails(fault.NotFound, &storage.PutAppPassword{AppPassword: other})
	p.Revoked, p.Name = at.AddDate(0, 1, 0), "Protocollo vecchio"
	wider := p
	wider.Protocols, wider.Permission, wider.Sum = storage.ByAll, storage.MayAll, [32]byte{9}
	e.ok(&storage.PutAppPassword{AppPassword: wider, Logged: logged})
	equal(e, "recorded", e.events(), fmt.Sprintf("password %d, password %d", second.ID, first.ID))
	e.again()
	equal(e, "revoked", must(e.AppPassword(e.ctx, p.Sum))(e), p)
	list := must(e.AppPasswords(e.ctx, "Ugo"))(e)
	if len(list) != 2 || list[0] != p || list[1].ID != second.ID || list[1].Mailbox != 0 {
		e.Fatalf("listed %+v", list)
	}
	equal(e, "of nobody", len(must(e.AppPasswords(e.ctx, "nobody"))(e)), 0)
	_, err = e.AppPassword(e.ctx, [32]byte{7})
	equal(e, "unknown sum", fault.KindOf(err), fault.NotFound)
}

func testAccountsMany(e *env) {
	step := new(storage.Step)
	const n = 700
	for i := range n {
		for _, domain := range []string{"x.it", "y.it"} {
			step.Add(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: fmt.Sprintf("m%04d@%s", i, domain), Domain: domain}})
		}
	}
	e.ok(step.Ops...)
	for domain, want := range map[string]int{"": 2 * n, "y.it": n, "Y.IT": n, "z.it": 0} {
		last, count := "", 0
		err := e.Mailboxes(e.ctx, domain, func(m storage.Mailbox) error {
			if m.Address <= last {
				e.Fatalf("%s after %s", m.Address, last)
			}
			last = m.Address
			count++
			return nil
		})
		equal(e, "mailboxes of "+domain, fmt.Sprint(count, err), fmt.Sprint(want, nil))
	}
	stop := errors.New("stop")
	if err := e.Mailboxes(e.ctx, "", func(storage.Mailbox) error { return stop }); !errors.Is(err, stop) {
		e.Fatal(err)
	}
	if m := must(e.Mailbox(e.ctx, "m0000@x.it"))(e); m.Created.IsZero() { // dated by the store where the step does not
		e.Fatalf("created %v", m.Created)
	}
}

// events are the kinds of all records.
func (e *env) events() string {
	e.Helper()
	var all []string
	if err := e.Store.Records(e.ctx, 1, func(r storage.Record) error { all = append(all, r.Event); return nil }); err != nil {
		e.Fatal(err)
	}
	return strings.Join(all, ", ")
}
