// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// deletedFolder is where messages go that a POP3 client deletes.
const deletedFolder = "Eliminati via POP3"

// TestPOP3Clients: three programs that fetch and delete, on mailboxes in use:
// certified messages are delivered and IMAP clients set flags meanwhile. Each
// fetches every message once and byte for byte (getmail folds headers anew, by
// itself), and the holder still has them all.
func TestPOP3Clients(t *testing.T) {
	t.Parallel()
	d := sharedDemo(t)
	const letters = 20
	sender := d.standard(t, "BETA", 33)
	boxes := []account{d.standard(t, "ALFA", 31), d.standard(t, "ALFA", 32), d.standard(t, "ALFA", 33)}
	clients := []*popClient{d.fetchmail(t, boxes[0]), d.getmail(t, boxes[1]), d.mpop(t, boxes[2])}
	var to []string
	readers := make([]*inbox, len(boxes))
	for i, a := range boxes {
		to = append(to, a.address)
		readers[i] = d.openInbox(t, a)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s, err := d.trySubmission(t, sender)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		for i := range letters {
			l := letter{id: newMsgID(), from: sender.address, to: to, subject: fmt.Sprint("Da scaricare ", i)}
			if i%5 == 4 {
				l.attached = []attachment{pdf(200_000)}
			}
			if r := s.envelope(sender.address, to); !r.positive() {
				t.Error(r)
				return
			}
			if r := s.data(bytes.NewReader(l.bytes())); r.code != 250 {
				t.Error(r)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	var work sync.WaitGroup
	quit := make(chan struct{})
	for _, in := range readers {
		work.Go(func() { in.flagAll(quit) })
	}
	var polls sync.WaitGroup
	for i, c := range clients {
		polls.Go(func() {
			for end := time.Now().Add(2 * minute); len(c.fetched(t)) < letters; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("%s has fetched %d of %d messages from %s", c.name, len(c.fetched(t)), letters, boxes[i].address)
					return
				}
				c.fetch(t)
			}
			c.fetch(t) // once more: nothing is left
		})
	}
	polls.Wait()
	close(quit)
	work.Wait()
	<-sent
	if t.Failed() {
		return
	}
	for i, c := range clients {
		if got := len(readers[i].list("INBOX")); got != 0 {
			t.Errorf("%s left %d messages", c.name, got)
		}
		kept := readers[i].list(deletedFolder)
		if len(kept) != letters {
			t.Errorf("%s: the holder has %d messages of %d", c.name, len(kept), letters)
		}
		want, got := sums(kept, c.refolds), sums(c.fetched(t), c.refolds)
		if !maps.Equal(want, got) {
			t.Errorf("%s: fetched messages are not those that are kept: %d and %d of them", c.name, len(got), len(want))
		}
	}
	// The holder takes one back, and the program gets it again.
	in := readers[0]
	in.list(deletedFolder)
	if _, err := in.client.Move(imap.SeqSetNum(1), "INBOX").Wait(); err != nil {
		t.Fatal(err)
	}
	clients[0].fetch(t)
	if n := len(clients[0].fetched(t)); n != letters+1 {
		t.Errorf("%d messages after one was taken back, want %d", n, letters+1)
	}
}

// flagAll marks and unmarks messages of INBOX until quit is closed.
func (in *inbox) flagAll(quit <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-quit:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if err := in.client.Noop().Wait(); err != nil {
			in.t.Errorf("NOOP: %v", err)
			return
		}
		if in.client.Mailbox().NumMessages == 0 {
			continue
		}
		store := &imap.StoreFlags{Op: []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[i%2], Flags: []imap.Flag{imap.FlagSeen, imap.FlagFlagged}}
		// A message that goes away meanwhile is no failure.
		if err := in.client.Store(imap.SeqSet{{Start: 1, Stop: 0}}, store, nil).Close(); err != nil && !strings.Contains(err.Error(), "EXPUNGEISSUED") {
			in.t.Errorf("STORE: %v", err)
			return
		}
	}
}

// list opens a folder and returns its messages.
func (in *inbox) list(folder string) [][]byte {
	in.t.Helper()
	data, err := in.client.Select(folder, nil).Wait()
	if err != nil {
		in.t.Fatalf("SELECT %s: %v", folder, err)
	}
	if data.NumMessages == 0 {
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	got, err := in.client.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		in.t.Fatalf("FETCH of %s: %v", folder, err)
	}
	var out [][]byte
	for _, m := range got {
		out = append(out, m.FindBodySection(section))
	}
	return out
}

