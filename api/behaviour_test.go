// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/storage"
)

// TestChangesWantWhatTheyChange: without the version that was read nothing is
// changed, nor with an old one.
func TestChangesWantWhatTheyChange(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	const box, open = "/mailboxes/std@uno.example", "/mailboxes/std@uno.example/ordinary-mail"
	first := h.ask(by, get, box, "")
	tag := first.header.Get("ETag")
	if a := h.ask(by, put, open, `{"open":true}`); a.status != http.StatusPreconditionRequired {
		t.Errorf("without If-Match: %d", a.status)
	}
	after := h.lastRecord()
	a := h.ask(by, put, open, `{"open":true}`, "If-Match", tag)
	if a.status != http.StatusOK || a.body["ordinary"] != true || a.header.Get("ETag") == tag {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, put, open, `{"open":false}`, "If-Match", tag); a.status != http.StatusPreconditionFailed {
		t.Errorf("with an old version: %d", a.status)
	}
	if got := h.records(after); got != "ordinary_mail.opened by token:Comune#2" {
		t.Errorf("recorded %s", got)
	}
	u := h.ask(by, get, "/users/std@uno.example", "")
	if a := h.ask(by, put, "/users/std@uno.example/state", `{"disabled":true}`, "If-Match", `"x"`); a.status != http.StatusPreconditionFailed {
		t.Errorf("a user with an old version: %d", a.status)
	}
	if a := h.ask(by, put, "/users/std@uno.example/state", `{"disabled":true}`, "If-Match", `"x", `+u.header.Get("ETag")); a.status != http.StatusOK || a.body["disabled"] != true {
		t.Errorf("a user with his version: %d %s", a.status, a.text)
	}
}

// TestRequestsAreBounded: sizes, unknown fields and addresses, wrong types, and how
// fast a token asks. What was sent does not come back, nor into the log.
func TestRequestsAreBounded(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["provider"]
	const secret = "Segreto7"
	for _, c := range []struct {
		method, path, body string
		headers            []string
		want               int
	}{
		{put, "/users/anna/password", `{"password":"` + secret[:7] + `"}`, nil, 422},
		{put, "/users/anna/password", `{"password":["` + secret + `"]}`, nil, 422},
		{put, "/users/anna/password", `{"password":"` + secret, nil, 400},
		{put, "/users/anna/password", `{"password":"` + secret + `x","extra":1}`, nil, 422},
		{put, "/users/anna/password", `{"password":"` + strings.Repeat("p", maxBody) + `"}`, nil, 413},
		{put, "/users/anna/password", ``, nil, 400},
		{put, "/users/anna/password", `password=` + secret, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{post, "/recovery/confirm", `{"secret":"` + secret + `","password":"corta"}`, nil, 422},
		{get, "/mailboxes?limit=501", "", nil, 422},
		{get, "/mailboxes?limit=x", "", nil, 422},
		{get, "/mailboxes?ordina=1", "", nil, 422},
		{get, "/mailboxes?state=boh", "", nil, 422},
		{get, "/mailboxes/" + strings.Repeat("a", 321), "", nil, 422},
		{get, "/nulla", "", nil, 404},
		{"PATCH", "/mailboxes", "", nil, 405},
		{post, "/mailboxes", "", nil, 405},
	} {
		a := h.ask(by, c.method, c.path, c.body, c.headers...)
		if a.status != c.want || a.header.Get("Content-Type") != problemType || !strings.Contains(fmt.Sprint(a.body["title"]), " / ") || !strings.Contains(fmt.Sprint(a.body["detail"]), " / ") {
			t.Errorf("%s %s %.60s: %d, want %d: %s", c.method, c.path, c.body, a.status, c.want, a.text)
		}
		if strings.Contains(a.text, secret[:7]) {
			t.Errorf("%s %s: the answer tells what was sent: %s", c.method, c.path, a.text)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Request-Id") == "" || a.header.Get("Set-Cookie")+a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: headers %v", c.method, c.path, a.header)
		}
	}
	for _, hidden := range append([]string{secret[:7], "anna"}, by) {
		if strings.Contains(h.log.String(), hidden) {
			t.Errorf("the log tells %.8s…", hidden)
		}
	}
	h.clk.Advance(time.Minute)
	for i := range paceBurst {
		if a := h.ask(by, get, "/me", ""); a.status != http.StatusOK {
			t.Fatalf("request %d: %d", i, a.status)
		}
	}
	if a := h.ask(by, get, "/me", ""); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Errorf("beyond the burst: %d", a.status)
	}
	h.clk.Advance(paceEvery)
	if a := h.ask(by, get, "/me", ""); a.status != http.StatusOK {
		t.Errorf("a moment later: %d", a.status)
	}
}

