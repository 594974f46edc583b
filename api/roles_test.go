// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"net/http"
	"strings"
	"testing"
)

const (
	own     = "uno"
	foreign = "due"
)

// TestRoles is the table of who may do what, of what is of his body or mailbox and
// of what is not: what a role must not see does not exist for it, and what it sees
// and must not do is refused.
func TestRoles(t *testing.T) {
	h := newHouse(t)
	const all, no, gone, made, none = http.StatusOK, http.StatusForbidden, http.StatusNotFound, http.StatusCreated, http.StatusNoContent
	for _, c := range []struct {
		method, path, body string // BODY stands for "uno" or "due"
		want               [6]int // provider own and foreign, customer own and foreign, application own and foreign; 0: not asked
	}{
		{get, "/me", "", [6]int{all, 0, all, 0, all, 0}},
		{get, "/bodies", "", [6]int{all, 0, all, 0, no, 0}},
		{get, "/bodies/c_BODY", "", [6]int{all, all, all, gone, no, no}},
		{put, "/bodies/c_BODY", `{"name":"Comune di BODY"}`, [6]int{all, all, no, no, no, no}},
		{put, "/bodies/c_BODY/ceilings/xl", `{"ceiling":null}`, [6]int{all, all, no, no, no, no}},
		{put, "/domains/BODY.example", `{"state":"certified","body":"c_BODY"}`, [6]int{all, all, no, no, no, no}},
		{put, "/tiers/xl/figures", `{}`, [6]int{all, 0, no, 0, no, 0}},
		{put, "/mailboxes/std@BODY.example/tier", `{"tier":"standard"}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/figures", `{}`, [6]int{all, all, no, no, no, no}},
		{post, "/bodies/c_BODY/import?dry_run=true", "indirizzo;tipologia\nz@BODY.example;standard\n", [6]int{all, all, all, gone, no, no}},
		{post, "/bodies/c_BODY/import?dry_run=true&name=X", "indirizzo;tipologia\nz@BODY.example;standard\n", [6]int{all, all, no, gone, no, no}},
		{get, "/domains", "", [6]int{all, 0, all, 0, no, 0}},
		{get, "/domains/BODY.example", "", [6]int{all, all, all, gone, no, no}},
		{get, "/tiers", "", [6]int{all, 0, all, 0, all, 0}},
		{get, "/tiers/standard", "", [6]int{all, 0, all, 0, all, 0}},
		{get, "/tiers/oro", "", [6]int{gone, 0, gone, 0, gone, 0}},
		{get, "/mailboxes", "", [6]int{all, 0, all, 0, all, 0}},
		{get, "/mailboxes?domain=BODY.example", "", [6]int{all, all, all, gone, 0, 0}},
		{get, "/mailboxes/str@BODY.example", "", [6]int{all, all, all, gone, all, gone}},
		{get, "/mailboxes/std@BODY.example", "", [6]int{all, all, all, gone, gone, gone}},
		{get, "/mailboxes/ricevute@uno.example", "", [6]int{all, 0, gone, 0, gone, 0}},
		{get, "/mailboxes/nessuno@BODY.example", "", [6]int{gone, gone, gone, gone, gone, gone}},
		{put, "/mailboxes/std@BODY.example", `{"tier":"standard"}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/nuova@BODY.example", `{"tier":"standard"}`, [6]int{made, made, all, gone, no, no}},
		{put, "/mailboxes/posta-certificata@BODY.example", `{"tier":"standard"}`, [6]int{no, no, no, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/state", `{"state":"active"}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/state", `{"state":"blocked"}`, [6]int{0, 0, no, gone, no, no}},
		{put, "/mailboxes/ricevute@uno.example/state", `{"state":"deactivated"}`, [6]int{0, 0, gone, 0, no, 0}},
		{put, "/mailboxes/std@BODY.example/ordinary-mail", `{"open":true}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/options", `{"personal_seen":true,"file_sent":true,"file_receipts":false}`, [6]int{all, all, all, gone, no, no}},
		{get, "/mailboxes/str@BODY.example/users", "", [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/str@BODY.example/users/uno", `{"permissions":["read","write"]}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/str@uno.example/users/due", `{"permissions":["read"]}`, [6]int{0, 0, 0, gone, no, 0}},
		{post, "/mailboxes/std@BODY.example/users", `{"login":"secondo","permissions":["read"],"password":"una password lunga"}`, [6]int{no, no, no, gone, no, no}},
		{post, "/mailboxes/str@uno.example/users", `{"login":"x@due.example","permissions":["read"],"password":"una password lunga"}`, [6]int{0, 0, no, 0, no, 0}},
		{get, "/users", "", [6]int{all, 0, all, 0, no, 0}},
		{get, "/users/std@BODY.example", "", [6]int{all, all, all, gone, no, no}},
		{get, "/users/anna", "", [6]int{all, 0, all, 0, no, 0}},
		{get, "/users/nessuno", "", [6]int{gone, 0, gone, 0, no, 0}},
		{put, "/users/anna/state", `{"disabled":false}`, [6]int{all, 0, no, 0, no, 0}}, // she has a mailbox of the other body, too
		{put, "/users/std@BODY.example/state", `{"disabled":false}`, [6]int{all, all, all, gone, no, no}},
		{put, "/users/anna/password", `{"password":"una password lunga"}`, [6]int{0, 0, no, 0, no, 0}},
		{put, "/users/std@due.example/password", `{"password":"una password lunga"}`, [6]int{0, 0, 0, gone, no, no}},
		{post, "/users/std@BODY.example/reset", "", [6]int{made, made, made, gone, no, no}},
		{post, "/users/anna/reset", "", [6]int{made, 0, no, 0, no, 0}},
		{get, "/users/std@BODY.example/app-passwords", "", [6]int{all, all, all, gone, no, no}},
		{"DELETE", "/users/std@BODY.example/app-passwords/99", "", [6]int{gone, gone, gone, gone, no, no}},
		{"DELETE", "/users/anna", "", [6]int{0, 0, no, 0, no, 0}},
		{"DELETE", "/users/std@due.example", "", [6]int{0, 0, 0, gone, no, no}},
		{get, "/tokens", "", [6]int{all, 0, all, 0, no, 0}},
		{post, "/tokens", `{"name":"a","role":"provider"}`, [6]int{0, 0, no, 0, no, 0}},
		{post, "/tokens", `{"name":"a","role":"customer","body":"c_uno"}`, [6]int{0, 0, no, 0, no, 0}},
		{post, "/tokens", `{"name":"b BODY","role":"mailbox","mailbox":"str@BODY.example"}`, [6]int{0, 0, made, gone, no, no}},
		{"DELETE", "/tokens/1", "", [6]int{0, 0, gone, 0, no, 0}},
		{"DELETE", "/tokens/99", "", [6]int{gone, 0, gone, 0, no, 0}},
		{get, "/mailboxes/str@BODY.example/limits", "", [6]int{all, all, all, gone, all, gone}},
		{put, "/mailboxes/str@BODY.example/filters/uno", `{"script":"keep;","active":true}`, [6]int{all, all, all, gone, no, no}},
		{get, "/mailboxes/str@BODY.example/filters", "", [6]int{all, all, all, gone, no, no}},
		{get, "/mailboxes/str@BODY.example/filters/uno", "", [6]int{all, all, all, gone, no, no}},
		{put, "/domains/BODY.example/protection", `{"macro":{"certified":"refuse"}}`, [6]int{all, all, all, gone, no, no}},
		{get, "/domains/BODY.example/protection", "", [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/protection", `{"spam":{"ordinary":"refuse"}}`, [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/protection", `{"spam":{"ordinary":"pass"}}`, [6]int{no, no, no, gone, no, no}}, // below the provider's
		{get, "/mailboxes/str@BODY.example/protection", "", [6]int{all, all, all, gone, no, no}},
		{put, "/mailboxes/std@BODY.example/send-block", `{"blocked":true,"reason":"prova"}`, [6]int{all, all, no, no, no, no}},
		{put, "/mailboxes/std@BODY.example/send-block", `{"blocked":false}`, [6]int{all, all, no, no, no, no}},
		{get, "/users/std@BODY.example/contacts", "", [6]int{all, all, all, gone, no, no}},
		{post, "/users/std@due.example/contacts", `{"address":"x@casa.example"}`, [6]int{0, 0, 0, gone, no, no}},
		{get, "/users/std@BODY.example/notices", "", [6]int{all, all, all, gone, no, no}},
		{get, "/queue", "", [6]int{all, 0, no, 0, no, 0}},
		{get, "/mailboxes/str@BODY.example/messages/x", "", [6]int{gone, gone, no, no, gone, gone}},
		{"DELETE", "/mailboxes/str@BODY.example/users/uno", "", [6]int{0, none, none, gone, no, no}},
	} {
		for i, want := range c.want {
			if want == 0 {
				continue
			}
			token := [...]string{"provider", "customer", "mailbox"}[i/2]
			body := [...]string{own, foreign}[i%2]
			path, text := strings.ReplaceAll(c.path, "BODY", body), strings.ReplaceAll(c.body, "BODY", body)
			if a := h.ask(h.tokens[token], c.method, path, text, "If-Match", "*"); a.status != want {
				t.Errorf("%s: %s %s %s: %d, want %d\n%s", token, c.method, path, text, a.status, want, a.text)
			}
		}
	}
}

// TestNobodyWithoutToken: every operation but those for anybody wants a token, and
// each wrong one counts as a guess of its client.
func TestNobodyWithoutToken(t *testing.T) {
	h := newHouse(t)
	for path, item := range h.spec.doc["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			if roles()[o.(map[string]any)["operationId"].(string)] == anybody {
				continue
			}
			path := strings.NewReplacer("{", "", "}", "").Replace(path)
			a := h.ask("", strings.ToUpper(method), path, "")
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s: %d", method, path, a.status)
			}
		}
	}
	wrong := h.tokens["provider"][:63] + "a"
	if wrong == h.tokens["provider"] {
		wrong = wrong[:63] + "b"
	}
	for range 20 {
		if a := h.ask(wrong, get, "/me", ""); a.status != http.StatusUnauthorized {
			t.Fatalf("a wrong token: %d", a.status)
		}
	}
	if a := h.ask(h.tokens["provider"], get, "/me", ""); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("after twenty wrong ones: %d", a.status)
	}
}
