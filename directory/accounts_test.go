// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
	"pecd/storage/sqlite"
)

var start = time.Date(2026, 6, 3, 10, 15, 5, 0, time.UTC)

// house is a directory over an embedded store, seeded, with the certified
// domain alfa.example and the pending domain nuovo.example.
type house struct {
	*Directory
	st  storage.Store
	clk *clock.Manual
	t   testing.TB
}

var ctx = context.Background()

func newHouse(t testing.TB) house {
	t.Helper()
	st, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	clk := clock.NewManual(start)
	h := house{New(st, clk), st, clk, t}
	h.ok(h.Seed(ctx))
	h.ok(h.CreateDomain(ctx, "Alfa.Example", storage.DomainCertified))
	h.ok(h.CreateDomain(ctx, "nuovo.example", storage.DomainPending))
	return h
}

func (h house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// want checks the kind of an error, and that it tells the user something.
func (h house) want(err error, k fault.Kind) {
	h.t.Helper()
	if !fault.Is(err, k) {
		h.t.Errorf("error %v of kind %v, want %v", err, fault.KindOf(err), k)
	} else if fault.CodesOf(err).Text == "" {
		h.t.Errorf("error %v has no text", err)
	}
}

const password = "una password lunga"

func (h house) mailbox(address, tier string) storage.Mailbox {
	h.t.Helper()
	m, err := h.CreateMailbox(ctx, NewMailbox{Address: address, Tier: tier, User: &NewUser{Password: password}})
	h.ok(err)
	return m
}

func TestSeedKeepsRaisedFigures(t *testing.T) {
	h := newHouse(t)
	tier, err := h.Tier(ctx, "standard")
	h.ok(err)
	tier.MaxPerDay = 900
	h.ok(h.SetTier(ctx, tier))
	h.ok(h.Seed(ctx))
	if got, err := h.Tier(ctx, "standard"); err != nil || got.MaxPerDay != 900 {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := h.st.Tiers(ctx)
	h.ok(err)
	if len(all) != 6 {
		t.Errorf("%d tiers", len(all))
	}
}

func TestD1_FiguresAreOnlyRaised(t *testing.T) {
	h := newHouse(t)
	for name, lower := range map[string]func(*storage.Tier){
		"quota":      func(t *storage.Tier) { t.QuotaBytes-- },
		"day":        func(t *storage.Tier) { t.MaxPerDay-- },
		"minute":     func(t *storage.Tier) { t.MaxPerMinute-- },
		"recipients": func(t *storage.Tier) { t.MaxRecipients-- },
		"size":       func(t *storage.Tier) { t.MaxMessage-- },
		"name":       func(t *storage.Tier) { t.Name = "" },
	} {
		tier, err := h.Tier(ctx, "xl")
		h.ok(err)
		lower(&tier)
		if err := h.SetTier(ctx, tier); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.ok(h.SetTier(ctx, storage.Tier{Code: "prova", Name: "Prova", Figures: storage.Figures{
		QuotaBytes: 1, MaxPerDay: 1, MaxPerMinute: 1, MaxRecipients: 1, MaxMessage: 1, RecipientsPerMinute: 1, RecipientsPerDay: 1,
	}}))
	_, err := h.Tier(ctx, "nessuna")
	h.want(err, fault.NotFound)
}

func TestDomains(t *testing.T) {
	h := newHouse(t)
	h.want(h.CreateDomain(ctx, "ALFA.example.", storage.DomainCertified), fault.Exists)
	h.want(h.CreateDomain(ctx, "not a domain", storage.DomainCertified), fault.Invalid)
	h.want(h.CreateDomain(ctx, "x.example", "odd"), fault.Invalid)
	h.ok(h.CreateDomain(ctx, "città.example", storage.DomainCertified))
	for domain, want := range map[string]bool{
		"alfa.example": true, "ALFA.Example": true, "alfa.example.": true, "CITTÀ.example": true, "xn--citt-3na.example": true,
		"nuovo.example":    false, // not certified: mail for it goes to the provider that still has it
		"sub.alfa.example": false, "beta.example": false, "": false, "\x00": false,
	} {
		if got, err := h.IsLocalDomain(ctx, domain); err != nil || got != want {
			t.Errorf("%q: %v, %v", domain, got, err)
		}
	}
	if d, err := h.Domain(ctx, "Nuovo.example"); err != nil || d.State != storage.DomainPending || !d.Created.Equal(start) {
		t.Errorf("%+v, %v", d, err)
	}
	_, err := h.Domain(ctx, "beta.example")
	h.want(err, fault.NotFound)
}

func TestCreateMailbox(t *testing.T) {
	h := newHouse(t)
	m, err := h.CreateMailbox(ctx, NewMailbox{Address: "Mario.Rossi@ALFA.example", Tier: "standard", Holder: "Mario Rossi", Ordinary: true,
		User: &NewUser{Name: "Mario Rossi", Password: password}})
	h.ok(err)
	got, err := h.Mailbox(ctx, "mario.rossi@Alfa.Example")
	h.ok(err)
	if got.ID == 0 || got.ID != m.ID || got.Address != "mario.rossi@alfa.example" || got.Domain != "alfa.example" || got.State != storage.MailboxActive ||
		got.Holder != "Mario Rossi" || !got.Ordinary || got.Service || got.Tier != "standard" || !got.Created.Equal(start) {
		t.Errorf("%+v", got)
	}
	folders, err := h.st.Folders(ctx, m.ID)
	h.ok(err)
	special := map[string]string{}
	for _, f := range folders {
		special[f.Name] = f.SpecialUse
		if !f.Subscribed {
			t.Errorf("%s is not subscribed", f.Name)
		}
	}
	want := map[string]string{"INBOX": "", "Bozze": `\Drafts`, "Posta inviata": `\Sent`, "Archivio": `\Archive`, "Cestino": `\Trash`, "Posta indesiderata": `\Junk`}
	if fmt.Sprint(special) != fmt.Sprint(want) {
		t.Errorf("folders %v", special)
	}
	p, err := h.Authenticate(ctx, "MARIO.ROSSI@alfa.example", password, storage.ByIMAP)
	h.ok(err)
	g, ok := p.Grant("Mario.Rossi@alfa.example")
	if !ok || g.Permission != storage.MayAll || g.Mailbox != m.ID || !p.MaySendAs("MARIO.rossi@alfa.example") || p.MaySendAs("altri@alfa.example") || p.MaySendAs("") {
		t.Errorf("%+v", p)
	}

	// A mailbox in a domain still to be certified waits for it.
	w := h.mailbox("ufficio@nuovo.example", "strutturata")
	if w.State != storage.MailboxProvisioned {
		t.Errorf("state %s", w.State)
	}
	h.want(h.SetMailboxState(ctx, w.Address, storage.MailboxActive), fault.Conflict)
	h.ok(h.CertifyDomain(ctx, "nuovo.example"))
	if got, err := h.Mailbox(ctx, w.Address); err != nil || got.State != storage.MailboxActive {
		t.Errorf("%+v, %v", got, err)
	}
	if ok, err := h.IsLocalDomain(ctx, "nuovo.example"); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestCreateMailboxRefuses(t *testing.T) {
	h := newHouse(t)
	h.mailbox("uno@alfa.example", "standard")
	h.ok(h.CreateUser(ctx, NewUser{Login: "Anna", Password: password}))
	user := &NewUser{Password: password}
	for name, c := range map[string]struct {
		n    NewMailbox
		kind fault.Kind
	}{
		"malformed":         {NewMailbox{Address: "x y@alfa.example", Tier: "standard", User: user}, fault.Invalid},
		"injection":         {NewMailbox{Address: "x@alfa.example\r\nRCPT TO:<y@z>", Tier: "standard", User: user}, fault.Invalid},
		"foreign domain":    {NewMailbox{Address: "x@beta.example", Tier: "standard", User: user}, fault.NotFound},
		"no tier":           {NewMailbox{Address: "x@alfa.example", User: user}, fault.NotFound},
		"there already":     {NewMailbox{Address: "UNO@alfa.example", Tier: "standard"}, fault.Exists},
		"login taken":       {NewMailbox{Address: "x@alfa.example", Tier: "strutturata", User: &NewUser{Login: "anna", Password: password}}, fault.Exists},
		"malformed login":   {NewMailbox{Address: "x@alfa.example", Tier: "strutturata", User: &NewUser{Login: "a b", Password: password}}, fault.Invalid},
		"no password":       {NewMailbox{Address: "x@alfa.example", Tier: "standard", User: &NewUser{}}, fault.Invalid},
		"short password":    {NewMailbox{Address: "x@alfa.example", Tier: "standard", User: &NewUser{Password: "1234567"}}, fault.Invalid},
		"hash and password": {NewMailbox{Address: "x@alfa.example", Tier: "standard", User: &NewUser{Password: password, Hash: noSuchUserHash}}, fault.Invalid},
		"bad hash":          {NewMailbox{Address: "x@alfa.example", Tier: "standard", User: &NewUser{Hash: "{SHA}x"}}, fault.Invalid},
		"service address":   {NewMailbox{Address: "Posta-Certificata@alfa.example", Tier: "standard", User: user}, fault.Denied},
		"other login":       {NewMailbox{Address: "x@alfa.example", Tier: "standard", User: &NewUser{Login: "altri", Password: password}}, fault.Denied},
	} {
		if _, err := h.CreateMailbox(ctx, c.n); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Mailbox(ctx, "x@alfa.example"); !fault.Is(err, fault.NotFound) {
		t.Errorf("something was left behind: %v", err)
	}
	_, err := h.CreateMailbox(ctx, NewMailbox{Address: "posta-certificata@alfa.example", Tier: "strutturata", Service: true})
	h.ok(err)
}

func TestS4_011_SecondUserOnStandardIsRefused(t *testing.T) {
	h := newHouse(t)
	h.mailbox("uno@alfa.example", "standard")
	h.mailbox("gruppo@alfa.example", "strutturata")
	h.mailbox("invii@alfa.example", "small")
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Password: password}))
	err := h.Grant(ctx, "anna", "uno@alfa.example", storage.MayRead)
	h.want(err, fault.Denied)
	if !strings.Contains(fault.TextOf(err), "trasforma in Strutturata") {
		t.Errorf("text %q", fault.TextOf(err))
	}
	h.want(h.Grant(ctx, "gruppo@alfa.example", "uno@alfa.example", storage.MayAll), fault.Denied)
	h.ok(h.Grant(ctx, "uno@alfa.example", "UNO@alfa.example", storage.MayRead|storage.MaySend))
	h.ok(h.Grant(ctx, "anna", "uno@alfa.example", 0)) // taking away is always possible

	// S4-017: personal credentials on one mailbox
	h.ok(h.Grant(ctx, "Anna", "gruppo@alfa.example", storage.MayRead))
	h.ok(h.Grant(ctx, "anna", "invii@alfa.example", storage.MayRead))
	p, err := h.Authenticate(ctx, "anna", password, storage.ByIMAP)
	h.ok(err)
	if g, ok := p.Grant("gruppo@alfa.example"); !ok || g.Permission != storage.MayRead || p.MaySendAs("gruppo@alfa.example") || len(p.Grants) != 2 {
		t.Errorf("%+v", p)
	}
	if _, ok := p.Grant("uno@alfa.example"); ok {
		t.Error("anna may use uno's mailbox")
	}
}

func TestGrantRefuses(t *testing.T) {
	h := newHouse(t)
	h.mailbox("gruppo@alfa.example", "strutturata")
	h.want(h.Grant(ctx, "nessuno", "gruppo@alfa.example", storage.MayRead), fault.NotFound)
	h.want(h.Grant(ctx, "a b", "gruppo@alfa.example", storage.MayRead), fault.NotFound)
	h.want(h.Grant(ctx, "gruppo@alfa.example", "nessuno@alfa.example", storage.MayRead), fault.NotFound)
	h.want(h.Grant(ctx, "gruppo@alfa.example", "gruppo@alfa.example", 1<<7), fault.Invalid)
}

func TestD22_AddressIsNeverReused(t *testing.T) {
	h := newHouse(t)
	m := h.mailbox("chiuso@alfa.example", "standard")
	h.want(h.SetMailboxState(ctx, m.Address, storage.MailboxClosed), fault.Conflict)
	h.ok(h.SetMailboxState(ctx, m.Address, storage.MailboxDeactivated))
	h.ok(h.SetMailboxState(ctx, m.Address, storage.MailboxClosed))
	h.ok(h.SetMailboxState(ctx, m.Address, storage.MailboxClosed)) // no change
	for _, s := range []storage.MailboxState{storage.MailboxActive, storage.MailboxBlocked, storage.MailboxProvisioned, storage.MailboxDeactivated, "odd"} {
		h.want(h.SetMailboxState(ctx, m.Address, s), fault.Conflict)
	}
	_, err := h.CreateMailbox(ctx, NewMailbox{Address: "Chiuso@ALFA.example", Tier: "standard", Holder: "Another"})
	h.want(err, fault.Exists)
	if got, err := h.Mailbox(ctx, m.Address); err != nil || got.State != storage.MailboxClosed || got.ID != m.ID {
		t.Errorf("%+v, %v", got, err)
	}
	h.want(h.SetMailboxState(ctx, "nessuno@alfa.example", storage.MailboxBlocked), fault.NotFound)
}

func TestS4_037_OrdinaryMailIsOpenedAndClosed(t *testing.T) {
	h := newHouse(t)
	m := h.mailbox("uno@alfa.example", "standard")
	for _, open := range []bool{true, false, false, true} {
		h.ok(h.SetOrdinary(ctx, "UNO@alfa.example", open))
		if got, err := h.Mailbox(ctx, m.Address); err != nil || got.Ordinary != open || got.ID != m.ID || got.State != storage.MailboxActive {
			t.Errorf("%+v, %v", got, err)
		}
	}
	h.want(h.SetOrdinary(ctx, "nessuno@alfa.example", true), fault.NotFound)
	h.want(h.SetOrdinary(ctx, "?", true), fault.NotFound)
}

func TestLookupsAreCachedForSeconds(t *testing.T) {
	h := newHouse(t)
	m := h.mailbox("uno@alfa.example", "standard")
	if _, err := h.Mailbox(ctx, m.Address); err != nil {
		t.Fatal(err)
	}
	// Another node blocks the mailbox.
	other := New(h.st, h.clk)
	h.ok(other.SetMailboxState(ctx, m.Address, storage.MailboxBlocked))
	h.ok(other.CreateDomain(ctx, "dopo.example", storage.DomainCertified))
	if got, _ := h.Mailbox(ctx, m.Address); got.State != storage.MailboxActive {
		t.Error("not cached")
	}
	h.clk.Advance(lookupTTL)
	if got, _ := h.Mailbox(ctx, m.Address); got.State != storage.MailboxBlocked {
		t.Error("cached for too long")
	}
	if ok, err := h.IsLocalDomain(ctx, "dopo.example"); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestListMailboxes(t *testing.T) {
	h := newHouse(t)
	h.mailbox("b@alfa.example", "standard")
	h.mailbox("a@alfa.example", "standard")
	h.mailbox("c@nuovo.example", "standard")
	list := func(domain string) (all []string, err error) {
		err = h.ListMailboxes(ctx, domain, func(m storage.Mailbox) error {
			all = append(all, m.Address)
			return nil
		})
		return all, err
	}
	for domain, want := range map[string][]string{
		"": {"a@alfa.example", "b@alfa.example", "c@nuovo.example"}, "ALFA.example": {"a@alfa.example", "b@alfa.example"},
	} {
		if got, err := list(domain); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", domain, got, err)
		}
	}
	_, err := list("no domain")
	h.want(err, fault.Invalid)
	_, err = list("beta.example")
	h.want(err, fault.NotFound)
	stop := errors.New("enough")
	if err := h.ListMailboxes(ctx, "", func(storage.Mailbox) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestCreateMailboxesInBulk(t *testing.T) {
	h := newHouse(t)
	hash, err := HashPassword(password)
	h.ok(err)
	all := make([]NewMailbox, 1200)
	for i := range all {
		all[i] = NewMailbox{Address: fmt.Sprintf("casella%04d@alfa.example", i), Tier: "strutturata", User: &NewUser{Hash: hash}}
	}
	began := time.Now()
	h.ok(h.CreateMailboxes(ctx, all))
	t.Logf("%d mailboxes in %v", len(all), time.Since(began))
	p, err := h.Authenticate(ctx, "casella1199@alfa.example", password, storage.ByIMAP)
	if err != nil || !p.MaySendAs("casella1199@alfa.example") {
		t.Errorf("%+v, %v", p, err)
	}
	n := 0
	h.ok(h.ListMailboxes(ctx, "alfa.example", func(storage.Mailbox) error { n++; return nil }))
	if n != len(all) {
		t.Errorf("%d mailboxes", n)
	}
	// A step is all or nothing.
	err = h.CreateMailboxes(ctx, []NewMailbox{
		{Address: "nuova@alfa.example", Tier: "standard"}, {Address: "casella0000@alfa.example", Tier: "standard"},
	})
	h.want(err, fault.Exists)
	if _, err := h.Mailbox(ctx, "nuova@alfa.example"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	err = h.CreateMailboxes(ctx, []NewMailbox{
		{Address: "x1@alfa.example", Tier: "small", User: &NewUser{Login: "stesso", Hash: hash}},
		{Address: "x2@alfa.example", Tier: "small", User: &NewUser{Login: "Stesso", Hash: hash}},
	})
	h.want(err, fault.Exists)
	h.ok(h.CreateMailboxes(ctx, nil))
}
