// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestS4_115_PasswordRecovery: a user who forgot his password gets a link by mail,
// or a code by SMS, and sets a new one by himself; nobody learns whether there is
// such a user, and a link is good once.
func TestS4_115_PasswordRecovery(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	g, address := newSMSGateway(t)
	config := filepath.Join(d.dir, "alfa.toml")
	addRoute(t, config, "mail.example", s.addr)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(b, "\n[notices.sms]\nurl = %q\n", address), 0o600); err != nil {
		t.Fatal(err)
	}
	startServe(t, d, "alfa.toml")
	p := people{t, d, config}
	user := d.get(t, "ALFA_STANDARD")
	const home, cell = "mario@mail.example", "+393331234567"
	p.do("contact", "add", user, home)
	p.do("contact", "add", user, cell)
	mails := func(n int) string {
		t.Helper()
		until(t, minute, fmt.Sprint(n, " mails"), func() (bool, string) { return len(s.received(home)) >= n, "" })
		return strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(s.received(home)[n-1].message))
	}
	texts := func(n int) string {
		t.Helper()
		until(t, minute, fmt.Sprint(n, " text messages"), func() (bool, string) { return len(g.taken()) >= n, "" })
		return g.taken()[n-1].Text
	}
	digits := regexp.MustCompile(`: (\d{6})\.`)
	p.do("contact", "confirm", user, "1", digits.FindStringSubmatch(mails(1))[1])
	p.do("contact", "confirm", user, "2", digits.FindStringSubmatch(texts(1))[1])

	ask := func(login, by string) {
		t.Helper()
		status, answer := d.https(t, "https://localhost/api/v1/recovery", "-H", "Content-Type: application/json", "-d", fmt.Sprintf(`{"login":%q,"by":%q}`, login, by))
		if status != "202" || answer != "" {
			t.Errorf("%s: %s %s", login, status, answer)
		}
	}
	ask("nessuno@alfa.example", "mail")
	ask(user, "mail")
	link := regexp.MustCompile(`https://localhost:\d+(/recupero\?k=\S+)`).FindStringSubmatch(mails(2))
	if link == nil {
		t.Fatalf("no link in %s", mails(2))
	}
	for range 2 { // programs look at links, and use nothing up
		if status, page := d.https(t, "https://localhost"+link[1]); status != "200" || !strings.Contains(page, "Nuova password") {
			t.Fatalf("%s %s", status, page)
		}
	}
	set := func(want string, fields ...string) {
		t.Helper()
		var args []string
		for _, f := range fields {
			args = append(args, "--data-urlencode", f)
		}
		if status, page := d.https(t, "https://localhost/recupero", args...); status != want {
			t.Errorf("%s, want %s: %s", status, want, page)
		}
	}
	_, secret, _ := strings.Cut(link[1], "k=")
	set("200", "k="+secret, "password=prima nuova", "again=prima nuova")
	set("403", "k="+secret, "password=seconda nuova", "again=seconda nuova")
	if !p.reads("PLAIN", user, "prima nuova") || p.reads("PLAIN", user, d.password(t)) {
		t.Error("the password is not that of the link")
	}
	if !strings.Contains(mails(3), "stata cambiata") || !strings.Contains(texts(2), "stata cambiata") {
		t.Error("his contacts were not told")
	}

	ask(user, "sms")
	code := regexp.MustCompile(`\b\d{8}\b`).FindString(texts(3))
	set("403", "login="+user, "code=1"+code[:7], "password=terza nuova", "again=terza nuova")
	set("200", "login="+user, "code="+code, "password=terza nuova", "again=terza nuova")
	if !p.reads("PLAIN", user, "terza nuova") {
		t.Error("the password is not that of the code")
	}
	if out := p.do("ledger", "search", "--json"); strings.Count(out, `"kind":"recovery.begun"`) != 2 || strings.Count(out, `"kind":"user.password_reset"`) != 2 ||
		strings.Contains(out, secret) || strings.Contains(out, code) {
		t.Error("the log does not tell it, or too much")
	}
}
