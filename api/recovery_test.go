// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/storage"
)

// TestS4_115_RequestedByTheUser: the answer is the same for everybody; who has a
// confirmed contact gets a link or a code, sets his password, and is told.
func TestS4_115_RequestedByTheUser(t *testing.T) {
	h := newHouse(t)
	h.reach("anna", "+393331234567")
	h.reach("anna", "anna@casa.example")
	h.reach("uno", "+393330000001")
	mails := 1 // the code that confirmed anna's
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	defer func() { stop(); <-done }()

	ask := func(body string) {
		t.Helper()
		if a := h.ask("", post, "/recovery", body); a.status != http.StatusAccepted || a.text != "" {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	ask(`{"login":"nessuno"}`)
	ask(`{"login":"due"}`) // without a contact
	ask(`{"login":"uno","by":"mail"}`)
	ask(`{"login":"anna"}`)
	mails++
	text := h.mail(mails)
	link := regexp.MustCompile(`https://pec\.example/recupero\?k=(\S+)`).FindStringSubmatch(text)
	if !strings.Contains(text, "anna@casa.example") || link == nil {
		t.Fatalf("sent %q", text)
	}
	if a := h.ask("", post, "/recovery/confirm", `{"secret":"`+link[1]+`","password":"scelta da anna"}`); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	mails++
	if byMail, byText := h.mail(mails), <-h.texts; !strings.Contains(byMail, "è stata cambiata") || !strings.Contains(byText, "è stata cambiata") {
		t.Errorf("told %q and %q", byMail, byText)
	}

	// By text message, on the page.
	if status, page := h.page(get, recoveryPath, ""); status != http.StatusOK || !strings.Contains(page, `name="by"`) {
		t.Errorf("%d %s", status, page)
	}
	status, page := h.page(post, recoveryPath+"/richiesta", url.Values{"login": {"uno"}, "by": {"sms"}}.Encode())
	if status != http.StatusAccepted || !strings.Contains(page, `name="code"`) || !strings.Contains(page, `value="uno"`) {
		t.Errorf("%d %s", status, page)
	}
	text = <-h.texts
	code := regexp.MustCompile(`\b\d{8}\b`).FindString(text)
	if !strings.HasPrefix(text, "+393330000001: ") || code == "" || len(text) > len("+393330000001: ")+160 {
		t.Fatalf("sent %q", text)
	}
	status, page = h.page(post, recoveryPath, url.Values{"login": {"uno"}, "code": {code}, "password": {"scelta da uno"}, "again": {"scelta da uno"}}.Encode())
	if status != http.StatusOK || !strings.Contains(page, "impostata") {
		t.Errorf("%d %s", status, page)
	}
	<-h.texts // he is told
	for login, password := range map[string]string{"anna": "scelta da anna", "uno": "scelta da uno"} {
		if _, err := h.dir.Authenticate(ctx, login, password, storage.ByIMAP); err != nil {
			t.Errorf("%s: %v", login, err)
		}
	}

	// A client asks for few; whoever it asks for.
	for range recoveryBurst - 5 {
		ask(`{"login":"nessuno"}`)
	}
	if a := h.ask("", post, "/recovery", `{"login":"nessuno"}`); a.status != http.StatusTooManyRequests {
		t.Errorf("beyond the bound: %d", a.status)
	}
	h.clk.Advance(recoveryEvery)
	ask(`{"login":"nessuno"}`)
	if status, page := h.page(post, recoveryPath+"/richiesta", "login=&by=sms"); status != 422 || !strings.Contains(page, `role="alert"`) {
		t.Errorf("%d %s", status, page)
	}
	if strings.Contains(h.log.String(), link[1]) || strings.Contains(h.log.String(), code) || strings.Contains(h.log.String(), "anna") {
		t.Error("the log tells who or what")
	}
	select {
	case text := <-h.texts:
		t.Errorf("also sent %q", text)
	default:
	}
}

// TestRequestsKeepNoWarningBack: however many codes were asked for, the user is told
// that his password was set.
func TestRequestsKeepNoWarningBack(t *testing.T) {
	h := newHouse(t)
	h.reach("uno", "+393330000001")
	for range 2 { // with the one that confirmed it these are all that are sent in an hour
		h.ok(h.sendRecovery(t.Context(), errand{"uno", "sms"}))
	}
	<-h.texts
	code := regexp.MustCompile(`\b\d{8}\b`).FindString(<-h.texts)
	for range 2 * maxErrands {
		h.later(errand{"nessuno", ""})
	}
	if a := h.ask("", post, "/recovery/confirm", `{"login":"uno","secret":"`+code+`","password":"scelta da un altro"}`); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.text)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	defer func() { stop(); <-done }()
	if text := <-h.texts; !strings.Contains(text, "è stata cambiata") {
		t.Errorf("told %q", text)
	}
}

// TestRefusalsTakeTheSameTime: how long a wrong code takes does not tell to whom one
// was sent, nor who is a user here.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	h := newHouse(t)
	if _, err := h.dir.BeginRecovery(t.Context(), "uno", storage.RecoveryCode, "sms"); err != nil {
		t.Fatal(err)
	}
	h.refusalTime = refusalTime
	waits := make(chan time.Duration, 1)
	h.Clock = heard{h.clk, waits}
	for _, login := range []string{"uno", "due", "nessuno"} {
		done := make(chan int)
		go func() {
			done <- h.ask("", post, "/recovery/confirm", `{"secret":"1","login":"`+login+`","password":"una nuova password"}`).status
		}()
		select {
		case status := <-done:
			t.Errorf("%s: %d at once", login, status)
			continue
		case d := <-waits:
			if d != refusalTime {
				t.Errorf("%s waits %v", login, d)
			}
		}
		h.clk.Advance(refusalTime)
		if status := <-done; status != http.StatusForbidden {
			t.Errorf("%s: %d", login, status)
		}
	}
}

