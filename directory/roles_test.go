// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/protection"
	"pecd/storage"
)

// town is a house with two bodies: c_x has ente.example with a Standard and a
// Strutturata mailbox and the user "anna", c_y has altro.example with a
// Strutturata mailbox and the user "bruno".
func town(t *testing.T) house {
	h := newHouse(t)
	counted(h)
	for _, b := range [][3]string{{"c_x", "ente.example", "anna"}, {"c_y", "altro.example", "bruno"}} {
		h.ok(h.SetBody(ctx, b[0], "Ente "+b[0]))
		h.ok(h.CreateDomain(ctx, b[1], storage.DomainCertified))
		h.ok(h.SetDomainBody(ctx, b[1], b[0]))
		h.mailbox("ufficio@"+b[1], "strutturata")
		h.mailbox("uno@"+b[1], "standard")
		h.ok(h.CreateUser(ctx, NewUser{Login: b[2], Password: password, Body: b[0]}))
	}
	_, err := h.CreateMailbox(ctx, NewMailbox{Address: "ricevute@ente.example", Tier: "standard", Service: true, User: &NewUser{Password: password}})
	h.ok(err)
	return h
}

func officer() context.Context {
	return AsActor(ctx, Actor{Name: "capo", Role: RoleCustomer, Customer: "c_x"})
}

