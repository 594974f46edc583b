// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/storage"
)

// fill appends n messages with one body.
func (f *fixture) fill(n int) {
	f.t.Helper()
	body := &storage.NewBody{Head: []byte(message("x"))}
	step := []storage.Op{body}
	for range n {
		step = append(step, &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}, InternalDate: time.Unix(1e9, 0)})
	}
	f.commit(step...)
}

// Clients that come back, and sessions that wake up, after the store has
// forgotten what went meanwhile.
func TestBeyondHorizon(t *testing.T) {
	const n = 2*storage.MaxVanished + 100
	f := newFixture(t)
	f.fill(n)
	plain, sleeping := f.open("INBOX"), f.open("INBOX")
	sleeping.ok("ENABLE QRESYNC")
	before := f.folder("INBOX")
	var odd []uint32
	for uid := uint32(1); uid < n; uid += 2 {
		odd = append(odd, uid)
	}
	f.expunge(odd...)
	m := f.flag(20, `\Seen`)
	f.expunge(22)
	fo := f.folder("INBOX")
	if fo.Horizon <= before.ModSeq {
		t.Fatalf("horizon %d", fo.Horizon)
	}

	s := f.open("")
	s.ok("ENABLE QRESYNC")
	got := s.missedBy("%d %d", fo.UIDValidity, before.ModSeq)
	if last := got[len(got)-1]; last != fmt.Sprintf(`* 10 FETCH (UID 20 FLAGS (\Seen) MODSEQ (%d))`, m) {
		t.Error(last)
	}
	want := append(slices.Clone(odd), 22)
	slices.Sort(want)
	if uids := vanishedUIDs(t, got[:len(got)-1]); !slices.Equal(uids, want) {
		t.Errorf("%d vanished, want %d", len(uids), len(want))
	}
	s.same(s.missedBy("%d %d 15:25", fo.UIDValidity, before.ModSeq), "* VANISHED (EARLIER) 15,17,19,21:23,25",
		fmt.Sprintf(`* 10 FETCH (UID 20 FLAGS (\Seen) MODSEQ (%d))`, m))
	// The numbers of the messages up to 20 agree, so only what is above can be gone.
	s.same(s.missedBy("%d %d 2:25 (1,10 2,20)", fo.UIDValidity, before.ModSeq), "* VANISHED (EARLIER) 21:23,25",
		fmt.Sprintf(`* 10 FETCH (UID 20 FLAGS (\Seen) MODSEQ (%d))`, m))
	s.same(s.missedBy("%d %d", fo.UIDValidity, m), "* VANISHED (EARLIER) 22")
	if uids := vanishedUIDs(t, s.ok("UID FETCH 1:9 UID (CHANGEDSINCE %d VANISHED)", before.ModSeq)); !slices.Equal(uids, []uint32{1, 3, 5, 7, 9}) {
		t.Error(uids)
	}

	if uids := vanishedUIDs(t, sleeping.ok("UID FETCH 20 UID")[1:]); !slices.Equal(uids, want) {
		t.Errorf("%d vanished, want %d", len(uids), len(want))
	}
	lines := plain.ok("NOOP")
	if len(lines) != len(want)+1 || !strings.HasSuffix(lines[0], fmt.Sprintf("* %d EXPUNGE", n-1)) {
		t.Errorf("%d lines, the first %q", len(lines), lines[0])
	}
	if l := plain.ok("UID SEARCH RETURN (COUNT) ALL"); !strings.HasSuffix(l[0], fmt.Sprintf("COUNT %d", fo.Messages)) {
		t.Error(l)
	}
}

// vanishedUIDs reads VANISHED responses.
func vanishedUIDs(t *testing.T, lines []string) []uint32 {
	t.Helper()
	var uids []uint32
	for _, l := range lines {
		if strings.Contains(l, "FETCH") {
			continue
		}
		if len(l) > 2*vanishedRoom {
			t.Errorf("a line of %d octets", len(l))
		}
		p := &parser{b: []byte(strings.TrimPrefix(strings.TrimPrefix(l, "* VANISHED "), "(EARLIER) "))}
		for _, r := range p.set(true).ranges {
			for uid := r.from; uid <= r.to; uid++ {
				uids = append(uids, uid)
			}
		}
		if !p.end() {
			t.Errorf("%q", l)
		}
	}
	return uids
}

type countedConn struct {
	net.Conn
	octets *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.octets.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.octets.Add(int64(n))
	return n, err
}

// A client that comes back to a large mailbox pays for what changed: all octets
// of the connection are counted, those of TLS and of the login as well.
func TestResyncCost(t *testing.T) {
	f := newFixture(t)
	f.fill(manyMessages)
	known := f.folder("INBOX")
	f.flag(7, `\Seen`)
	f.flag(manyMessages/2, `\Flagged`)
	f.expunge(9)
	f.expunge(manyMessages - 3)
	f.deliver("INBOX", message("nuovo"))

	raw, err := net.Dial("tcp", f.tls.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var octets atomic.Int64
	conn := tls.Client(countedConn{raw, &octets}, f.client)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := newScript(t, conn)
	s.line()
	s.ok("LOGIN %s %q", testUser, testPassword)
	login := octets.Load()
	s.ok("ENABLE QRESYNC")
	got := s.missedBy("%d %d 1:%d", known.UIDValidity, known.ModSeq, known.UIDNext-1)
	if len(got) != 3 || got[0] != fmt.Sprintf("* VANISHED (EARLIER) 9,%d", manyMessages-3) {
		t.Errorf("%q", got)
	}
	if l := s.ok("UID FETCH %d:* (FLAGS)", known.UIDNext); len(l) != 1 {
		t.Errorf("%q", l)
	}
	s.ok("LOGOUT")
	t.Logf("%d messages: %d octets for TLS and the login, %d for the rest", manyMessages, login, octets.Load()-login)
	if n := octets.Load(); n >= 20_000 {
		t.Errorf("%d octets", n)
	}
}
