// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// filter gives a mailbox of beta a script on the running node.
func (d *demo) filter(t testing.TB, a account, script string) {
	t.Helper()
	if code, out := pecdIn(t, script, "filter", "put", a.address, "prova", "--activate", "--config", filepath.Join(d.dir, "beta.toml")); code != 0 {
		t.Fatalf("filter put: exit %d\n%s", code, out)
	}
}

// count is how many messages a folder holds, 0 where it is not there.
func (in *inbox) count(folder string) int {
	in.t.Helper()
	s, err := in.client.Status(folder, &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil {
		return 0
	}
	return int(*s.NumMessages)
}

// sendMany submits n messages over some connections; their subjects tell the
// first word, which goes round.
func (d *demo) sendMany(t *testing.T, from, to account, n int, words ...string) {
	t.Helper()
	const connections = 4
	var all sync.WaitGroup
	for c := range connections {
		conn := d.submission(t, from)
		all.Go(func() {
			for i := c; i < n; i += connections {
				l := letter{id: newMsgID(), from: from.address, to: []string{to.address}, subject: fmt.Sprintf("%s %d", words[i%len(words)], i), text: "testo\r\n"}
				if r := conn.envelope(from.address, l.to); r.code != 250 {
					t.Errorf("envelope: %v", r)
					return
				}
				if r := conn.data(bytes.NewReader(l.bytes())); r.code != 250 {
					t.Errorf("DATA: %v", r)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestS4_039_to_041_Filters: a script with move, copy and forward on many
// deliveries of the real node, beside as many into a mailbox without one. Nothing
// is lost, nothing doubled, and forwarded signatures hold.
func TestS4_039_to_041_Filters(t *testing.T) {
	n := 40
	if long() {
		n = 1000
	}
	need(t, "openssl")
	d := newDemo(t, "--quiet", "--all-tier", "xl") // what a mailbox forwards is bounded by its tier
	sender := d.standard(t, "ALFA", 1)
	plain, filtered, target := d.standard(t, "BETA", 1), d.standard(t, "BETA", 2), d.standard(t, "BETA", 3)
	d.filter(t, filtered, `require ["fileinto", "copy", "envelope"];
if not envelope "from" "`+sender.address+`" { stop; }
if header :contains "subject" "sposta" { fileinto "Spostati"; }
elsif header :contains "subject" "copia" { fileinto :copy "Copie/Tutte"; }
elsif header :contains "subject" "inoltra" { redirect "`+target.address+`"; }`)
	words := []string{"sposta", "copia", "inoltra", "lascia"}

	took := func(to account, folders map[string]int) time.Duration {
		began := time.Now()
		d.sendMany(t, sender, to, n, words...)
		in := d.openInbox(t, to)
		until(t, 4*time.Minute, "deliveries to "+to.address, func() (bool, string) {
			var state strings.Builder
			ok := true
			for folder, want := range folders {
				got := in.count(folder)
				fmt.Fprintf(&state, "%s %d of %d ", folder, got, want)
				ok = ok && got == want
			}
			return ok, state.String()
		})
		return time.Since(began)
	}
	without := took(plain, map[string]int{"INBOX": n})
	with := took(filtered, map[string]int{"INBOX": n / 4 * 3, "Spostati": n / 4, "Copie/Tutte": n / 4})
	in := d.openInbox(t, target)
	until(t, time.Minute, "forwards", func() (bool, string) {
		got := in.count("INBOX")
		return got == n/4, fmt.Sprint(got)
	})
	t.Logf("%d deliveries: %v without a script, %v with", n, without.Round(time.Millisecond), with.Round(time.Millisecond))
	forwarded := in.refresh()
	p := mustReadPEC(t, in.body(forwarded[0].uid))
	p.check(t, d)
	if got := forwarded[0].header.Get("X-Sieve-Redirected-From"); got != filtered.address {
		t.Errorf("forwarded from %q", got)
	}
	// Every message has its receipts, and forwards have none.
	receipts := d.openInbox(t, sender)
	until(t, time.Minute, "receipts", func() (bool, string) {
		got := receipts.count("INBOX")
		return got == 4*n, fmt.Sprint(got)
	})
	for _, side := range []string{"alfa.toml", "beta.toml"} {
		if code, out := pecdIn(t, "", "verify", "--config", filepath.Join(d.dir, side)); code != 0 {
			t.Errorf("verify %s: exit %d\n%s", side, code, out)
		}
	}
	d.loop(t, sender, d.standard(t, "BETA", 4), d.standard(t, "BETA", 5))
}

// loop lets two mailboxes forward to each other: it ends after one round, and
// both holders are told once.
func (d *demo) loop(t *testing.T, sender, a, b account) {
	d.filter(t, a, `redirect "`+b.address+`";`)
	d.filter(t, b, `redirect "`+a.address+`";`)
	d.sendMany(t, sender, a, 3, "giro")
	for _, who := range []account{a, b} {
		in := d.openInbox(t, who)
		in.wait(time.Minute, 1, "notice of the loop", func(s stored) bool {
			return strings.Contains(s.header.Get("From"), "Avvisi <avvisi@beta.example>")
		})
		until(t, time.Minute, "the loop at "+who.address, func() (bool, string) {
			got := in.count("INBOX")
			return got == 3+1, fmt.Sprint(got)
		})
	}
	// Nothing is under way any more that could add to it.
	until(t, time.Minute, "the queue", func() (bool, string) {
		code, out := pecdIn(t, "", "queue", "list", "--kind", "forward", "--config", filepath.Join(d.dir, "beta.toml"))
		return code == 0 && !strings.Contains(out, b.address), out
	})
	for _, who := range []account{a, b} {
		if got := d.openInbox(t, who).count("INBOX"); got != 4 {
			t.Errorf("%s holds %d messages", who.address, got)
		}
	}
}

// TestFilterCommands: what is wrong with a script is told with its line, and what
// it would do can be tried.
func TestFilterCommands(t *testing.T) {
	t.Parallel()
	d := sharedDemo(t)
	config := filepath.Join(d.dir, "beta.toml")
	a := d.standard(t, "BETA", 39)
	filter := func(stdin string, args ...string) (int, string) {
		return pecdIn(t, stdin, append(append([]string{"filter"}, args...), "--config", config)...)
	}
	if code, out := filter("keep;\ndiscard;\n", "put", a.address, "ferie"); code != 1 || !strings.Contains(out, "riga 2: discard non è ammesso") {
		t.Errorf("exit %d\n%s", code, out)
	}
	script := "require \"fileinto\";\nif header :contains \"subject\" \"fattura\" { fileinto \"Fatture\"; redirect \"x@y.example\"; }\n"
	if code, out := filter(script, "put", a.address, "ferie", "--activate"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if code, out := filter("", "show", a.address, "ferie"); code != 0 || out != script {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := filter("", "list", a.address, "--json"); code != 0 || !strings.Contains(out, `"name":"ferie","active":true`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	eml := write(t, "m.eml", []byte("Return-Path: <c@d.example>\r\nFrom: c@d.example\r\nSubject: Fattura 1\r\n\r\ndiscard\r\n"))
	if code, out := filter("", "test", a.address, eml); code != 0 || !strings.Contains(out, "folder: Fatture") || !strings.Contains(out, "forward: x@y.example") {
		t.Errorf("exit %d\n%s", code, out)
	}
	other := write(t, "s.sieve", []byte(`require ["envelope", "imap4flags"]; if envelope "from" "c@d.example" { keep :flags "\\Seen"; }`))
	if code, out := filter("", "test", a.address, eml, "--script", other, "--json"); code != 0 || !strings.Contains(out, `{"folders":[{"folder":"INBOX","flags":["\\Seen"]}]}`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := filter("", "activate", a.address); code != 1 || !strings.Contains(out, "--none") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := filter("", "remove", a.address, "ferie"); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := filter("", "test", a.address, eml); code != 1 || !strings.Contains(out, "nessun filtro attivo") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
