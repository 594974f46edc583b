// SPDX-License-Identifier: EUPL-1.2

package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/notice"
	"pecd/storage"
)

// TestContactsAreConfirmed: a code of six digits, good for ten minutes and five
// tries; nobody gets more than three an hour, whoever asks.
func TestContactsAreConfirmed(t *testing.T) {
	w := newWorld(t)
	c, err := w.service.Add(w.ctx, "anna", "333 123-4567")
	w.ok(err)
	sent := w.texts()
	if len(sent) != 1 || sent[0].To != cell || c.Address != cell || !sixDigits.MatchString(sent[0].Text) {
		t.Fatalf("%+v, %+v", c, sent)
	}
	code := sixDigits.FindString(sent[0].Text)
	wrong := fmt.Sprintf("%06d", (int(code[5]-'0')+1)%10)
	w.wants("not confirmed", w.service.Tell(w.ctx, "anna", office, c.ID, true), fault.Denied)
	w.wants("somebody else's", w.service.Confirm(w.ctx, "bruno", c.ID, code), fault.NotFound)
	for range 5 {
		w.wants("wrong", w.service.Confirm(w.ctx, "anna", c.ID, wrong), fault.Denied)
	}
	w.wants("the right one after five wrong ones", w.service.Confirm(w.ctx, "anna", c.ID, code), fault.TooMany)
	again := func() string {
		t.Helper()
		_, err := w.service.Add(w.ctx, "anna", cell)
		w.ok(err)
		return sixDigits.FindString(w.texts()[0].Text)
	}
	code = again()
	w.clk.Advance(10 * time.Minute)
	w.wants("too late", w.service.Confirm(w.ctx, "anna", c.ID, code), fault.Denied)
	code = again()
	_, err = w.service.Add(w.ctx, "bruno", cell)
	w.wants("the fourth within an hour", err, fault.TooMany)
	if all, err := w.service.List(w.ctx, "bruno"); err != nil || len(all) != 0 || len(w.texts()) != 0 {
		t.Errorf("left behind: %v, %v", all, err)
	}
	w.ok(w.service.Confirm(w.ctx, "anna", c.ID, " "+code[:3]+" "+code[3:]))
	w.ok(w.service.Confirm(w.ctx, "anna", c.ID, "again"))
	_, err = w.service.Add(w.ctx, "anna", "0039 3331234567")
	w.wants("confirmed already", err, fault.Exists)
	w.clk.Advance(time.Hour)
	w.ok(w.service.Tell(w.ctx, "anna", office, c.ID, true))

	c, err = w.store.Contact(w.ctx, c.ID)
	w.ok(err)
	w.ok(w.service.SendCode(w.ctx, c, notice.Text{Italian: "Codice di ripristino 123456.", English: "x"}))
	if sent := w.texts(); len(sent) != 1 || sent[0].Text != "Codice di ripristino 123456." {
		t.Errorf("%+v", sent)
	}
	w.playing(fault.New("test", fault.Temporary, nil))
	w.wants("gateway down", w.service.SendCode(w.ctx, c, notice.Text{Italian: "x"}), fault.Temporary)

	w.wants("not his", w.service.Remove(w.ctx, "bruno", c.ID), fault.NotFound)
	w.ok(w.service.Remove(w.ctx, "anna", c.ID))
	w.clk.Advance(6 * time.Second)
	if box, err := w.users.Mailbox(w.ctx, office); err != nil || box.Told {
		t.Errorf("told %v, %v", box.Told, err)
	}
	for _, k := range []string{"contact.added", "contact.confirmed", "contact.removed"} {
		if e := w.events(k); len(e) != 1 || !strings.Contains(e[0], `"actor":"root"`) || !strings.Contains(e[0], "…567") {
			t.Errorf("%s: %v", k, e)
		}
	}
}

