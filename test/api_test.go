// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is one that uses the HTTP interface, by curl.
type program struct {
	people
	token string
}

// ask sends a request and returns status and answer.
func (p program) ask(method, path, body string, more ...string) (string, map[string]any) {
	p.t.Helper()
	args := append([]string{"-X", method, "-H", "Authorization: Bearer " + p.token}, more...)
	if body != "" {
		args = append(args, "-H", "Content-Type: application/json", "-d", body)
	}
	status, text := p.d.https(p.t, "https://localhost/api/v1"+path, args...)
	var answer map[string]any
	if text != "" {
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			p.t.Fatalf("%s %s: %s: %v in %s", method, path, status, err, text)
		}
	}
	return status, answer
}

// wants asks and wants a status.
func (p program) wants(want, method, path, body string, more ...string) map[string]any {
	p.t.Helper()
	status, answer := p.ask(method, path, body, more...)
	if status != want {
		p.t.Errorf("%s %s %s: %s, want %s: %v", method, path, body, status, want, answer)
	}
	return answer
}

// TestS4_055_AdministrationOverHTTP: the provider makes a body and its
// administrator's token; that one administers what is the body's and nothing else;
// an application asks what became of its message; a user sets his password.
func TestS4_055_AdministrationOverHTTP(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	unread := []string{"-H", "If-Match: *"}

	operator := program{p, p.do("token", "add", "Operatore", "--role", "provider", "--expires", "30d")}
	// A body with 40 Standard and 70 Strutturata from one upload.
	status, text := d.https(t, "https://localhost/api/v1/bodies/c_a001/import?name=Comune%20di%20Alfa&domain=comune.example", "-H", "Authorization: Bearer "+operator.token,
		"-H", "Content-Type: text/csv", "--data-binary", "@"+write(t, "ente.csv", []byte(bodyFile("comune.example"))))
	if status != "200" || !strings.Contains(text, `"mailboxes":110`) || !strings.Contains(text, `"users":112`) {
		t.Errorf("import: %s %s", status, text)
	}
	operator.wants("200", "PUT", "/bodies/c_b002", `{"name":"Comune di Beta"}`)
	operator.wants("200", "PUT", "/domains/altro.example", `{"state":"certified","body":"c_b002"}`)
	operator.wants("201", "PUT", "/mailboxes/a@altro.example", `{"tier":"standard"}`)
	made := operator.wants("201", "POST", "/tokens", `{"name":"Comune di Alfa","role":"customer","body":"c_a001"}`)
	body := program{p, fmt.Sprint(made["secret"])}

	body.wants("201", "PUT", "/mailboxes/std@comune.example", `{"tier":"standard","holder":"Protocollo","user":{"login":"std@comune.example","password":"una password lunga"}}`)
	body.wants("201", "PUT", "/mailboxes/str@comune.example", `{"tier":"strutturata","holder":"Segreteria","user":{"login":"segreteria","password":"una password lunga"}}`)
	if a := body.wants("403", "POST", "/mailboxes/std@comune.example/users", `{"login":"secondo","permissions":["read"],"password":"una password lunga"}`); !strings.Contains(fmt.Sprint(a["detail"]), "trasforma in Strutturata") { // S4-011
		t.Errorf("refused with %v", a)
	}
	body.wants("404", "GET", "/mailboxes/a@altro.example", "")
	body.wants("404", "PUT", "/mailboxes/b@altro.example", `{"tier":"standard"}`)
	body.wants("403", "PUT", "/mailboxes/std@comune.example/figures", `{"per_day":100000}`, unread...)
	operator.wants("200", "PUT", "/mailboxes/std@comune.example/state", `{"state":"blocked"}`, unread...)
	body.wants("403", "PUT", "/mailboxes/std@comune.example/state", `{"state":"active"}`, unread...)
	operator.wants("200", "PUT", "/mailboxes/std@comune.example/state", `{"state":"active"}`, unread...)
	if list := body.wants("200", "GET", "/mailboxes", ""); len(list["items"].([]any)) != 100 || list["next"] == nil {
		t.Errorf("the body sees %v", list)
	}

	// An application of one mailbox.
	if !p.reads("PLAIN", "segreteria", "una password lunga") {
		t.Error("the new user may not read")
	}
	made = body.wants("201", "POST", "/tokens", `{"name":"Protocollo","role":"mailbox","mailbox":"str@comune.example"}`)
	erp := program{p, fmt.Sprint(made["secret"])}
	const id = "<protocollo/1@erp.example>"
	message := "From: <str@comune.example>\r\nTo: <" + d.get(t, "ALFA_STANDARD") + ">\r\nSubject: prova\r\nMessage-ID: " + id + "\r\n\r\nciao\r\n"
	if r := d.swaks(t, d.get(t, "ALFA_SUBMISSION"), "str@comune.example", []string{d.get(t, "ALFA_STANDARD")}, []byte(message),
		"--tls", "--tls-verify", "--tls-ca-path", d.file(t, "CA_FILE"), "--auth", "PLAIN", "--auth-user", "segreteria", "--auth-password", "una password lunga"); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	until(t, 20*time.Second, "the message is delivered", func() (bool, string) {
		_, a := erp.ask("GET", "/mailboxes/str@comune.example/messages/"+url.PathEscape(id), "")
		text := fmt.Sprint(a)
		return strings.Contains(text, "state:delivered") && strings.Contains(text, "complete:true"), text
	})
	erp.wants("404", "GET", "/mailboxes/std@comune.example", "")
	erp.wants("403", "GET", "/bodies", "")

	// A user sets his password by the link that the administrator hands over.
	link, err := url.Parse(fmt.Sprint(body.wants("201", "POST", "/users/segreteria/reset", "")["url"]))
	if err != nil {
		t.Fatal(err)
	}
	here := "https://localhost" + link.RequestURI()
	if status, page := d.https(t, here); status != "200" || !strings.Contains(page, "Nuova password") {
		t.Errorf("%s %s", status, page)
	}
	form := []string{"--data-urlencode", "k=" + link.Query().Get("k"), "--data-urlencode", "password=la mia nuova", "--data-urlencode", "again=la mia nuova"}
	if status, page := d.https(t, "https://localhost/recupero", form...); status != "200" || !strings.Contains(page, "impostata") {
		t.Errorf("%s %s", status, page)
	}
	if status, _ := d.https(t, "https://localhost/recupero", form...); status != "403" {
		t.Errorf("used twice: %s", status)
	}
	if !p.reads("PLAIN", "segreteria", "la mia nuova") || p.reads("PLAIN", "segreteria", "una password lunga") {
		t.Error("the new password is not the one")
	}

	// Nobody without a token, and none once it was revoked.
	program{p, "pecd_x"}.wants("401", "GET", "/me", "")
	p.do("token", "revoke", "2")
	body.wants("401", "GET", "/me", "")
	for _, want := range []string{"token:Operatore#1", "token:Comune di Alfa#2"} {
		if out := p.do("ledger", "search", "--json"); !strings.Contains(out, `"actor":"`+want+`"`) {
			t.Errorf("%s did nothing by the log", want)
		}
	}
	if status, doc := d.https(t, "https://localhost/api/v1/openapi.json"); status != "200" || !strings.Contains(doc, `"openapi":"3.1.0"`) {
		t.Errorf("document: %s", status)
	}
}
