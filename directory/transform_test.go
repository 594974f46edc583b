// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// fill puts n octets into the INBOX of a mailbox.
func (h house) fill(address string, n int) {
	h.t.Helper()
	m, err := h.st.Mailbox(ctx, address)
	h.ok(err)
	body := &storage.NewBody{Head: make([]byte, n)}
	h.ok(h.st.Commit(ctx, new(storage.Step).Add(body, &storage.Append{Mailbox: m.ID, Body: storage.BodyRef{New: body}})))
}

// tiers adds "piccola", of 1,000 octets for one user, and "ampia", of 1,000,000.
func (h house) tiers() {
	h.t.Helper()
	for code, quota := range map[string]int64{"piccola": 1000, "ampia": 1_000_000} {
		h.ok(h.SetTier(ctx, storage.Tier{Code: code, Name: strings.ToUpper(code), MultiUser: code == "ampia", Figures: storage.Figures{
			QuotaBytes: quota, MaxPerDay: 10, MaxPerMinute: 5, MaxRecipients: 3, MaxMessage: 100, RecipientsPerMinute: 5, RecipientsPerDay: 20}}))
	}
}

func TestS4_057_TransformingAMailbox(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.tiers()
	h.mailbox("a@alfa.example", "standard")
	last := h.lastRecord()
	done, err := h.Transform(As(ctx, "root"), "A@alfa.example", "strutturata")
	h.ok(err)
	if done.Before.QuotaBytes != 3<<30 || done.After.QuotaBytes != 6<<30 || done.NowByApplications || done.NowByPeople || done.ToTier.Code != "strutturata" {
		t.Errorf("%+v", done)
	}
	if got := h.records(last); len(got) != 1 || !strings.HasPrefix(got[0], "mailbox.transformed by root:  a@alfa.example   [standard > strutturata] quota=3221225472 ") || !strings.Contains(got[0], " > quota=6442450944 ") {
		t.Errorf("%q", got)
	}
	// At once, though the mailbox was just read.
	m, err := h.Mailbox(ctx, "a@alfa.example")
	h.ok(err)
	if f, err := h.Figures(ctx, m); err != nil || f.QuotaBytes != 6<<30 {
		t.Errorf("%+v, %v", f, err)
	}
	_, err = h.Transform(ctx, "a@alfa.example", "strutturata")
	h.ok(err)
	if got := h.records(last); len(got) != 1 {
		t.Errorf("%q", got)
	}

	// To a mass tier, and back: who sends changes.
	done, err = h.Transform(ctx, "a@alfa.example", "xl")
	if err != nil || !done.NowByApplications || done.NowByPeople {
		t.Errorf("%+v, %v", done, err)
	}
	done, err = h.Transform(ctx, "a@alfa.example", "ampia")
	if err != nil || done.NowByApplications || !done.NowByPeople {
		t.Errorf("%+v, %v", done, err)
	}

	// Down with more in it than fits: refused with the figures, until there is room.
	h.fill("a@alfa.example", 1500)
	_, err = h.Transform(ctx, "a@alfa.example", "piccola")
	h.want(err, fault.Conflict)
	if s := fault.TextOf(err); !strings.Contains(s, "occupa 0,01 GB") {
		t.Error(s)
	}
	raised := int64(2000)
	_, err = h.Raise(ctx, "a@alfa.example", FigureChange{QuotaBytes: &raised})
	h.want(err, fault.Invalid) // the tier has more
	_, err = h.Transform(ctx, "a@alfa.example", "nessuna")
	h.want(err, fault.NotFound)

	// To a tier for one user while others have access: refused with who they are.
	h.mailbox("b@alfa.example", "strutturata")
	for i := range 12 {
		login := fmt.Sprintf("u%02d", i)
		h.ok(h.CreateUser(ctx, NewUser{Login: login, NoPassword: true}))
		h.ok(h.Grant(ctx, login, "b@alfa.example", storage.MayRead))
	}
	_, err = h.Transform(ctx, "b@alfa.example", "standard")
	h.want(err, fault.Conflict)
	if s := fault.TextOf(err); !strings.Contains(s, "u00, u01, ") || !strings.Contains(s, "u09, …") || strings.Contains(s, "u10") {
		t.Error(s)
	}
	for i := range 12 {
		h.ok(h.Grant(ctx, fmt.Sprintf("u%02d", i), "b@alfa.example", 0))
	}
	_, err = h.Transform(ctx, "b@alfa.example", "standard")
	h.ok(err)

	h.ok(h.SetMailboxState(ctx, "b@alfa.example", storage.MailboxDeactivated))
	h.ok(h.SetMailboxState(ctx, "b@alfa.example", storage.MailboxClosed))
	_, err = h.Transform(ctx, "b@alfa.example", "strutturata")
	h.want(err, fault.Conflict)
}

