// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pecd/storage"
)

// A commit by somebody else appears while a client idles, and also when it
// falls between the last command and IDLE.
func TestPush(t *testing.T) {
	f := newFixture(t)
	counts := make(chan uint32, 100)
	expunged := make(chan uint32, 100)
	c := f.login(&imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				counts <- *data.NumMessages
			}
		},
		Expunge: func(seq uint32) { expunged <- seq },
	}})
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	total := uint32(0)
	for round := range 5 {
		f.deliver("INBOX", message("prima")) // after the last command, before IDLE
		idle, err := c.Idle()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 10 { // during IDLE, from several goroutines
			wg.Go(func() { f.deliver("INBOX", message("durante")) })
		}
		wg.Wait()
		total += 11
		for n := uint32(0); n != total; {
			select {
			case n = <-counts:
			case <-time.After(10 * time.Second):
				t.Fatalf("round %d: %d messages told of %d", round, n, total)
			}
		}
		f.commit(&storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: []uint32{uint32(round*11 + 1)}})
		total--
		select {
		case seq := <-expunged:
			if seq != uint32(round*10+1) {
				t.Errorf("round %d: EXPUNGE %d", round, seq)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no EXPUNGE")
		}
		if err := idle.Close(); err != nil {
			t.Fatal(err)
		}
		if err := idle.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdleFlagsAndFolders(t *testing.T) {
	f := newFixture(t)
	uid := f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	f.commit(&storage.SetFlags{Folder: f.folder("INBOX").ID, UIDs: []uint32{uid}, Mode: storage.AddFlags, Flags: []string{"nuova", `\Seen`}})
	s.expect(`^\* FLAGS \(.*nuova\)$`)
	s.expect(`^\* 1 FETCH \(UID 1 FLAGS \(\\Seen nuova\)\)$`)
	s.send("b NOOP\r\n") // not DONE
	s.expect(`^a BAD`)
	s.ok("NOOP")

	s = f.open("") // nothing selected
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	s.send("DONE\r\n")
	s.expect(`^a OK`)

	s = f.open("Bozze") // deleted by somebody else
	other := f.open("")
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	other.ok("DELETE Bozze")
	s.expect(`^\* BYE`)
	s.closed()

	f.script().fails("BAD", "IDLE")
}

func TestExpungeIsHeldBack(t *testing.T) {
	f := newFixture(t)
	for i := range 4 {
		f.deliver("INBOX", message(fmt.Sprint(i)))
	}
	s := f.open("INBOX")
	id := f.folder("INBOX").ID
	f.commit(&storage.Expunge{Folder: id, UIDs: []uint32{2}})
	f.deliver("INBOX", message("4"))
	// No EXPUNGE while FETCH, STORE or SEARCH are answered, EXISTS may come.
	if l := s.ok("FETCH 3 UID"); l[0] != "* 3 FETCH (UID 3)" || l[1] != "* 5 EXISTS" || len(l) != 2 {
		t.Errorf("%q", l)
	}
	if l := s.ok("SEARCH ALL"); l[0] != "* SEARCH 1 2 3 4 5" {
		t.Errorf("%q", l)
	}
	if l := s.ok("SEARCH SUBJECT 3"); l[0] != "* SEARCH 4" {
		t.Errorf("%q", l)
	}
	if l := s.ok(`STORE 4 +FLAGS (\Flagged)`); len(l) != 1 || l[0] != `* 4 FETCH (UID 4 FLAGS (\Flagged))` {
		t.Errorf("%q", l)
	}
	// Of what is gone: the others are served all the same, and refused is only
	// what names nothing else.
	answer := func(wantLines int, want, command string) {
		t.Helper()
		if lines, result := s.command("%s", command); len(lines) != wantLines || !strings.HasPrefix(result, want) {
			t.Errorf("%s: %q, %s", command, lines, result)
		}
	}
	answer(2, "OK [EXPUNGEISSUED] FETCH completed", "FETCH 1:3 RFC822.SIZE")
	answer(0, "NO [EXPUNGEISSUED]", "FETCH 2 RFC822.SIZE")
	answer(2, "OK [EXPUNGEISSUED] STORE completed", `STORE 1:3 +FLAGS (\Answered)`)
	answer(0, "OK [EXPUNGEISSUED] STORE completed", `STORE 1:3 -FLAGS.SILENT (\Answered)`)
	answer(0, "OK [EXPUNGEISSUED] STORE completed", `STORE 2 +FLAGS.SILENT (\Flagged)`)
	answer(0, "NO [EXPUNGEISSUED]", `STORE 2 +FLAGS (\Flagged)`)
	s.ok("COPY 2:3 Bozze")
	if n := f.folder("Bozze").Messages; n != 1 {
		t.Errorf("%d copies", n)
	}
	f.commit(&storage.Expunge{Folder: id, UIDs: []uint32{1}})
	// COPY may tell them. Numbers go down from the highest.
	if l := s.ok("UID FETCH 3 FLAGS"); len(l) != 2 || l[1] != "* 1 EXPUNGE" {
		t.Errorf("%q", l)
	}
	if l := s.ok("UID SEARCH ALL"); l[0] != "* SEARCH 3 4 5" {
		t.Errorf("%q", l)
	}
	f.commit(&storage.Expunge{Folder: id, UIDs: []uint32{3, 4, 5}})
	if l := s.ok("NOOP"); !slices.Equal(l, []string{"* 3 EXPUNGE", "* 2 EXPUNGE", "* 1 EXPUNGE"}) {
		t.Errorf("%q", l)
	}
}

// Several clients and the delivery change a folder at random; each client's
// picture, kept from what it was told alone, equals the store in the end.
func TestViewsStayInStep(t *testing.T) {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		f.deliver("INBOX", message(fmt.Sprint(i)))
	}
	type client struct {
		*script
		uids  []uint32
		flags map[uint32]string
	}
	clients := make([]*client, 3)
	for i := range clients {
		c := &client{script: f.open("INBOX"), flags: map[uint32]string{}}
		for _, l := range c.ok("FETCH 1:* (UID FLAGS)") {
			var seq, uid uint32
			fmt.Sscanf(l, "* %d FETCH (UID %d", &seq, &uid)
			c.uids = append(c.uids, uid)
			c.flags[uid] = l[strings.Index(l, "FLAGS"):]
		}
		clients[i] = c
	}
	hear := func(c *client, lines []string, verb string) {
		for _, l := range lines {
			var seq, uid uint32
			switch {
			case strings.HasSuffix(l, " EXPUNGE"):
				fmt.Sscanf(l, "* %d", &seq)
				if seq == 0 || int(seq) > len(c.uids) {
					t.Fatalf("%s with %d messages", l, len(c.uids))
				}
				if verb == "FETCH" || verb == "STORE" || verb == "SEARCH" {
					t.Fatalf("%s during %s", l, verb)
				}
				c.uids = slices.Delete(c.uids, int(seq-1), int(seq))
			case strings.HasSuffix(l, " EXISTS"):
				fmt.Sscanf(l, "* %d", &seq)
				for len(c.uids) < int(seq) {
					c.uids = append(c.uids, 0) // to be asked for
				}
				if int(seq) != len(c.uids) {
					t.Fatalf("%s with %d messages", l, len(c.uids))
				}
			case strings.Contains(l, " FETCH (UID "):
				fmt.Sscanf(l, "* %d FETCH (UID %d", &seq, &uid)
				if seq == 0 || int(seq) > len(c.uids) {
					t.Fatalf("%s with %d messages", l, len(c.uids))
				}
				if c.uids[seq-1] == 0 {
					c.uids[seq-1] = uid
				}
				if c.uids[seq-1] != uid {
					t.Fatalf("%s: message %d is UID %d", l, seq, c.uids[seq-1])
				}
				c.flags[uid] = strings.TrimSuffix(l[strings.Index(l, "FLAGS"):], "\r")
			}
		}
	}
	run := func(c *client, format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		verb, _, _ := strings.Cut(line, " ")
		lines, _ := c.command("%s", line)
		hear(c, lines, verb)
	}
	for range 400 {
		c := clients[rng.IntN(len(clients))]
		n := len(c.uids)
		if n == 0 {
			run(c, "NOOP")
			f.deliver("INBOX", message("x"))
			continue
		}
		i := 1 + rng.IntN(n)
		switch rng.IntN(9) {
		case 0:
			f.deliver("INBOX", message("nuovo"))
		case 1:
			run(c, `STORE %d +FLAGS (\Deleted k%d)`, i, rng.IntN(3))
		case 2:
			run(c, `UID STORE %d FLAGS (\Seen)`, rng.IntN(40))
		case 3:
			run(c, "EXPUNGE")
		case 4:
			run(c, "MOVE %d Bozze", i)
		case 5:
			run(c, "FETCH %d:* (UID FLAGS)", i)
		case 6:
			run(c, "SEARCH UNSEEN")
		case 7:
			run(c, "NOOP")
		case 8:
			run(c, "FETCH %d (UID FLAGS RFC822.SIZE)", i)
		}
	}
	var want []string
	_ = f.store.Messages(t.Context(), f.folder("INBOX").ID, 1, 0, func(m storage.Message) error {
		want = append(want, fmt.Sprintf("%d FLAGS (%s))", m.UID, strings.Join(m.Flags, " ")))
		return nil
	})
	for _, c := range clients {
		run(c, "NOOP")
		if slices.Contains(c.uids, 0) {
			run(c, "FETCH 1:* (UID FLAGS)")
		}
		var have []string
		for _, uid := range c.uids {
			have = append(have, fmt.Sprintf("%d %s", uid, c.flags[uid]))
		}
		if !slices.Equal(have, want) {
			t.Errorf("client: %q\nstore:  %q", have, want)
		}
	}
}