// TestContactsLoopGuard: what is certified mail, here or elsewhere, is no contact.
func TestContactsLoopGuard(t *testing.T) {
	w := newWorld(t)
	for address, kind := range map[string]fault.Kind{
		"anna@PEC.example": fault.Denied, "anna@altro.example": fault.Denied, "anna@posta": fault.Invalid, "<a@b.it>": fault.Invalid,
		"+44 20 7946 0018": fault.Denied, "06 1234567": fault.Invalid, "333": fault.Invalid, "+39333123456789": fault.Invalid, "": fault.Invalid,
		"333123456７": fault.Invalid, strings.Repeat("3", 100): fault.Invalid,
	} {
		_, err := w.service.Add(w.ctx, "anna", address)
		w.wants(address, err, kind)
	}
	stranger := directory.AsActor(t.Context(), directory.Actor{Name: "altri", Role: directory.RoleCustomer, Customer: "altri"})
	_, err := w.service.Add(stranger, "anna", cell)
	w.wants("another body's administrator", err, fault.NotFound)
	w.wants("another body's administrator", w.service.Allow(stranger, mass, true), fault.NotFound)
	_, err = w.service.Add(w.ctx, "nessuno", cell)
	w.wants("no user", err, fault.NotFound)
	for i := range 10 {
		_, err := w.service.Add(w.ctx, "anna", fmt.Sprintf("anna%d@posta.example", i))
		w.ok(err)
	}
	_, err = w.service.Add(w.ctx, "anna", cell)
	w.wants("the eleventh", err, fault.TooMany)

	// A domain that becomes certified after it was confirmed.
	c := w.confirmed("bruno", "bruno@posta.example")
	w.ok(w.service.Tell(w.ctx, "bruno", office, c.ID, true))
	w.arrives(office, 1, 0)
	w.ok(w.users.CreateDomain(w.ctx, "posta.example", storage.DomainPending))
	w.running()
	w.until("the notice is given up", func() (bool, string) {
		return len(w.events("notice.failed")) == 1, ""
	})
	if m := w.mails(); len(m) != 0 {
		t.Errorf("%+v", m)
	}
}

// TestS4_021_EachUserChooses: who may read chooses for himself, and a tier without
// notices has them where the provider allows them (D6).
func TestS4_021_EachUserChooses(t *testing.T) {
	w := newWorld(t)
	anna, bruno := w.confirmed("anna", "anna@posta.example"), w.confirmed("bruno", cell)
	w.wants("not hers", w.service.Tell(w.ctx, "anna", office, bruno.ID, true), fault.NotFound)
	w.wants("may not read", w.service.Tell(w.ctx, "anna", standard, anna.ID, true), fault.Denied)
	w.wants("mass tier", w.service.Tell(w.ctx, "anna", mass, anna.ID, true), fault.Denied)
	w.ok(w.service.Tell(w.ctx, "anna", office, anna.ID, true))
	w.running()
	w.arrives(office, 1, 0)
	var got []letter
	w.until("anna is told", func() (bool, string) {
		got = append(got, w.mails()...)
		return len(got) > 0, ""
	})
	if len(got) != 1 || got[0].to != "anna@posta.example" || !strings.Contains(got[0].body, "casella "+office+", ore 10:3") || len(w.texts()) != 0 {
		t.Errorf("%+v", got)
	}
	w.ok(w.service.Tell(w.ctx, "anna", office, anna.ID, false))
	w.ok(w.service.Tell(w.ctx, "bruno", office, bruno.ID, true))
	w.ok(w.service.Allow(w.ctx, mass, true))
	w.ok(w.service.Tell(w.ctx, "anna", mass, anna.ID, true))
	if all, err := w.service.Targets(w.ctx, "anna"); err != nil || len(all) != 1 || all[0].Address != mass {
		t.Errorf("%+v, %v", all, err)
	}
	w.arrives(office, 1, 0)
	w.arrives(mass, 1, 0)
	var sms int
	got = nil
	w.until("both are told", func() (bool, string) {
		got = append(got, w.mails()...)
		sms += len(w.texts())
		return len(got) > 0 && sms > 0, fmt.Sprint(got, sms)
	})
	if len(got) != 1 || sms != 1 || !strings.Contains(got[0].subject, mass) {
		t.Errorf("%+v, %d text messages", got, sms)
	}
	w.ok(w.service.Allow(w.ctx, mass, false))
	w.ok(w.users.Grant(w.ctx, "bruno", office, storage.MaySend))
	w.arrives(mass, 1, 0)
	w.arrives(office, 1, 0)
	w.moves(5 * time.Second)
	if m, s := w.mails(), w.texts(); len(m)+len(s) != 0 {
		t.Errorf("%+v, %+v", m, s)
	}
	if e := w.events("notice.sent"); len(e) != 3 || !strings.Contains(e[0], `"user":"anna"`) || !strings.Contains(e[0], `"count":1`) {
		t.Errorf("%v", e)
	}
}