func TestD1_FiguresOfAMailboxAreRaised(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.tiers()
	h.mailbox("a@alfa.example", "piccola")
	num := func(n int) *int { return &n }
	octets := func(n int64) *int64 { return &n }
	last := h.lastRecord()
	now, err := h.Raise(As(ctx, "root"), "a@alfa.example", FigureChange{QuotaBytes: octets(5000), MaxPerDay: num(30)})
	if want := (storage.Figures{QuotaBytes: 5000, MaxPerDay: 30, MaxPerMinute: 5, MaxRecipients: 3, MaxMessage: 100, RecipientsPerMinute: 5, RecipientsPerDay: 20}); err != nil || now != want {
		t.Errorf("%+v, %v", now, err)
	}
	if got := h.records(last); len(got) != 1 || !strings.Contains(got[0], "mailbox.raised by root:  a@alfa.example   [quota=0 day=0 ") || !strings.Contains(got[0], " > quota=5000 day=30 minute=0 ") {
		t.Errorf("%q", got)
	}
	for name, c := range map[string]FigureChange{
		"below the tier": {MaxPerDay: num(9)}, "the tier's": {MaxPerDay: num(10)}, "negative": {MaxPerMinute: num(-1)},
		"recipients beyond their budget": {MaxRecipients: num(6)}, "absurd": {MaxMessage: octets(1 << 60)},
	} {
		if _, err := h.Raise(ctx, "a@alfa.example", c); !fault.Is(err, fault.Invalid) || fault.TextOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is taken back must not be in use.
	h.fill("a@alfa.example", 3000)
	_, err = h.Raise(ctx, "a@alfa.example", FigureChange{QuotaBytes: octets(0)})
	h.want(err, fault.Conflict)
	_, err = h.Raise(ctx, "a@alfa.example", FigureChange{QuotaBytes: octets(2999)})
	h.want(err, fault.Conflict)
	_, err = h.Raise(ctx, "a@alfa.example", FigureChange{QuotaBytes: octets(3000), MaxPerDay: num(0)})
	h.ok(err)
	// It goes with the mailbox through its tiers, where it is above them.
	done, err := h.Transform(ctx, "a@alfa.example", "ampia")
	if err != nil || done.After.QuotaBytes != 1_000_000 {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err = h.Transform(ctx, "a@alfa.example", "piccola"); err != nil || done.After.QuotaBytes != 3000 || done.After.MaxPerDay != 10 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestFiguresWithinTheNode: nothing is sold that the node's own bounds would keep
// from being used, and what is beyond them already is told.
func TestFiguresWithinTheNode(t *testing.T) {
	h := newHouse(t)
	h.tiers()
	h.mailbox("a@alfa.example", "piccola") // messages of 100 octets to 3
	num := func(n int) *int { return &n }
	octets := func(n int64) *int64 { return &n }
	h.Bound(200, 4)
	_, err := h.Raise(ctx, "a@alfa.example", FigureChange{MaxMessage: octets(200), MaxRecipients: num(4)})
	h.ok(err)
	for limit, c := range map[string]FigureChange{"limits.message_bytes": {MaxMessage: octets(201)}, "limits.recipients": {MaxRecipients: num(5)}} {
		if _, err := h.Raise(ctx, "a@alfa.example", c); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), limit) {
			t.Errorf("raised beyond %s: %v", limit, err)
		}
		tier, err := h.Tier(ctx, "piccola")
		h.ok(err)
		tier.Figures = c.On(tier.Figures)
		if err := h.SetTier(ctx, tier); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), limit) {
			t.Errorf("a tier beyond %s: %v", limit, err)
		}
	}
	h.Bound(50, 2) // lowered since: other figures can still be changed
	_, err = h.Raise(ctx, "a@alfa.example", FigureChange{MaxPerDay: num(500)})
	h.ok(err)
	tier, err := h.Tier(ctx, "piccola")
	h.ok(err)
	tier.MaxPerDay++
	h.ok(h.SetTier(ctx, tier))
	h.Bound(104857600, 999)
	if all, err := h.Beyond(ctx); err != nil || !slices.Contains(all, "xl") || slices.Contains(all, "piccola") {
		t.Errorf("tiers beyond the node: %q, %v", all, err)
	}
}

