// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// enrolment is the body c_z with a Standard mailbox, and a Strutturata one of three
// users, of whom one has the Standard as well.
func enrolment() Enrolment {
	return Enrolment{Body: "C_Z", Name: "Comune di Z", Domains: []string{"z.example"}, Mailboxes: []EnrolledMailbox{
		{Line: 2, Address: "uno@z.example", Tier: "standard", Holder: "Mario", Users: []EnrolledUser{{Line: 2, Login: "uno@z.example", Name: "Mario", Permission: storage.MayAll}}},
		{Line: 3, Address: "ufficio@z.example", Tier: "strutturata", Users: []EnrolledUser{
			{Line: 3, Login: "Carla", Name: "Carla Neri", Permission: storage.MayRead}, {Line: 4, Login: "uno@z.example", Permission: storage.MayAll}, {Line: 5, Login: "dario@fuori.example", Permission: storage.MayAll}}},
	}}
}

// unchanged checks that nothing was recorded after a record.
func (h house) unchanged(last int64) {
	h.t.Helper()
	if got := h.records(last); len(got) > 0 {
		h.t.Errorf("something was done: %q", got)
	}
}

func TestEnrolment(t *testing.T) {
	h := newHouse(t)
	counted(h)
	last := h.lastRecord()
	e := enrolment()
	e.DryRun = true
	if done, objections, err := h.Enrol(ctx, e); err != nil || len(objections) > 0 || done != (Enrolled{2, 3, 4}) {
		t.Fatalf("%+v, %v, %v", done, objections, err)
	}
	h.unchanged(last)

	passwords := make(map[string]string)
	e.DryRun = false
	progress := ""
	e.Progress = func(done, all int) { progress += fmt.Sprint(done, "/", all, " ") }
	e.Password = func(u EnrolledUser, password string) error {
		h.unchanged(last)
		passwords[u.Login] = password
		return nil
	}
	done, objections, err := h.Enrol(As(ctx, "root"), e)
	if err != nil || len(objections) > 0 || done != (Enrolled{2, 3, 4}) || len(passwords) != 3 || progress != "1/3 2/3 3/3 " {
		t.Fatalf("%+v, %v, %v, %d passwords, %s", done, objections, err, len(passwords), progress)
	}
	want := []string{"body.changed", "domain.state", "domain.body", "mailbox.created", "user.created", "user.grant", "mailbox.created", "user.created", "user.grant", "user.grant", "user.created", "user.grant"}
	var kinds []string
	for _, r := range h.records(last) {
		kind, rest, _ := strings.Cut(r, " ")
		if kinds = append(kinds, kind); !strings.HasPrefix(rest, "by root:") {
			t.Errorf("%q", r)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("%q", kinds)
	}
	p, err := h.Authenticate(ctx, "uno@z.example", passwords["uno@z.example"], storage.ByIMAP)
	if err != nil || len(p.Grants) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if s := passwords["dario@fuori.example"]; len(s) != 19 || strings.Count(s, "-") != 3 {
		t.Error("a password of another form")
	}
	if m, err := h.Mailbox(ctx, "ufficio@z.example"); err != nil || m.State != storage.MailboxActive {
		t.Errorf("%+v, %v", m, err)
	}

	// Once more: nothing is written over.
	last = h.lastRecord()
	done, objections, err = h.Enrol(ctx, e)
	if err != nil || len(objections) != 2 || objections[0].Line != 2 || !strings.Contains(objections[0].Text, "in uso") {
		t.Errorf("%+v, %v, %v", done, objections, err)
	}
	h.unchanged(last)

	// Who is there already gets his permission, and keeps name and password.
	e = Enrolment{Body: "c_z", Mailboxes: []EnrolledMailbox{{Line: 2, Address: "due@z.example", Tier: "strutturata",
		Users: []EnrolledUser{{Line: 2, Login: "carla", Name: "Altra", Permission: storage.MayAll}, {Line: 3, Login: "elio", Permission: storage.MayAll}}}}}
	done, objections, err = h.Enrol(AsActor(ctx, Actor{Name: "capo", Role: RoleCustomer, Customer: "c_z"}), e)
	if err != nil || len(objections) > 0 || done != (Enrolled{1, 1, 2}) {
		t.Errorf("%+v, %v, %v", done, objections, err)
	}
	u, err := h.User(ctx, "carla")
	if err != nil || u.Name != "Carla Neri" || u.Hash == "" || u.Customer != "c_z" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := h.Authenticate(ctx, "carla", passwords["carla"], storage.ByIMAP); err != nil {
		t.Error(err)
	}
	_, err = h.Authenticate(ctx, "elio", "", storage.ByIMAP)
	h.want(err, fault.Denied)
}

// TestEnrolmentObjections: all that stands against it is told at once, with its
// line, and nothing is done.
func TestEnrolmentObjections(t *testing.T) {
	h := town(t)
	h.ok(h.SetCeiling(ctx, "c_x", "strutturata", 2))
	h.ok(h.SetCeiling(ctx, "c_x", "standard", 3))
	last := h.lastRecord()
	all := func(login string) []EnrolledUser {
		return []EnrolledUser{{Login: login, Permission: storage.MayAll}}
	}
	e := Enrolment{Body: "c_x", Mailboxes: []EnrolledMailbox{
		{Line: 2, Address: "s1@ente.example", Tier: "standard", Users: []EnrolledUser{{2, "s1@ente.example", "A", storage.MayAll}, {3, "anna", "", storage.MayAll}}},
		{Line: 4, Address: "x@altro.example", Tier: "standard", Users: all("x@altro.example")},
		{Line: 5, Address: "x@nessuno.example", Tier: "standard", Users: all("zeta")},
		{Line: 6, Address: "uno@ente.example", Tier: "standard", Users: all("uno@ente.example")},
		{Line: 7, Address: "t1@ente.example", Tier: "nessuna", Users: all("yota")},
		{Line: 8, Address: "t2@ente.example", Tier: "strutturata", Users: []EnrolledUser{{8, "nuovo", "A", storage.MayAll}, {9, "NUOVO", "A", storage.MayRead}, {10, "bruno", "", storage.MayRead}, {11, "x y", "", storage.MayRead}, {12, "p", "", 0}}},
		{Line: 13, Address: "t3@ente.example", Tier: "strutturata", Users: []EnrolledUser{{13, "nuovo", "B", storage.MayAll}}},
		{Line: 14, Address: "posta-certificata@ente.example", Tier: "standard", Users: all("kappa")},
		{Line: 15, Address: "s1@ente.example", Tier: "standard", Users: all("s1@ente.example")},
	}}
	for _, as := range []struct {
		role Role
		ctx  func() (Enrolled, []Objection, error)
	}{
		{RoleProvider, func() (Enrolled, []Objection, error) { return h.Enrol(ctx, e) }},
		{RoleCustomer, func() (Enrolled, []Objection, error) { return h.Enrol(officer(), e) }},
	} {
		_, objections, err := as.ctx()
		h.ok(err)
		var got []string
		for _, o := range objections {
			got = append(got, fmt.Sprint(o.Line, " ", o.Text))
		}
		for i, want := range []string{
			"0 il dominio del nome utente non è di questo ente", // x@altro.example
			"3 una casella Standard ha un solo utente", "4 il dominio altro.example non è", "5 dominio non gestito", "6 l'indirizzo è in uso", "7 tipologia di casella sconosciuta",
			"9 l'utente è ripetuto", "10 il nome utente esiste già e non è di questo ente", "11 nome utente non valido", "12 permesso sconosciuto",
			"13 il massimale dell'ente per le caselle Strutturata", "13 lo stesso utente ha due nomi", "14 indirizzo riservato", "15 l'indirizzo è in uso",
		} {
			if len(got) <= i || !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %d: want %q in %q", as.role, i, want, got)
				break
			}
		}
	}
	h.unchanged(last)

	for name, c := range map[string]struct {
		e    func(*Enrolment)
		kind fault.Kind
	}{
		"no such body":           {func(e *Enrolment) { e.Name = "" }, fault.NotFound},
		"malformed code":         {func(e *Enrolment) { e.Body = "c z" }, fault.Invalid},
		"another's domain":       {func(e *Enrolment) { e.Domains = []string{"altro.example"} }, fault.Conflict},
		"malformed domain":       {func(e *Enrolment) { e.Domains = []string{"a b"} }, fault.Invalid},
		"too many":               {func(e *Enrolment) { e.Mailboxes[0].Users = make([]EnrolledUser, MaxEnrolled) }, fault.TooMany},
		"a password is not kept": {func(e *Enrolment) { e.Password = func(EnrolledUser, string) error { return errors.New("disk full") } }, fault.Temporary},
	} {
		e := enrolment()
		c.e(&e)
		if _, _, err := h.Enrol(ctx, e); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range []Enrolment{{Body: "c_x", Name: "Altro nome"}, {Body: "c_x", Domains: []string{"nuovo2.example"}}} {
		_, _, err := h.Enrol(officer(), e)
		h.want(err, fault.Denied)
	}
	_, _, err := h.Enrol(officer(), Enrolment{Body: "c_y"})
	h.want(err, fault.NotFound)
	h.unchanged(last)
}

// TestEnrolmentIsLookedAtAgain: what changes while passwords are made is seen.
func TestEnrolmentIsLookedAtAgain(t *testing.T) {
	h := newHouse(t)
	counted(h)
	e := enrolment()
	n := 0
	e.Password = func(EnrolledUser, string) error {
		if n++; n == 3 {
			return h.CreateUser(ctx, NewUser{Login: "carla", NoPassword: true})
		}
		return nil
	}
	_, objections, err := h.Enrol(ctx, e)
	if err != nil || len(objections) != 1 || objections[0].Line != 3 {
		t.Errorf("%v, %v", objections, err)
	}
	_, err = h.Body(ctx, "c_z")
	h.want(err, fault.NotFound)
}
