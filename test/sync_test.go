// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The two-way synchronisation of a mailbox with a local Maildir, by the two
// programs of Debian that do it. SYNC_MESSAGES is how many messages the mailbox
// holds (200; make sync: 20,000).

func TestSyncIsync(t *testing.T) {
	t.Parallel()
	need(t, "mbsync")
	syncBothWays(t, "strutturata041", func(s *syncWorld) []string {
		s.write("mbsyncrc", `FSync no

IMAPAccount pec
Host `+s.proxy.host+`
Port `+s.proxy.port+`
User `+s.user.address+`
Pass `+s.d.password(t)+`
SSLType None
AuthMechs LOGIN
Timeout 120

IMAPStore far
Account pec

MaildirStore near
Path `+s.dir+`/mail/
Inbox `+s.dir+`/mail/INBOX

Channel pec
Far :far:
Near :near:
Patterns INBOX Pratiche Ricevute
Sync All
Create Near
Expunge Both
SyncState *
`)
		return []string{"mbsync", "-c", filepath.Join(s.dir, "mbsyncrc"), "pec"}
	})
}

func TestSyncOfflineIMAP(t *testing.T) {
	t.Parallel()
	need(t, "offlineimap")
	syncBothWays(t, "strutturata042", func(s *syncWorld) []string {
		s.write("offlineimaprc", `[general]
accounts = pec
metadata = `+s.dir+`/state
maxsyncaccounts = 1
ui = quiet
socktimeout = 120
fsync = False

[Account pec]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = `+s.dir+`/mail

[Repository far]
type = IMAP
remotehost = `+s.proxy.host+`
remoteport = `+s.proxy.port+`
remoteuser = `+s.user.address+`
remotepass = `+s.d.password(t)+`
ssl = no
starttls = no
auth_mechanisms = LOGIN
maxconnections = 1
folderfilter = lambda f: f in ['INBOX', 'Pratiche', 'Ricevute']
`)
		return []string{"offlineimap", "-1", "-o", "-c", filepath.Join(s.dir, "offlineimaprc")}
	})
}

// syncBothWays fills a mailbox, has the program fetch it, and then changes both
// sides for some rounds: the mailbox while the program runs, the Maildir between
// its runs, in the same folders but never the same messages. In the end
// both trees must be equal and be what the changes made of them, nothing may be
// there twice, and one more run must transfer nothing.
func syncBothWays(t *testing.T, user string, configure func(*syncWorld) []string) {
	n, err := strconv.Atoi(os.Getenv("SYNC_MESSAGES"))
	if err != nil {
		n = 200
	}
	s := newSyncWorld(t, user, n)
	s.command = configure(s)
	s.fill(n)
	began := time.Now()
	s.sync(true)
	up, down, _ := s.proxy.take()
	t.Logf("first run: %d messages in %v, %d octets up, %d down", n, time.Since(began).Round(time.Millisecond), up, down)
	s.compare()

	changes := 10 + n/50
	for round := range 2 {
		s.changeLocally(changes)
		var wg sync.WaitGroup
		var done atomic.Bool
		wg.Go(func() { s.changeRemotely(changes, round, &done) })
		for more := true; more; {
			more = !done.Load()
			s.sync(false)
			s.changeLocally(changes / 4)
		}
		wg.Wait()
	}
	s.waitDeliveries()
	for range 3 { // what one run finds changed under its hands is left to the next
		s.sync(true)
	}
	s.compare()

	s.proxy.take()
	began = time.Now()
	s.sync(true)
	up, down, said := s.proxy.take()
	if !strings.Contains(said, "FETCH") {
		t.Errorf("no FETCH in what the program said: %.300q", said)
	}
	t.Logf("run without changes: %v, %d octets up, %d down", time.Since(began).Round(time.Millisecond), up, down)
	if m := regexp.MustCompile(`(?im)^.*\b(APPEND|STORE|COPY|MOVE|BODY|RFC822|EXPUNGE)\b.*$`).FindString(said); m != "" {
		t.Errorf("a run without changes said %q", m)
	}
	s.compare()
}

// sync runs the program once. Where the mailbox is changed meanwhile it may
// complain and leave the rest to the next run.
func (s *syncWorld) sync(quiet bool) {
	s.t.Helper()
	r := runWithin(s.t, s.limit, s.command[0], s.command[1:]...)
	if r.code != 0 && quiet {
		s.t.Fatalf("%v: exit %d\n%.3000s\n%.3000s", s.command, r.code, r.stdout, r.stderr)
	}
	if r.code != 0 {
		s.t.Logf("while the mailbox changes: exit %d\n%.600s%.600s", r.code, r.stdout, r.stderr)
	}
}

// waitDeliveries waits until every submitted message has come.
func (s *syncWorld) waitDeliveries() {
	s.t.Helper()
	until(s.t, minute, "deliveries", func() (bool, string) {
		got := 0
		for _, m := range s.remote() {
			if m.certified {
				got++
			}
		}
		return got == s.submitted, fmt.Sprintf("%d of %d", got, s.submitted)
	})
}
