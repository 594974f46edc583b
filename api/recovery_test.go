// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"pecd/notice"
	"pecd/storage"
)

// gateway is one that keeps what it is given.
type gateway struct {
	contacts map[string][]Contact
	sent     chan string
}

func (g *gateway) Confirmed(_ context.Context, login string) ([]Contact, error) {
	return g.contacts[login], nil
}

func (g *gateway) Send(_ context.Context, login string, to Contact, text notice.Text) error {
	kind := "mail"
	if to.SMS {
		kind = "sms"
	}
	g.sent <- kind + " " + login + ": " + text.Italian
	return nil
}

// TestS4_115_RequestedByTheUser: the answer is the same for everybody; who has a
// confirmed contact gets a link or a code, sets his password, and is told.
func TestS4_115_RequestedByTheUser(t *testing.T) {
	h := newHouse(t)
	g := h.Contacts.(*gateway)
	g.contacts = map[string][]Contact{"anna": {{ID: 1, SMS: true}, {ID: 2}}, "uno": {{ID: 3, SMS: true}}}
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
	text := <-g.sent
	link := regexp.MustCompile(`https://pec\.example/recupero\?k=(\S+)`).FindStringSubmatch(text)
	if !strings.HasPrefix(text, "mail anna: ") || link == nil {
		t.Fatalf("sent %q", text)
	}
	if a := h.ask("", post, "/recovery/confirm", `{"secret":"`+link[1]+`","password":"scelta da anna"}`); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	for range 2 {
		if told := <-g.sent; !strings.Contains(told, "è stata cambiata") {
			t.Errorf("told %q", told)
		}
	}

	// By text message, on the page.
	if status, page := h.page(get, recoveryPath, ""); status != http.StatusOK || !strings.Contains(page, `name="by"`) {
		t.Errorf("%d %s", status, page)
	}
	status, page := h.page(post, recoveryPath+"/richiesta", url.Values{"login": {"uno"}, "by": {"sms"}}.Encode())
	if status != http.StatusAccepted || !strings.Contains(page, `name="code"`) || !strings.Contains(page, `value="uno"`) {
		t.Errorf("%d %s", status, page)
	}
	text = <-g.sent
	code := regexp.MustCompile(`\d{8}`).FindString(text)
	if !strings.HasPrefix(text, "sms uno: ") || code == "" || len(text) > len("sms uno: ")+160 {
		t.Fatalf("sent %q", text)
	}
	status, page = h.page(post, recoveryPath, url.Values{"login": {"uno"}, "code": {code}, "password": {"scelta da uno"}, "again": {"scelta da uno"}}.Encode())
	if status != http.StatusOK || !strings.Contains(page, "impostata") {
		t.Errorf("%d %s", status, page)
	}
	<-g.sent // he is told
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
	case text := <-g.sent:
		t.Errorf("also sent %q", text)
	default:
	}
}