func TestManyMessages(t *testing.T) {
	const n = manyMessages
	f := newFixture(t)
	f.fill(n)
	s := f.open("")
	start := time.Now()
	s.ok("SELECT INBOX")
	t.Log("select:", time.Since(start))
	start = time.Now()
	if l := s.ok("FETCH 1:* (UID FLAGS)"); len(l) != n {
		t.Errorf("%d lines", len(l))
	}
	t.Log("flags:", time.Since(start))
	start = time.Now()
	if l := s.ok("UID SEARCH RETURN (COUNT ALL) SEEN OR LARGER 5 UNSEEN"); len(l) != 1 {
		t.Error(l)
	}
	t.Log("search:", time.Since(start))
	if l := s.ok("UID SEARCH RETURN (MIN MAX COUNT) ON 9-Sep-2001"); l[0] != fmt.Sprintf(`* ESEARCH (TAG "c5") UID MIN 1 MAX %d COUNT %[1]d`, n) {
		t.Error(l)
	}
	start = time.Now()
	s.ok("UID STORE %d:%d +FLAGS.SILENT (\\Deleted)", n/2, n/2+n/10-1)
	t.Log("store a tenth:", time.Since(start))
	if l := s.ok("EXPUNGE"); len(l) != n/10 || l[0] != fmt.Sprintf("* %d EXPUNGE", n/2+n/10-1) {
		t.Errorf("%d %q", len(l), l[0])
	}
}
