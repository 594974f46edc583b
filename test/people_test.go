// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// people runs pecd's commands on one provider of a demo.
type people struct {
	t      *testing.T
	d      *demo
	config string
}

func (p people) do(args ...string) string {
	p.t.Helper()
	code, out := pecdIn(p.t, "una password lunga\n", append(args, "--config", p.config)...)
	if code != 0 {
		p.t.Fatalf("%v: exit %d\n%s", args, code, out)
	}
	return strings.TrimSpace(out)
}

func (p people) refused(want string, args ...string) {
	p.t.Helper()
	if code, out := pecdIn(p.t, "una password lunga\n", append(args, "--config", p.config)...); code != 1 || !strings.Contains(out, want) {
		p.t.Errorf("%v: exit %d, want 1 and %q\n%s", args, code, want, out)
	}
}

// send submits with swaks and AUTH LOGIN, as Outlook does, and returns what it
// was told.
func (p people) send(login, password, from string, more ...string) (code int, said string) {
	p.t.Helper()
	message := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: prova\r\nMessage-ID: <%d@client.example>\r\n\r\nciao\r\n", from, from, time.Now().UnixNano())
	r := p.d.swaks(p.t, p.d.get(p.t, "ALFA_SUBMISSION"), from, []string{from}, []byte(message), append([]string{
		"--tls", "--tls-verify", "--tls-ca-path", p.d.file(p.t, "CA_FILE"), "--auth", "LOGIN", "--auth-user", login, "--auth-password", password}, more...)...)
	return r.code, transcript(append(r.stdout, r.stderr...))
}

// reads logs in by IMAP with curl and returns whether it was let in. auth is a
// SASL mechanism.
func (p people) reads(auth, login, password string) bool {
	p.t.Helper()
	_, port := p.d.hostPort(p.t, "ALFA_IMAPS")
	return p.curl(auth, login, password, "imaps://localhost:"+port+"/INBOX?NEW")
}

// polls is reads by POP3.
func (p people) polls(auth, login, password string) bool {
	p.t.Helper()
	_, port := p.d.hostPort(p.t, "ALFA_POP3S")
	return p.curl(auth, login, password, "pop3s://localhost:"+port+"/")
}