func TestTierIsNotLoweredBelowItsUse(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.tiers()
	h.mailbox("a@alfa.example", "ampia")
	h.fill("a@alfa.example", 5000)
	tier, err := h.Tier(ctx, "ampia")
	h.ok(err)
	lower := tier
	lower.QuotaBytes = 4999
	err = h.SetTier(ctx, lower)
	h.want(err, fault.Conflict)
	if s := fault.TextOf(err); !strings.Contains(s, "a@alfa.example") {
		t.Error(s)
	}
	lower.QuotaBytes = 5000
	h.ok(h.SetTier(ctx, lower))
	lower.MultiUser = false
	h.want(h.SetTier(ctx, lower), fault.Conflict)
	lower = tier
	lower.RecipientsPerDay = mostCount + 1
	h.want(h.SetTier(ctx, lower), fault.Invalid)

	standard, err := h.Tier(ctx, "standard")
	h.ok(err)
	standard.Notices = false
	h.want(h.SetTier(ctx, standard), fault.Invalid)
	standard.Notices, standard.MultiUser = true, true
	h.want(h.SetTier(ctx, standard), fault.Conflict)
	last := h.lastRecord()
	standard.MultiUser = false
	h.ok(h.SetTier(ctx, standard))
	if got := h.records(last); len(got) != 0 {
		t.Errorf("nothing changed, and yet %q", got)
	}
}

// TestS4_055_Ceilings: a body has no more mailboxes of a tier than it may, however
// it comes by them.
func TestS4_055_Ceilings(t *testing.T) {
	h := town(t)
	create := func(n int, tier string) error {
		_, err := h.CreateMailbox(officer(), NewMailbox{Address: fmt.Sprintf("%s%d@ente.example", tier, n), Tier: tier, User: &NewUser{NoPassword: true}})
		return err
	}
	last := h.lastRecord()
	h.ok(h.SetCeiling(As(ctx, "root"), "C_X", "standard", 2))
	h.ok(h.SetCeiling(As(ctx, "root"), "c_x", "strutturata", 1))
	if got := h.records(last); len(got) != 2 || got[0] != "body.ceiling by root:     [ > 2] c_x standard" {
		t.Errorf("%q", got)
	}
	h.ok(create(1, "standard"))
	err := create(2, "standard")
	h.want(err, fault.Conflict)
	if s := fault.TextOf(err); !strings.Contains(s, "Standard è raggiunto: 2 su 2") {
		t.Error(s)
	}
	h.want(create(3, "xl"), fault.Conflict) // not named: none
	_, err = h.Transform(officer(), "uno@ente.example", "strutturata")
	h.want(err, fault.Conflict)
	h.want(h.SetCeiling(ctx, "c_x", "standard", 1), fault.Conflict)
	h.want(h.SetCeiling(ctx, "c_x", "nessuna", 1), fault.NotFound)
	h.want(h.SetCeiling(ctx, "c_z", "standard", 1), fault.NotFound)
	h.want(h.SetDomainBody(ctx, "altro.example", "c_x"), fault.Conflict)

	h.ok(h.SetCeiling(ctx, "c_x", "strutturata", 2))
	_, err = h.Transform(officer(), "uno@ente.example", "strutturata")
	h.ok(err)
	h.ok(create(4, "standard"))
	// Deactivated mailboxes count, closed ones do not.
	h.ok(h.SetMailboxState(ctx, "standard4@ente.example", storage.MailboxDeactivated))
	h.want(create(5, "standard"), fault.Conflict)
	h.ok(h.SetMailboxState(ctx, "standard4@ente.example", storage.MailboxClosed))
	h.ok(create(6, "standard"))
	h.want(h.CreateMailboxes(ctx, []NewMailbox{{Address: "x@ente.example", Tier: "standard"}}), fault.Conflict)

	b, err := h.Body(officer(), "c_x")
	h.ok(err)
	if got := fmt.Sprint(b.Tiers, len(b.Domains)); got != "[{standard 2 2} {strutturata 2 2}] 1" {
		t.Error(got)
	}
	h.ok(h.SetCeiling(ctx, "c_x", "standard", -1))
	h.want(create(7, "standard"), fault.Conflict)
	h.ok(h.SetCeiling(ctx, "c_x", "strutturata", -1))
	h.ok(create(8, "xl"))
}