// heard is a clock of which is told how long it is waited for.
type heard struct {
	*clock.Manual
	waits chan<- time.Duration
}

// After implements clock.Clock.
func (c heard) After(d time.Duration) (<-chan time.Time, func()) {
	over, stop := c.Manual.After(d)
	c.waits <- d
	return over, stop
}

// reach gives a user a confirmed contact.
func (h *house) reach(login, address string) {
	h.t.Helper()
	c, err := h.contacts.Add(h.t.Context(), login, address)
	h.ok(err)
	var text string
	if c.Kind == storage.ContactSMS {
		text = <-h.texts
	} else {
		text = h.mail(1)
	}
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(text)
	h.ok(h.contacts.Confirm(h.t.Context(), login, c.ID, code))
}

// TestS4_021_ContactsAndNotices: a user's contacts are confirmed by the code they
// were sent, and told of the mailboxes that were chosen.
func TestS4_021_ContactsAndNotices(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	const contacts = "/users/uno/contacts"
	made := h.ask(by, post, contacts, `{"address":"+39 333 1234567"}`)
	if made.status != http.StatusCreated || made.body["confirmed"] != nil {
		t.Fatalf("%d %s", made.status, made.text)
	}
	one := contacts + "/" + jsonNumber(int(made.body["id"].(float64)))
	const told = "/notices/str@uno.example"
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(<-h.texts)
	if a := h.ask(by, put, one+told, ""); a.status != http.StatusForbidden {
		t.Errorf("before it is confirmed: %d %s", a.status, a.text)
	}
	if a := h.ask(by, post, one+"/confirm", `{"code":"000000x"}`); a.status != http.StatusForbidden {
		t.Errorf("a wrong code: %d %s", a.status, a.text)
	}
	if a := h.ask(by, post, one+"/confirm", `{"code":"`+code+`"}`); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, put, one+told, ""); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, put, one+"/notices/str@due.example", ""); a.status != http.StatusNotFound {
		t.Errorf("of another body's mailbox: %d %s", a.status, a.text)
	}
	if a := h.ask(by, get, "/users/uno/notices", ""); !strings.Contains(a.text, `"mailbox":"str@uno.example"`) {
		t.Errorf("%s", a.text)
	}
	if a := h.ask(by, get, contacts, ""); !strings.Contains(a.text, `"kind":"sms"`) || !strings.Contains(a.text, `"confirmed"`) {
		t.Errorf("%s", a.text)
	}
	for _, path := range []string{one + told, one} {
		if a := h.ask(by, "DELETE", path, ""); a.status != http.StatusNoContent {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
}