// TestS4_055_Roles goes through the table row by row: each action is done by each
// role, on what is its own and on what is another's.
func TestS4_055_Roles(t *testing.T) {
	h := town(t)
	box := func(own bool) string {
		if own {
			return "ufficio@ente.example"
		}
		return "ufficio@altro.example"
	}
	login := func(own bool) string {
		if own {
			return "anna"
		}
		return "bruno"
	}
	state := func(s storage.MailboxState) func(context.Context, bool) error {
		return func(c context.Context, own bool) error { return h.SetMailboxState(c, box(own), s) }
	}
	n := 0
	for _, a := range []struct {
		action Action
		do     func(c context.Context, own bool) error
		body   string // what a body's administrator gets: own, then another's
		app    string // … the mailbox's application
	}{
		{ChangeTiers, func(c context.Context, _ bool) error { return h.Seed(c) }, "- -", "- -"},
		{ChangeTiers, func(c context.Context, _ bool) error {
			tier, err := h.Tier(ctx, "xl")
			h.ok(err)
			tier.MaxPerDay++
			return h.SetTier(c, tier)
		}, "denied denied", "denied denied"},
		{ChangeBodies, func(c context.Context, _ bool) error { return h.SetBody(c, "c_x", "Nuovo nome") }, "denied denied", "denied denied"},
		{ChangeBodies, func(c context.Context, _ bool) error { return h.SetCeiling(c, "c_x", "xl", 9) }, "denied denied", "denied denied"},
		{ChangeBodies, func(c context.Context, _ bool) error { return h.SetCeiling(c, "c_x", "xl", -1) }, "denied denied", "denied denied"},
		{ChangeDomains, func(c context.Context, _ bool) error {
			n++
			return h.CreateDomain(c, fmt.Sprintf("d%d.example", n), storage.DomainPending)
		}, "denied denied", "denied denied"},
		{ChangeDomains, func(c context.Context, _ bool) error { return h.CertifyDomain(c, "nuovo.example") }, "denied denied", "denied denied"},
		{ChangeDomains, func(c context.Context, _ bool) error { return h.SetDomainBody(c, "nuovo.example", "c_x") }, "denied denied", "denied denied"},
		{SeeBody, func(c context.Context, own bool) error {
			_, err := h.Body(c, map[bool]string{true: "c_x", false: "c_y"}[own])
			return err
		}, "- not found", "not found not found"},
		{SeeMailbox, func(c context.Context, own bool) error { _, err := h.MayMailbox(c, SeeMailbox, box(own)); return err }, "- not found", "- not found"},
		{CreateMailboxes, func(c context.Context, own bool) error {
			n++
			_, domain, _ := strings.Cut(box(own), "@")
			_, err := h.CreateMailbox(c, NewMailbox{Address: fmt.Sprintf("n%d@%s", n, domain), Tier: "standard", User: &NewUser{NoPassword: true}})
			return err
		}, "- not found", "denied denied"},
		{TransformMailbox, func(c context.Context, own bool) error { _, err := h.Transform(c, box(own), "medium"); return err }, "- not found", "denied not found"},
		{ChangeFilters, func(c context.Context, own bool) error {
			err := h.PutFilter(c, box(own), "regola", "keep;")
			if _, read := h.Filters(c, box(own)); fault.KindOf(read) != fault.KindOf(err) {
				t.Errorf("filters: written %v, read %v", err, read)
			}
			return err
		}, "- not found", "denied not found"},
		{ChangeProtections, func(c context.Context, own bool) error {
			_, _, err := h.Protections(protection.Policy{}).Set(c, box(own), protection.Policy{})
			return err
		}, "- not found", "denied not found"},
		{ChangeProtections, func(c context.Context, own bool) error {
			_, domain, _ := strings.Cut(box(own), "@")
			_, err := h.Protections(protection.Policy{}).Show(c, domain)
			return err
		}, "- not found", "not found not found"},
		{RaiseMailbox, func(c context.Context, own bool) error {
			many := 100000
			_, err := h.Raise(c, box(own), FigureChange{MaxPerDay: &many})
			return err
		}, "denied not found", "denied not found"},
		{ChangeOrdinary, func(c context.Context, own bool) error { return h.SetOrdinary(c, box(own), true) }, "- not found", "denied not found"},
		{ChangeOrdinary, func(c context.Context, own bool) error { return h.CloseToOrdinary(c, box(own), "x@altrove.example") }, "- not found", "denied not found"},
		{ChangeOptions, func(c context.Context, own bool) error {
			yes := true
			_, _, err := h.SetOptions(c, box(own), Options{FileSent: &yes})
			return err
		}, "- not found", "denied not found"},
		{BlockSending, func(c context.Context, own bool) error { return h.BlockSending(c, box(own), "prova / test") }, "denied not found", "denied not found"},
		{BlockSending, func(c context.Context, own bool) error { return h.UnblockSending(c, box(own)) }, "denied not found", "denied not found"},
		{SeeUsers, func(c context.Context, own bool) error { _, err := h.User(c, login(own)); return err }, "- not found", "not found not found"},
		{SeeUsers, func(c context.Context, own bool) error { _, err := h.Programs(c, login(own)); return err }, "- not found", "not found not found"},
		{SeeUsers, func(c context.Context, own bool) error { _, err := h.UsersOf(c, box(own)); return err }, "- not found", "denied not found"},
		{AddUsers, func(c context.Context, _ bool) error {
			n++
			return h.CreateUser(c, NewUser{Login: fmt.Sprintf("p%d", n), NoPassword: true})
		}, "- -", "denied denied"},
		{GrantMailbox, func(c context.Context, own bool) error {
			return h.Grant(c, login(own), box(own), storage.MayRead)
		}, "- not found", "denied not found"},
		{ChangeUser, func(c context.Context, own bool) error { return h.SetPassword(c, login(own), password) }, "- not found", "not found not found"},
		{ChangeUser, func(c context.Context, own bool) error { return h.SetUserDisabled(c, login(own), false) }, "- not found", "not found not found"},
		{ChangeUser, func(c context.Context, own bool) error {
			n++
			p, _, err := h.CreateProgram(c, NewProgram{Login: login(own), Name: fmt.Sprint(n), Protocols: storage.ByIMAP, Permission: storage.MayRead})
			if err == nil {
				err = h.RevokeProgram(c, login(own), p.ID)
			}
			return err
		}, "- not found", "not found not found"},
		{ChangeTokens, func(c context.Context, _ bool) error {
			n++
			token, _, err := h.CreateToken(c, NewToken{Name: fmt.Sprint(n), Role: storage.TokenProvider})
			if err == nil {
				err = h.RevokeToken(c, token.ID)
			}
			return err
		}, "denied denied", "denied denied"},
		{ChangeMailboxTokens, func(c context.Context, own bool) error {
			n++
			token, _, err := h.CreateToken(c, NewToken{Name: fmt.Sprint(n), Role: storage.TokenMailbox, Mailbox: box(own)})
			if err == nil {
				err = h.RevokeToken(c, token.ID)
			}
			return err
		}, "- not found", "denied not found"},
		{ChangeUser, func(c context.Context, own bool) error { _, _, err := h.BeginReset(c, login(own)); return err }, "- not found", "not found not found"},
		{AddUsers, func(c context.Context, own bool) error {
			n++
			return h.AddUser(c, NewUser{Login: fmt.Sprintf("p%d", n), NoPassword: true}, box(own), storage.MayRead)
		}, "- not found", "denied denied"},
		{DeactivateMailbox, func(c context.Context, own bool) error {
			if ActorOf(c).Role == RoleProvider {
				return nil // below: the body ends only what it set
			}
			return h.SetMailboxState(c, box(own), storage.MailboxDeactivated)
		}, "- not found", "denied not found"},
		{ActivateMailbox, state(storage.MailboxActive), "- not found", "denied not found"},
		{BlockMailbox, state(storage.MailboxBlocked), "denied not found", "denied not found"},
		{ActivateMailbox, state(storage.MailboxActive), "denied not found", "denied not found"}, // what the provider blocked
		{DeactivateMailbox, func(c context.Context, own bool) error {
			if ActorOf(c).Role == RoleProvider {
				return h.SetMailboxState(c, box(own), storage.MailboxDeactivated)
			}
			return nil
		}, "- -", "- -"},
		{CloseMailbox, state(storage.MailboxClosed), "denied not found", "denied not found"},
		{ChangeUser, func(c context.Context, own bool) error {
			if own && ActorOf(c).Role == RoleProvider {
				return nil // the body has done it
			}
			return h.DeleteUser(c, login(own))
		}, "- not found", "not found not found"},
	} {
		outcome := func(c context.Context) string {
			t.Helper()
			var got []string
			for _, own := range []bool{true, false} {
				err := a.do(c, own)
				if err == nil {
					got = append(got, "-")
					continue
				}
				got = append(got, fault.KindOf(err).String())
				if fault.TextOf(err) == "" {
					t.Errorf("%s: %v has no text", a.action, err)
				}
			}
			return strings.Join(got, " ")
		}
		app := AsActor(ctx, Actor{Name: "protocollo", Role: RoleMailbox, Mailbox: "Ufficio@ente.example"})
		if got := outcome(app); got != a.app {
			t.Errorf("%s by an application: %s, want %s", a.action, got, a.app)
		}
		if a.action != ChangeTiers {
			for _, nobody := range []Actor{{}, {Role: RoleCustomer}, {Role: RoleMailbox}, {Role: "root", Customer: "c_x", Mailbox: "ufficio@ente.example"}} {
				if got := outcome(AsActor(ctx, nobody)); a.app != "- -" && strings.Contains(got, "-") {
					t.Errorf("%s by %+v: %s", a.action, nobody, got)
				}
			}
		}
		if got := outcome(officer()); got != a.body {
			t.Errorf("%s by the body: %s, want %s", a.action, got, a.body)
		}
		if got := outcome(As(ctx, "root")); got != "- -" {
			t.Errorf("%s by the provider: %s", a.action, got)
		}
	}
	for _, a := range Actions() {
		if !RoleProvider.may(a) || Role("").may(a) {
			t.Errorf("%s: provider %v, nobody %v", a, RoleProvider.may(a), Role("").may(a))
		}
	}
	if RoleCustomer.may("mailbox.destroy") {
		t.Error("an action that is not in the table is allowed")
	}
}

