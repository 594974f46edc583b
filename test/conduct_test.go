// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailing is a message to many.
func mailing(from string, to []string, n int) []byte {
	return fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: avviso %d\r\nMessage-ID: <%d.%d@client.example>\r\n\r\nciao\r\n", from, strings.Join(to, ">,\r\n <"), n, n, time.Now().UnixNano())
}

// TestConductOfAStolenMailbox: a mailbox whose recipients mostly do not exist is
// slowed down; one that goes on may not send, across a restart, until a person
// says otherwise. It is read all the while.
func TestConductOfAStolenMailbox(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	box := d.standard(t, "ALFA", 25)
	var to []string
	for n := range 10 {
		to = append(to, d.standard(t, "ALFA", n+1).address)
	}
	_, domain, _ := strings.Cut(box.address, "@")
	for n := range 40 {
		to = append(to, fmt.Sprintf("nessuno%02d@%s", n, domain))
	}
	d.submit(t, box, to, mailing(box.address, to, 1))
	p.records([]string{"mailbox.send_throttled"}, "--mailbox", box.address, "--kind", "mailbox.send_throttled")

	time.Sleep(1100 * time.Millisecond) // accepted in a later second than the first step
	s := d.submission(t, box)
	for n := range 5 {
		if r := s.envelope(box.address, to[:1]); r.code != 250 {
			t.Fatalf("message %d of a minute: %v", n+1, r)
		}
		written := to[:1]
		if n == 4 {
			written = to
			for _, more := range to[1:] {
				if r := s.cmd("RCPT TO:<%s>", more); r.code != 250 {
					t.Fatal(r)
				}
			}
		}
		if r := s.data(strings.NewReader(string(mailing(box.address, written, n+2)))); r.code != 250 {
			t.Fatalf("message %d of a minute: %v", n+1, r)
		}
	}
	if r := s.cmd("MAIL FROM:<%s>", box.address); r.code != 452 && r.code != 550 {
		t.Errorf("the sixth message of a minute: %v", r)
	}
	p.records([]string{"mailbox.send_blocked"}, "--mailbox", box.address, "--kind", "mailbox.send_blocked")

	refused := func(when string) {
		t.Helper()
		r := d.submission(t, box).cmd("MAIL FROM:<%s>", box.address)
		if r.code != 550 || r.enhanced() != "5.7.1" || !strings.Contains(r.String(), "rivolgersi al proprio amministratore") {
			t.Errorf("%s: %v", when, r)
		}
		until(t, 10*time.Second, "alarm mailbox_conduct "+when, func() (bool, string) {
			code, out := pecdIn(t, "", "status", "--config", p.config)
			return code == 1 && strings.Contains(out, "mailbox_conduct") && strings.Contains(out, box.address+": bloccata"), out
		})
	}
	refused("blocked")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	d.restart(t)
	refused("after a restart")
	if !p.reads("PLAIN", box.address, d.password(t)) {
		t.Error("it is not read any more")
	}
	p.do("mailbox", "unblock", box.address)
	d.submit(t, box, to[:1], mailing(box.address, to[:1], 9))
	until(t, 10*time.Second, "the end of the alarm", func() (bool, string) {
		code, out := pecdIn(t, "", "status", "--config", p.config)
		return code == 0, out
	})
	p.do("mailbox", "block", box.address, "--reason", "verifica in corso / being looked into")
	if r := d.submission(t, box).cmd("MAIL FROM:<%s>", box.address); r.code != 550 || !strings.Contains(r.String(), "verifica in corso") {
		t.Errorf("blocked by a person: %v", r)
	}
	verifyClean(t, p.config)
	// Accepted is accepted: also of the second mailing everybody who exists has it.
	inbox := d.openInbox(t, d.standard(t, "ALFA", 10))
	inbox.one(10*time.Second, "the message before the block", func(m stored) bool { return strings.HasSuffix(m.subject(), "avviso 6") })
}

// TestConductOfAMassDay: who writes much to addresses that exist, and never did,
// is told to operators and not stopped.
func TestConductOfAMassDay(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteString("\n[conduct]\nrate_floor = 20\n"); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	startServe(t, d, "alfa.toml")
	box := d.standard(t, "ALFA", 26)
	s := d.submission(t, box)
	for n := range 45 {
		var to []string
		for i := range 11 {
			to = append(to, d.standard(t, "ALFA", i+1).address)
		}
		if r := s.envelope(box.address, to); r.code != 250 {
			t.Fatalf("message %d: %v", n+1, r)
		}
		if r := s.data(strings.NewReader(string(mailing(box.address, to, n)))); r.code != 250 {
			t.Fatalf("message %d: %v", n+1, r)
		}
	}
	until(t, 10*time.Second, "an alarm", func() (bool, string) {
		code, out := pecdIn(t, "", "status", "--config", config)
		return code == 1 && strings.Contains(out, box.address+" (molti pi"), out
	})
	if code, out := pecdIn(t, "", "ledger", "search", "--mailbox", box.address, "--json", "--config", config); code != 0 || strings.Contains(out, "mailbox.send_") {
		t.Errorf("exit %d; it was slowed down or blocked:\n%.2000s", code, out)
	}
}
