// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// attempt sends a small message on an open connection and returns the answer of
// the command that ended it.
func attempt(s *smtpConn, from, to account, i int) reply {
	if r := s.envelope(from.address, []string{to.address}); !r.positive() {
		s.cmd("RSET")
		return r
	}
	m := letter{id: newMsgID(), from: from.address, to: []string{to.address}, subject: fmt.Sprint("Numero ", i), text: "testo"}
	return s.data(bytes.NewReader(m.bytes()))
}

// TestS4_013_StandardFiftyAMinute: through the real binary a Standard sends 50
// messages in a minute; the next is told when it may come, also after a restart,
// and another mailbox sends.
func TestS4_013_StandardFiftyAMinute(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	from, to := d.standard(t, "ALFA", 1), d.standard(t, "ALFA", 2)
	begun := time.Now()
	s := d.submission(t, from)
	for i := range 50 {
		if r := attempt(s, from, to, i); r.code != 250 {
			t.Fatalf("message %d: %v", i+1, r)
		}
	}
	refused := func(s *smtpConn) {
		t.Helper()
		r := attempt(s, from, to, 51)
		_, clock, found := strings.Cut(r.String(), "limite di 50 messaggi al minuto raggiunto, riapre alle ")
		if r.code != 452 || r.enhanced() != "4.7.1" || !found || len(clock) < 8 {
			t.Fatalf("message 51 after %v: %v", time.Since(begun), r)
		}
		rome, err := time.LoadLocation("Europe/Rome")
		if err != nil {
			t.Fatal(err)
		}
		opens, err := time.ParseInLocation("2006-01-02 15:04:05", begun.In(rome).Format("2006-01-02 ")+clock[:8], rome)
		if wait := opens.Sub(begun); err != nil || (wait < time.Minute-time.Second || wait > 2*time.Minute) && opens.Hour() > 0 {
			t.Errorf("opens %v after the first message: %v", wait, err)
		}
	}
	refused(s)
	if r := attempt(d.submission(t, to), to, from, 1); r.code != 250 {
		t.Errorf("another mailbox: %v", r)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	said := string(run(t, pecd(t), "mailbox", "limits", from.address, "--config", config))
	if !strings.Contains(said, "50 / 50") || !strings.Contains(said, "50 / 500") || !strings.Contains(said, "riapre / opens ") {
		t.Errorf("mailbox limits:\n%s", said)
	}
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	d.restart(t)
	if time.Since(begun) < 55*time.Second {
		refused(d.submission(t, from))
	}
}