// TestPages: every mailbox once, over domains, whatever the length of a page.
func TestPages(t *testing.T) {
	h := newHouse(t)
	step := new(storage.Step)
	want := []string{"std@uno.example", "str@uno.example", "b@altro.example"}
	step.Add(&storage.PutDomain{Domain: storage.Domain{Name: "altro.example", State: storage.DomainCertified, Customer: "c_uno"}},
		&storage.PutMailbox{Mailbox: storage.Mailbox{Address: "b@altro.example", Tier: "standard", State: storage.MailboxActive}})
	for i := range 9 {
		a := fmt.Sprintf("m%d@uno.example", i)
		want = append(want, a)
		step.Add(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: a, Tier: "standard", State: storage.MailboxActive}})
	}
	h.ok(h.st.Commit(t.Context(), step))
	h.clk.Advance(10 * time.Second) // what is remembered of domains ends
	slices.Sort(want)
	for _, limit := range []int{1, 2, 3, 5, 11, 12, 500} {
		var got []string
		for cursor := ""; ; {
			a := h.ask(h.tokens["customer"], get, fmt.Sprintf("/mailboxes?limit=%d&cursor=%s", limit, url.QueryEscape(cursor)), "")
			items := a.body["items"].([]any)
			for _, m := range items {
				got = append(got, m.(map[string]any)["address"].(string))
			}
			next, more := a.body["next"].(string)
			if !more {
				break
			}
			if len(got) > 100 || len(items) > limit {
				t.Fatalf("pages of %d: %v", limit, got)
			}
			cursor = next
		}
		if got[0] != "b@altro.example" {
			t.Errorf("pages of %d begin with %s", limit, got[0])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

// TestS4_011_SecondUserOfAStandard: refused with the reason, and there is no user
// afterwards; on a Strutturata he gets a link by which he chooses his password.
func TestS4_011_SecondUserOfAStandard(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	const maria = `{"login":"maria","name":"Maria Verdi","permissions":["read","client"]}`
	a := h.ask(by, post, "/mailboxes/std@uno.example/users", maria)
	if a.status != http.StatusForbidden || !strings.Contains(fmt.Sprint(a.body["detail"]), "trasforma in Strutturata") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(h.tokens["provider"], get, "/users/maria", ""); a.status != http.StatusNotFound {
		t.Errorf("the user is there: %d", a.status)
	}
	a = h.ask(by, post, "/mailboxes/str@uno.example/users", maria)
	link, _ := a.body["link"].(map[string]any)
	if a.status != http.StatusCreated || link == nil {
		t.Fatalf("%d %s", a.status, a.text)
	}
	u, err := url.Parse(link["url"].(string))
	h.ok(err)
	secret := u.Query().Get("k")
	if u.Host != "pec.example" || u.Path != "/recupero" || len(secret) < 40 {
		t.Errorf("link %s", u)
	}
	if a := h.ask("", post, "/recovery/confirm", `{"secret":"`+secret+`","password":"la mia password"}`); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	if _, err := h.dir.Authenticate(t.Context(), "maria", "la mia password", storage.ByIMAP); err != nil {
		t.Error(err)
	}
	if a := h.ask("", post, "/recovery/confirm", `{"secret":"`+secret+`","password":"un'altra ancora"}`); a.status != http.StatusForbidden {
		t.Errorf("used twice: %d", a.status)
	}
	if a := h.ask(by, post, "/mailboxes/str@uno.example/users", maria); a.status != http.StatusConflict {
		t.Errorf("the login twice: %d", a.status)
	}
}

// TestTokensEndAtOnce: what a token was is recorded, and the next request after its
// revocation is refused.
func TestTokensEndAtOnce(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["provider"]
	after := h.lastRecord()
	made := h.ask(by, post, "/tokens", `{"name":"Protocollo","role":"mailbox","mailbox":"str@due.example"}`)
	secret, _ := made.body["secret"].(string)
	if a := h.ask(secret, get, "/me", ""); a.status != http.StatusOK || a.body["mailbox"] != "str@due.example" {
		t.Errorf("%d %s", a.status, a.text)
	}
	id := made.body["token"].(map[string]any)["id"]
	if a := h.ask(by, "DELETE", fmt.Sprintf("/tokens/%v", id), ""); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(secret, get, "/me", ""); a.status != http.StatusUnauthorized {
		t.Errorf("revoked: %d", a.status)
	}
	if got := h.records(after); got != "token.created by token:Operatore#1; token.revoked by token:Operatore#1" {
		t.Errorf("recorded %s", got)
	}
	if list := h.ask(by, get, "/tokens", ""); strings.Contains(list.text, secret) || !strings.Contains(list.text, `"state":"revoked"`) {
		t.Errorf("list %s", list.text)
	}
	// A mailbox that is not in use any more has no application.
	h.ok(h.dir.SetMailboxState(context.Background(), "str@uno.example", storage.MailboxDeactivated))
	if a := h.ask(h.tokens["mailbox"], get, "/me", ""); a.status != http.StatusUnauthorized {
		t.Errorf("the application of a deactivated mailbox: %d", a.status)
	}
}

// TestMessages: an application learns what became of each recipient by the
// Message-ID it gave, which is what ERPs keep.
func TestMessages(t *testing.T) {
	h := newHouse(t)
	at := h.clk.Now()
	put := func(id, sender string) {
		h.ok(h.st.Commit(t.Context(), new(storage.Step).Add(&storage.PutTransaction{Transaction: storage.Transaction{
			ID: id, Own: true, Sender: sender, MsgID: "<a/b+1@erp.example>", Subject: "Riservato", Receipt: "completa", At: at, Size: 10,
			Recipients: []storage.TxRecipient{
				{Address: "uno@x.example"}, {Address: "due@x.example", TakenAt: at}, {Address: "tre@x.example", TakenAt: at, Outcome: storage.Delivered, OutcomeAt: at, OutcomeRef: "<r@x.example>"},
				{Address: "quattro@x.example", Outcome: storage.Failed, OutcomeAt: at, FirstNoticeAt: at}, {Address: "cinque@y.example", External: true},
			},
		}})))
	}
	put("opec1.2026@gestore.example", "Str@uno.example")
	put("opec2.2026@gestore.example", "std@uno.example")
	for _, id := range []string{"a/b+1@erp.example", "<a/b+1@erp.example>", "opec1.2026@gestore.example"} {
		a := h.ask(h.tokens["mailbox"], get, "/mailboxes/str@uno.example/messages/"+url.PathEscape(id), "")
		all, _ := a.body["messages"].([]any)
		if a.status != http.StatusOK || len(all) != 1 || strings.Contains(a.text, "Riservato") {
			t.Fatalf("%s: %d %s", id, a.status, a.text)
		}
		m := all[0].(map[string]any)
		var states []string
		for _, r := range m["recipients"].([]any) {
			states = append(states, fmt.Sprint(r.(map[string]any)["state"]))
		}
		if want := "accepted taken_in_charge delivered failed not_certified"; strings.Join(states, " ") != want || m["complete"] != false || m["id"] != "opec1.2026@gestore.example" {
			t.Errorf("%s: %v %v", id, states, m)
		}
	}
	for _, id := range []string{"opec2.2026@gestore.example", "altro@erp.example", "<>"} {
		if a := h.ask(h.tokens["mailbox"], get, "/mailboxes/str@uno.example/messages/"+url.PathEscape(id), ""); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", id, a.status, a.text)
		}
	}
}

// TestS4_115_Page: the page sets a password once; that it was looked at uses
// nothing up, and nobody tries codes for long.
func TestS4_115_Page(t *testing.T) {
	h := newHouse(t)
	secret, _, err := h.dir.BeginReset(t.Context(), "anna")
	h.ok(err)
	for range 3 {
		if status, page := h.page(get, recoveryPath+"?k="+secret, ""); status != http.StatusOK || !strings.Contains(page, secret) || !strings.Contains(page, `lang="it"`) || strings.Contains(page, "<script") {
			t.Fatalf("%d %s", status, page)
		}
	}
	form := func(k, login, code, password, again string) string {
		return url.Values{"k": {k}, "login": {login}, "code": {code}, "password": {password}, "again": {again}}.Encode()
	}
	if status, page := h.page(post, recoveryPath, form(secret, "", "", "la nuova password", "un'altra")); status != 422 || !strings.Contains(page, `role="alert"`) {
		t.Errorf("two that differ: %d %s", status, page)
	}
	if status, page := h.page(post, recoveryPath, form(secret, "", "", "la nuova password", "la nuova password")); status != http.StatusOK || !strings.Contains(page, `role="status"`) {
		t.Errorf("%d %s", status, page)
	}
	if status, _ := h.page(post, recoveryPath, form(secret, "", "", "la nuova password", "la nuova password")); status != http.StatusForbidden {
		t.Errorf("used twice: %d", status)
	}
	if status, page := h.page(post, recoveryPath, form("", "<b>anna", "1", "la nuova password", "la nuova password")); status != http.StatusForbidden || strings.Contains(page, "<b>anna") {
		t.Errorf("a wrong code: %d %s", status, page)
	}
	if status, _ := h.page(post, recoveryPath, "password="+strings.Repeat("x", maxForm)); status != http.StatusBadRequest {
		t.Errorf("too large: %d", status)
	}
	for range 18 {
		h.page(post, recoveryPath, form("", "anna", "1", "la nuova password", "la nuova password"))
	}
	if status, _ := h.page(post, recoveryPath, form("", "anna", "1", "la nuova password", "la nuova password")); status != http.StatusTooManyRequests {
		t.Errorf("after twenty: %d", status)
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the log tells the link")
	}
}

// TestImport: a body's mailboxes from a file, with passwords that are told once; what
// is wrong is told by line, and then there is nothing.
func TestImport(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	ask := func(query, file string) answerOf {
		t.Helper()
		return h.ask(by, post, "/bodies/c_uno/import"+query, file, "Content-Type", "text/csv")
	}
	const head = "\ufeffIndirizzo;Tipologia;Intestatario;Utente;Nome;Permessi\r\n"
	a := ask("", head+"p1@uno.example;Standard;Primo;;;\r\np1@uno.example;;;gina;;\r\nz@due.example;Standard;;;;\r\n")
	if a.status != 422 || !strings.Contains(a.text, "body.line[3]") || !strings.Contains(a.text, "un solo utente") || !strings.Contains(a.text, "body.line[4]") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, get, "/mailboxes/p1@uno.example", ""); a.status != http.StatusNotFound {
		t.Errorf("something was created: %d", a.status)
	}
	a = ask("?passwords=true", head+"p1@uno.example;Standard;Primo;;;\r\np2@uno.example;Strutturata;Secondo;gina;Gina Verdi;\r\n")
	if a.status != http.StatusOK || a.body["mailboxes"] != 2.0 || a.body["users"] != 2.0 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for _, p := range a.body["passwords"].([]any) {
		u := p.(map[string]any)
		if _, err := h.dir.Authenticate(t.Context(), u["login"].(string), u["password"].(string), storage.ByIMAP); err != nil {
			t.Errorf("%v: %v", u["login"], err)
		}
	}
	if a := ask("", strings.Repeat("x", 700_002)); a.status != 413 {
		t.Errorf("too large: %d", a.status)
	}
}