// TestBodySeesItsOwn: lists show a body what is its own, and never the provider's
// service mailboxes.
func TestBodySeesItsOwn(t *testing.T) {
	h := town(t)
	h.ok(h.CreateUser(ctx, NewUser{Login: "mario@fuori.example", NoPassword: true, Body: "c_x"}))
	lists := func(c context.Context) (all []string) {
		h.ok(h.ListBodies(c, func(b storage.Customer) error { all = append(all, b.Code); return nil }))
		h.ok(h.ListDomains(c, func(d storage.Domain) error { all = append(all, d.Name); return nil }))
		h.ok(h.ListMailboxes(c, "", func(m storage.Mailbox) error { all = append(all, m.Address); return nil }))
		h.ok(h.ListUsers(c, func(u storage.User) error { all = append(all, u.Login); return nil }))
		return all
	}
	want := []string{"c_x", "ente.example", "ufficio@ente.example", "uno@ente.example", "anna", "mario@fuori.example", "ricevute@ente.example", "ufficio@ente.example", "uno@ente.example"}
	if got := lists(officer()); !slices.Equal(got, want) {
		t.Errorf("the body sees %v", got)
	}
	if got := lists(ctx); len(got) != 2+4+5+8 {
		t.Errorf("the provider sees %v", got)
	}
	none := func(storage.Mailbox) error { t.Error("a mailbox"); return nil }
	for _, domain := range []string{"altro.example", "nessuno.example"} {
		h.want(h.ListMailboxes(officer(), domain, none), fault.NotFound)
	}
	h.want(h.ListMailboxes(ctx, "nessuno.example", none), fault.NotFound)
	_, err := h.MayMailbox(officer(), SeeMailbox, "ricevute@ente.example")
	h.want(err, fault.NotFound)
	_, err = h.MayMailbox(officer(), SeeMailbox, "nessuna@ente.example")
	h.want(err, fault.NotFound)
}

