// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"pecd/clock"
)

// TestS4_037_ClosedToOrdinaryMail: a mailbox is closed with and without another
// address for its senders, and an open one has none.
func TestS4_037_ClosedToOrdinaryMail(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	const box = "/mailboxes/std@uno.example/ordinary-mail"
	for _, c := range []struct {
		body     string
		status   int
		open     any
		redirect any
	}{
		{`{"open":true}`, http.StatusOK, true, nil},
		{`{"open":false}`, http.StatusOK, false, nil},
		{`{"open":false,"redirect":"ufficio@altrove.example"}`, http.StatusOK, false, "ufficio@altrove.example"},
		{`{"open":true,"redirect":"ufficio@altrove.example"}`, http.StatusUnprocessableEntity, nil, nil},
		{`{"open":false}`, http.StatusOK, false, nil},
		{`{"open":false,"redirect":"nessuno"}`, http.StatusUnprocessableEntity, nil, nil},
	} {
		a := h.ask(by, put, box, c.body, "If-Match", "*")
		if a.status != c.status || a.body["ordinary"] != c.open || a.body["redirect"] != c.redirect {
			t.Errorf("%s: %d %s", c.body, a.status, a.text)
		}
	}
}

// TestDomainOfUnknownBody: a domain that cannot be given to its body is not made.
func TestDomainOfUnknownBody(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["provider"]
	if a := h.ask(by, put, "/domains/nuovo.example", `{"state":"certified","body":"c_tre"}`); a.status != http.StatusNotFound {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, get, "/domains/nuovo.example", ""); a.status != http.StatusNotFound {
		t.Errorf("it is there: %d %s", a.status, a.text)
	}
}

// TestS4_037_NewMailboxes: as by the command and by a file, a new mailbox is open to
// ordinary mail unless it is said otherwise.
func TestS4_037_NewMailboxes(t *testing.T) {
	h := newHouse(t)
	for body, open := range map[string]bool{`{"tier":"standard"}`: true, `{"tier":"standard","ordinary":true}`: true, `{"tier":"standard","ordinary":false}`: false} {
		address := fmt.Sprintf("/mailboxes/nuova%d@uno.example", len(body))
		a := h.ask(h.tokens["customer"], put, address, body)
		if m, _ := a.body["mailbox"].(map[string]any); a.status != http.StatusCreated || m["ordinary"] != open {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
}

// TestPacesAreForgotten: tokens that ask no more take no memory.
func TestPacesAreForgotten(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC))
	p := newPaces(clk)
	for i := range int64(3 * maxPaces) {
		if p.take(i) != 0 {
			t.Fatal("has to wait")
		}
		clk.Advance(paceEvery)
	}
	if len(p.full) > maxPaces {
		t.Errorf("%d are remembered", len(p.full))
	}
}

// TestS4_058_Users: a body sees its own users, each once, whatever the length of a
// page, and the provider all.
func TestS4_058_Users(t *testing.T) {
	h := newHouse(t)
	for role, want := range map[string]string{"customer": "[anna std@uno.example uno]", "provider": "[anna due std@due.example std@uno.example uno]"} {
		for _, limit := range []int{1, 2, 3, 500} {
			var got []string
			for cursor := ""; len(got) < 10; {
				a := h.ask(h.tokens[role], get, fmt.Sprintf("/users?limit=%d&cursor=%s", limit, url.QueryEscape(cursor)), "")
				for _, u := range a.body["items"].([]any) {
					got = append(got, u.(map[string]any)["login"].(string))
				}
				next, more := a.body["next"].(string)
				if !more {
					break
				}
				cursor = next
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%s, pages of %d: %v, want %s", role, limit, got, want)
			}
		}
	}
}

// TestOneImportAtOnce: who sends many files at once does not take the logins' turns.
func TestOneImportAtOnce(t *testing.T) {
	h := newHouse(t)
	ask := func() answerOf {
		return h.ask(h.tokens["customer"], post, "/bodies/c_uno/import?dry_run=true", "indirizzo;tipologia\nz@uno.example;standard\n", "Content-Type", "text/csv")
	}
	h.importing.Lock()
	if a := ask(); a.status != http.StatusTooManyRequests {
		t.Errorf("%d %s", a.status, a.text)
	}
	h.importing.Unlock()
	for range 2 {
		if a := ask(); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
}