// TestLimitsAndFilters: what of a mailbox's limits is used up, and its filters.
func TestLimitsAndFilters(t *testing.T) {
	h := newHouse(t)
	by := h.tokens["customer"]
	a := h.ask(h.tokens["mailbox"], get, "/mailboxes/str@uno.example/limits", "")
	minute := a.body["windows"].([]any)[0].(map[string]any)
	if minute["window"] != "minute" || minute["used"] != minute["limit"] || minute["limit"] != 50.0 || minute["opens"] == nil {
		t.Errorf("%s", a.text)
	}
	const filter = "/mailboxes/str@uno.example/filters/smista"
	if a := h.ask(by, put, filter, `{"script":"fileinto \"X\";","active":true}`); a.status != 422 || !strings.Contains(a.text, "1") {
		t.Errorf("a script that does not compile: %d %s", a.status, a.text)
	}
	first := h.ask(by, put, filter, `{"script":"keep;","active":false}`)
	if first.status != http.StatusOK || first.body["active"] != false {
		t.Errorf("%d %s", first.status, first.text)
	}
	if a := h.ask(by, put, filter, `{"script":"stop;","active":true}`); a.status != http.StatusPreconditionRequired {
		t.Errorf("without If-Match: %d", a.status)
	}
	if a := h.ask(by, put, filter, `{"script":"stop;","active":true}`, "If-Match", first.header.Get("ETag")); a.status != http.StatusOK || a.body["active"] != true {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, put, filter, `{"script":"stop;","active":false}`, "If-Match", "*"); a.body["active"] != false {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, "DELETE", filter, ""); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := h.ask(by, get, filter, ""); a.status != http.StatusNotFound {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// FuzzBodies: whatever is sent as a body, the answer is a problem that tells
// nothing of it, or a success that the document describes.
func FuzzBodies(f *testing.F) {
	for _, b := range []string{`{}`, `{"tier":"standard"}`, `[`, `{"tier":1e999}`, `{"user":{"login":"a","password":null}}`, "\xff", `{"tier":"standard","user":{"login":"é@uno.example"}}`, strings.Repeat("[", 9999)} {
		f.Add(b)
	}
	h := newHouse(f)
	f.Fuzz(func(t *testing.T, body string) {
		h.t = t
		h.clk.Advance(time.Second)
		a := h.ask(h.tokens["customer"], put, "/mailboxes/f@uno.example", body, "Content-Type", "application/json")
		if a.status >= 500 || a.status >= 400 && a.header.Get("Content-Type") != problemType {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// TestS4_057_AdministrationOfFigures: a body transforms its mailboxes with effect at
// once; what the provider set stays above it (mailcow #1650).
func TestS4_057_AdministrationOfFigures(t *testing.T) {
	h := newHouse(t)
	body, provider := h.tokens["customer"], h.tokens["provider"]
	const box = "/mailboxes/std@uno.example"
	figures := func(a answerOf) string {
		f, _ := a.body["figures"].(map[string]any)
		return fmt.Sprint(a.status, " ", a.body["tier"], " ", f["per_day"])
	}
	if got := figures(h.ask(body, put, box+"/tier", `{"tier":"strutturata"}`, "If-Match", "*")); got != "200 strutturata 500" {
		t.Error(got)
	}
	if a := h.ask(body, put, box+"/figures", `{"per_day":9000}`, "If-Match", "*"); a.status != http.StatusForbidden {
		t.Errorf("a body raises: %d", a.status)
	}
	if got := figures(h.ask(provider, put, box+"/figures", `{"per_day":9000}`, "If-Match", "*")); got != "200 strutturata 9000" {
		t.Error(got)
	}
	if a := h.ask(provider, put, box+"/state", `{"state":"blocked"}`, "If-Match", "*"); a.status != http.StatusOK {
		t.Errorf("the provider blocks: %d %s", a.status, a.text)
	}
	if a := h.ask(body, put, box+"/state", `{"state":"active"}`, "If-Match", "*"); a.status != http.StatusForbidden {
		t.Errorf("a body ends the provider's block: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, box+"/send-block", `{"blocked":true,"reason":"invii anomali"}`, "If-Match", "*"); fmt.Sprint(a.body["send_block"]) == "<nil>" {
		t.Errorf("blocked: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, box+"/send-block", `{"blocked":false}`, "If-Match", "*"); a.body["send_block"] != nil || !slices.Equal(h.unblocked, []string{"std@uno.example"}) {
		t.Errorf("unblocked: %d %s, told %v", a.status, a.text, h.unblocked)
	}
	one := h.ask(provider, get, "/bodies/c_uno", "")
	a := h.ask(provider, put, "/bodies/c_uno/ceilings/standard", `{"ceiling":0}`, "If-Match", one.header.Get("ETag"))
	if a.status != http.StatusOK {
		t.Errorf("a ceiling: %d %s", a.status, a.text)
	}
	if a := h.ask(body, put, "/mailboxes/altra@uno.example", `{"tier":"standard"}`); a.status != http.StatusConflict {
		t.Errorf("above the ceiling: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, "/tiers/standard/figures", `{"per_day":499}`, "If-Match", "*"); a.status != 422 {
		t.Errorf("below the catalogue: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, "/bodies/c_tre", `{"name":"Comune di tre"}`); a.status != http.StatusOK {
		t.Errorf("a body: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, "/domains/tre.example", `{"state":"pending","body":"c_tre"}`); a.status != http.StatusOK || a.body["body"] != "c_tre" || a.body["state"] != "pending" {
		t.Errorf("a domain: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, "/domains/tre.example", `{"state":"certified","body":"c_tre"}`); a.status != http.StatusPreconditionRequired {
		t.Errorf("a change without If-Match: %d %s", a.status, a.text)
	}
	if a := h.ask(provider, put, "/domains/tre.example", `{"state":"certified","body":"c_uno"}`, "If-Match", "*"); a.status != http.StatusOK || a.body["body"] != "c_uno" || a.body["state"] != "certified" {
		t.Errorf("certified and moved: %d %s", a.status, a.text)
	}
}