func (p people) curl(auth, login, password, url string) bool {
	p.t.Helper()
	need(p.t, "curl")
	r := runWithin(p.t, minute, "curl", "--silent", "--show-error", "--max-time", "30", "--cacert", p.d.file(p.t, "CA_FILE"), "--login-options", "AUTH="+auth,
		"--user", login+":"+password, url)
	if r.code != 0 && r.code != 67 {
		p.t.Fatalf("curl: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	return r.code == 0
}

// records returns the kinds of the records that search finds, once there is
// one of each wanted kind.
func (p people) records(wanted []string, args ...string) (all []map[string]any) {
	p.t.Helper()
	until(p.t, 10*time.Second, fmt.Sprint(wanted, " in the log"), func() (bool, string) {
		all = nil
		var kinds []string
		out := p.do(append([]string{"ledger", "search", "--json"}, args...)...)
		for line := range strings.Lines(out) {
			var r struct{ Event map[string]any }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				p.t.Fatalf("%v: %s", err, line)
			}
			all = append(all, r.Event)
			kinds = append(kinds, fmt.Sprint(r.Event["kind"]))
		}
		for _, k := range wanted {
			if !slices.Contains(kinds, k) {
				return false, fmt.Sprint(kinds)
			}
		}
		return true, ""
	})
	return all
}

// TestS4_017_SeveralPeopleOnOneMailbox: what each may do is what was granted, the
// log tells who did it and by what program, and what is revoked ends at once.
func TestS4_017_SeveralPeopleOnOneMailbox(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	box, standard, mass := d.get(t, "ALFA_STRUTTURATA"), d.get(t, "ALFA_STANDARD"), d.get(t, "ALFA_SMALL")
	own := d.password(t)

	p.do("user", "add", "anna", "--name", "Anna Bianchi")
	p.refused("trasforma in Strutturata", "user", "grant", "anna", standard, "--may", "read") // S4-011
	p.do("user", "grant", "anna", box, "--may", "read,client")
	p.do("user", "grant", "anna", mass, "--may", "all")
	if out := p.do("mailbox", "users", box); !strings.Contains(out, "anna") || !strings.Contains(out, "read,client") || !strings.Contains(out, box) {
		t.Errorf("mailbox users:\n%s", out)
	}
	if !p.reads("LOGIN", "anna", "una password lunga") || !p.reads("PLAIN", "anna", "una password lunga") {
		t.Error("anna may not read")
	}
	if code, said := p.send("anna", "una password lunga", box); code == 0 || !strings.Contains(said, "550 5.7.1") {
		t.Errorf("read only, and sends: exit %d\n%s", code, said)
	}
	if code, said := p.send("anna", "una password lunga", mass); code == 0 || !strings.Contains(said, "password per applicazione") { // D6
		t.Errorf("a person sends from a mass mailbox: exit %d\n%s", code, said)
	}

	// An application with a password of its own.
	secret := p.do("user", "app-password", "add", box, "--name", "Protocollo", "--protocols", "submission", "--may", "send,client", "--expires", "90d")
	if len(secret) != 29 {
		t.Fatalf("application password %q", secret)
	}
	if code, said := p.send(box, secret, box); code != 0 {
		t.Fatalf("exit %d\n%s", code, said)
	}
	if p.reads("PLAIN", box, secret) {
		t.Error("a password for submission alone reads")
	}
	var views []struct {
		ID    int64
		State string
		Name  string
	}
	list := func() {
		views = nil
		for line := range strings.Lines(p.do("user", "app-password", "list", box, "--json")) {
			views = append(views, struct {
				ID    int64
				State string
				Name  string
			}{})
			if err := json.Unmarshal([]byte(line), &views[len(views)-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if list(); len(views) != 1 || views[0].Name != "Protocollo" || views[0].State != "active" {
		t.Fatalf("%+v", views)
	}

	reader := p.do("user", "app-password", "add", box, "--name", "Lettore", "--protocols", "pop3", "--may", "read,client")
	if !p.polls("LOGIN", box, reader) || !p.polls("PLAIN", box, reader) || p.reads("PLAIN", box, reader) || p.polls("PLAIN", box, secret) {
		t.Error("by POP3, and only by POP3, was granted")
	}

	// A session that is open when it is revoked may send no more.
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	c, err := openSubmission(d.get(t, "ALFA_SUBMISSION"), d.tls(t, host), box, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r := c.cmd("MAIL FROM:<%s>", box); r.code != 250 {
		t.Fatalf("MAIL: %v", r)
	}
	c.cmd("RSET")
	p.do("user", "app-password", "revoke", box, fmt.Sprint(views[0].ID))
	if r := c.cmd("MAIL FROM:<%s>", box); r.code != 550 {
		t.Errorf("MAIL after the password was revoked: %v", r)
	}
	if code, said := p.send(box, secret, box); code == 0 || !strings.Contains(said, "535") {
		t.Errorf("revoked, and sends: exit %d\n%s", code, said)
	}
	if list(); views[0].State != "revoked" {
		t.Errorf("%+v", views)
	}
	if !p.reads("PLAIN", box, own) {
		t.Error("the user's own password went with it")
	}
	p.do("user", "delete", "anna", "--yes")
	if p.reads("PLAIN", "anna", "una password lunga") {
		t.Error("anna was deleted, and reads")
	}
	p.refused("esiste", "user", "add", "anna")
	p.do("mailbox", "set", box, "--personal-seen", "--file-sent")

	all := p.records([]string{"submission.accepted", "app_password.created", "app_password.revoked", "access", "access.denied", "user.created", "user.deleted", "mailbox.options"})
	want := map[string]bool{}
	for _, e := range all {
		if e["actor"] != nil {
			want[fmt.Sprint(e["kind"], " with an actor")] = true
		}
		for _, f := range []string{"user", "program", "proto", "detail"} {
			if e[f] != nil {
				want[fmt.Sprint(e["kind"], " ", f, " ", e[f])] = true
			}
		}
	}
	for _, w := range []string{
		"submission.accepted program Protocollo", "submission.accepted user " + box, "access program Protocollo", "access user anna", "access proto imap", "access proto pop", "access program Lettore", "access proto smtp",
		"access.denied program Protocollo", "access.denied detail password per applicazione revocata / application password revoked",
		"access.denied detail password per applicazione non valida per questo protocollo / application password not valid for this protocol",
		"user.deleted user anna", "user.grant user anna", "app_password.revoked with an actor", "user.deleted with an actor", "mailbox.options with an actor",
	} {
		if !want[w] {
			t.Errorf("not in the log: %s", w)
		}
	}
	if out := p.do("ledger", "search", "--json"); bytes.Contains([]byte(out), []byte(secret)) || strings.Contains(out, own) {
		t.Error("a password is in the log")
	}
	verifyClean(t, p.config)
}