// TestBodyAdministersItsOwnUsers: a body gives its mailboxes to its own users, and
// cannot come into another's mailbox by a user whom both know.
func TestBodyAdministersItsOwnUsers(t *testing.T) {
	h := town(t)
	by := officer()
	h.want(h.Grant(by, "bruno", "ufficio@ente.example", storage.MayRead), fault.NotFound)
	h.ok(h.Grant(ctx, "bruno", "ufficio@ente.example", storage.MayRead)) // the provider may
	h.want(h.SetPassword(by, "bruno", password), fault.NotFound)
	h.want(h.Grant(by, "bruno", "ufficio@ente.example", storage.MayAll), fault.NotFound)
	h.ok(h.Grant(by, "bruno", "ufficio@ente.example", 0)) // taking away is always the body's right
	h.want(h.Grant(by, "bruno", "ufficio@ente.example", 0), fault.NotFound)

	h.ok(h.Grant(ctx, "anna", "ufficio@altro.example", storage.MayRead))
	h.want(h.SetPassword(by, "anna", password), fault.Denied)
	h.want(h.DeleteUser(by, "anna"), fault.Denied)
	_, _, err := h.CreateProgram(by, NewProgram{Login: "anna", Name: "x", Protocols: storage.ByIMAP, Permission: storage.MayRead})
	h.want(err, fault.Denied)
	h.ok(h.Grant(ctx, "anna", "ufficio@altro.example", 0))
	h.ok(h.SetPassword(by, "anna", password))

	// The login of a mailbox follows the domain, and is no other body's to take.
	h.ok(h.SetPassword(by, "uno@ente.example", password))
	h.want(h.CreateUser(by, NewUser{Login: "nuova@altro.example", NoPassword: true}), fault.Denied)
	h.ok(h.SetDomainBody(ctx, "ente.example", "c_y"))
	h.want(h.SetPassword(by, "uno@ente.example", password), fault.NotFound)
	u, err := h.User(ctx, "anna")
	if err != nil || u.Customer != "c_x" {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestProviderShutsAUserOut: a body lets in again whom it shut out itself, until the
// provider shuts him out.
func TestProviderShutsAUserOut(t *testing.T) {
	h := town(t)
	by := officer()
	h.ok(h.SetUserDisabled(by, "anna", true))
	h.ok(h.SetUserDisabled(by, "anna", false))
	h.ok(h.SetUserDisabled(by, "anna", true))
	h.ok(h.SetUserDisabled(ctx, "anna", true)) // now it is the provider's
	h.want(h.SetUserDisabled(by, "anna", false), fault.Denied)
	h.ok(h.SetUserDisabled(by, "anna", true)) // changes nothing
	h.want(h.SetUserDisabled(by, "anna", false), fault.Denied)
	h.ok(h.SetPassword(by, "anna", password)) // opens nothing
	if _, err := h.Authenticate(ctx, "anna", password, storage.ByIMAP); !fault.Is(err, fault.Denied) {
		t.Errorf("who was shut out logs in: %v", err)
	}
	h.ok(h.SetUserDisabled(ctx, "anna", false))
	h.ok(h.SetUserDisabled(by, "anna", true))
	h.ok(h.SetUserDisabled(by, "anna", false))
}

// TestProviderTakesAStateOver: a body ends what it set itself until the provider
// makes it its own.
func TestProviderTakesAStateOver(t *testing.T) {
	h := town(t)
	by, box := officer(), "uno@ente.example"
	h.ok(h.SetMailboxState(by, box, storage.MailboxDeactivated))
	h.ok(h.SetMailboxState(by, box, storage.MailboxActive))
	h.ok(h.SetMailboxState(by, box, storage.MailboxDeactivated))
	h.ok(h.SetMailboxState(ctx, box, storage.MailboxDeactivated))
	h.want(h.SetMailboxState(by, box, storage.MailboxActive), fault.Denied)
	h.ok(h.SetMailboxState(by, box, storage.MailboxDeactivated)) // changes nothing: it stays the provider's
	h.want(h.SetMailboxState(by, box, storage.MailboxActive), fault.Denied)
	h.ok(h.SetMailboxState(ctx, box, storage.MailboxActive))
	h.ok(h.SetMailboxState(by, box, storage.MailboxDeactivated))
	h.want(h.SetMailboxState(ctx, "ufficio@ente.example", storage.MailboxClosed), fault.Conflict)
}

// TestBodyKeepsItsAge: another name makes no other body.
func TestBodyKeepsItsAge(t *testing.T) {
	h := town(t)
	was, err := h.Body(ctx, "c_x")
	h.ok(err)
	h.clk.Advance(time.Hour)
	h.ok(h.SetBody(ctx, "C_X", "Nuovo nome"))
	is, err := h.Body(ctx, "c_x")
	if err != nil || is.Name != "Nuovo nome" || !is.Created.Equal(was.Created) {
		t.Errorf("%v, %v: was of %v, is of %v", is.Name, err, was.Created, is.Created)
	}
}