func TestBodies(t *testing.T) {
	h := newHouse(t)
	for _, bad := range [][2]string{{"", "x"}, {"c x", "x"}, {"c_x", " "}, {"c_x", strings.Repeat("è", 201)}, {"c_x", "a\nb"}, {strings.Repeat("c", 33), "x"}} {
		h.want(h.SetBody(ctx, bad[0], bad[1]), fault.Invalid)
	}
	last := h.lastRecord()
	h.ok(h.SetBody(ctx, "C_X", "Comune di X"))
	h.ok(h.SetBody(ctx, "c_x", "Comune di X"))
	h.ok(h.SetDomainBody(ctx, "Alfa.example", "C_x"))
	h.ok(h.SetDomainBody(ctx, "alfa.example", "c_x"))
	h.ok(h.SetDomainBody(ctx, "alfa.example", ""))
	h.want(h.SetDomainBody(ctx, "alfa.example", "c_z"), fault.NotFound)
	h.want(h.SetDomainBody(ctx, "beta.example", "c_x"), fault.NotFound)
	if got := strings.Join(h.records(last), "|"); got != "body.changed by :     [ > Comune di X] c_x|domain.body by : alfa.example    [ > c_x]|domain.body by : alfa.example    [c_x > ]" {
		t.Error(got)
	}
	_, err := h.Body(ctx, "c_z")
	h.want(err, fault.NotFound)
}

// TestS4_037_ClosingWithARedirection: who closes a mailbox may say where to write
// instead.
func TestS4_037_ClosingWithARedirection(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.mailbox("a@alfa.example", "standard")
	h.ok(h.SetOrdinary(ctx, "a@alfa.example", true))
	last := h.lastRecord()
	h.ok(h.CloseToOrdinary(ctx, "a@alfa.example", "Ufficio@Città.example"))
	h.ok(h.SetOrdinary(ctx, "a@alfa.example", false))
	h.want(h.CloseToOrdinary(ctx, "a@alfa.example", "A@alfa.example"), fault.Invalid)
	h.want(h.CloseToOrdinary(ctx, "a@alfa.example", "a b@x.example"), fault.Invalid)
	h.ok(h.CloseToOrdinary(ctx, "a@alfa.example", "x@altrove.example"))
	h.ok(h.SetOrdinary(ctx, "a@alfa.example", true))
	want := `ordinary_mail.closed by :  a@alfa.example   [ > ufficio@xn--citt-3na.example]
ordinary_mail.closed by :  a@alfa.example   [ufficio@xn--citt-3na.example > ]
ordinary_mail.closed by :  a@alfa.example   [ > x@altrove.example]
ordinary_mail.opened by :  a@alfa.example   [x@altrove.example > ]`
	if got := strings.Join(h.records(last), "\n"); got != want {
		t.Error(got)
	}
}