// sums counts messages by their octets, whatever their line ends; with refolds,
// also whatever the folding of the header and its Return-Path.
func sums(messages [][]byte, refolds bool) map[[32]byte]int {
	out := make(map[[32]byte]int)
	for _, m := range messages {
		m = bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n"))
		if refolds {
			head, text, _ := bytes.Cut(m, []byte("\n\n"))
			head = append([]byte("\n"), folding.ReplaceAll(head, []byte(" "))...)
			m = slices.Concat(returnPath.ReplaceAll(head, nil), []byte("\n\n"), text)
		}
		out[sha256.Sum256(m)]++
	}
	return out
}

var (
	folding    = regexp.MustCompile(`[ \t]*\n[ \t]+`)
	returnPath = regexp.MustCompile(`\nReturn-Path:[^\n]*`)
)

// dropSession is a POP3 session that is logged in.
type dropSession struct {
	*tls.Conn
	r *bufio.Reader
}

func (d *demo) maildrop(t testing.TB, a account) *dropSession {
	t.Helper()
	host, _ := d.hostPort(t, a.provider+"_POP3S")
	c, err := tls.Dial("tcp", d.get(t, a.provider+"_POP3S"), d.tls(t, host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(minute))
	s := &dropSession{c, bufio.NewReader(c)}
	s.line(t)
	s.ok(t, "USER "+a.address)
	s.ok(t, "PASS "+d.password(t))
	return s
}

func (s *dropSession) line(t testing.TB) string {
	t.Helper()
	l, err := s.r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(l, "\r\n")
}

func (s *dropSession) ok(t testing.TB, command string) string {
	t.Helper()
	if _, err := fmt.Fprint(s, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	l := s.line(t)
	if !strings.HasPrefix(l, "+OK") {
		t.Fatalf("%s: %s", command, l)
	}
	return l
}

// lines sends a command and returns the lines of its answer.
func (s *dropSession) lines(t testing.TB, command string) []string {
	t.Helper()
	s.ok(t, command)
	var out []string
	for {
		l := s.line(t)
		if l == "." {
			return out
		}
		out = append(out, l)
	}
}

// TestPOP3Restart: identifiers are the same after the daemon was killed, and a
// session that was cut deletes nothing.
func TestPOP3Restart(t *testing.T) {
	d := newDemo(t, "--quiet")
	from, to := d.standard(t, "ALFA", 1), d.standard(t, "BETA", 1)
	for i := range 3 {
		d.submit(t, from, []string{to.address}, letter{id: newMsgID(), from: from.address, to: []string{to.address}, subject: fmt.Sprint("uno ", i)}.bytes())
	}
	d.openInbox(t, to).wait(minute, 3, "envelopes", func(m stored) bool { return m.header.Get("X-Trasporto") != "" })
	s := d.maildrop(t, to)
	before := s.lines(t, "UIDL")
	message := s.lines(t, "RETR 2")
	s.ok(t, "DELE 1")
	d.kill()
	d.restart(t)
	s = d.maildrop(t, to)
	if got := s.lines(t, "UIDL"); !slices.Equal(got, before) || len(got) != 3 {
		t.Errorf("%q, before %q", got, before)
	}
	if got := s.lines(t, "RETR 2"); !slices.Equal(got, message) {
		t.Error("another message after the restart")
	}
	s.ok(t, "DELE 1")
	if l := s.ok(t, "QUIT"); !strings.HasPrefix(l, "+OK 1 messaggi") {
		t.Error(l)
	}
	d.kill() // the answer to QUIT promises that it is done
	d.restart(t)
	if got := d.maildrop(t, to).lines(t, "UIDL"); len(got) != 2 || got[0][2:] != before[1][2:] || got[1][2:] != before[2][2:] {
		t.Errorf("%q, before %q", got, before)
	}
	in := d.openInbox(t, to)
	if kept := in.list(deletedFolder); len(kept) != 1 {
		t.Errorf("%d messages are recoverable", len(kept))
	}
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	run(t, pecd(t), "verify", "--config", d.dir+"/beta.toml")
}
