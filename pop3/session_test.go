// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// TestDialogue is a whole session.
func TestDialogue(t *testing.T) {
	f := newFixture(t)
	one, two := message("uno"), message("due")
	f.deliver(one)
	f.deliver(two, `\Seen`)
	s := f.login()
	if got, want := s.ok("STAT"), fmt.Sprintf("2 %d", len(one)+len(two)); got != want {
		t.Errorf("STAT %s, want %s", got, want)
	}
	if got, want := s.multi("LIST"), fmt.Sprintf("1 %d\r\n2 %d\r\n", len(one), len(two)); got != want {
		t.Errorf("%q", got)
	}
	if got, want := s.ok("list 2"), fmt.Sprintf("2 %d", len(two)); got != want {
		t.Errorf("%q", got)
	}
	v := f.folder("INBOX").UIDValidity
	if got, want := s.multi("UIDL"), fmt.Sprintf("1 00000001%08x\r\n2 00000002%08x\r\n", v, v); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := s.ok("UIDL 2"), fmt.Sprintf("2 00000002%08x", v); got != want {
		t.Errorf("%q", got)
	}
	if got := s.multi("RETR 1"); got != one {
		t.Errorf("%q", got)
	}
	if got, want := s.multi("TOP 2 0"), two[:strings.Index(two, "Testo")]; got != want {
		t.Errorf("%q", got)
	}
	if got, want := s.multi("TOP 2 2"), two[:strings.Index(two, "fine")]; got != want {
		t.Errorf("%q", got)
	}
	if got := s.multi("TOP 2 99"); got != two {
		t.Errorf("%q", got)
	}
	s.ok("NOOP")
	for _, c := range []string{"RETR 3", "DELE 0", "LIST 9", "UIDL 3", "TOP 3 1"} {
		s.fails("messaggio inesistente", "%s", c)
	}
	for _, c := range []string{"RETR", "RETR x", "RETR -1", "DELE 1 2", "LIST 9999999999", "UIDL 1.", "TOP x 1"} {
		s.fails("numero di messaggio", "%s", c)
	}
	for _, c := range []string{"TOP 1", "TOP 1 -1", "TOP", "TOP 1 1 1"} {
		s.fails("numero di righe", "%s", c)
	}
	s.fails("accesso gia' fatto", "USER x")
	s.fails("comando sconosciuto", "LAST")
	s.fails("comando sconosciuto", "")
	s.ok("QUIT")
	s.closed()
	if got := f.texts("INBOX"); len(got) != 2 {
		t.Errorf("%d messages left", len(got))
	}
	if got := f.folder("INBOX").Unseen; got != 1 {
		t.Errorf("%d unseen: RETR changed a flag", got)
	}
	if got := f.counters.Figures(); got != (Figures{Logins: 1, Retrieved: 1, Octets: int64(len(one))}) {
		t.Errorf("%+v", got)
	}
}

// TestDelete: QUIT moves, nothing else does.
func TestDelete(t *testing.T) {
	f := newFixture(t)
	one, two, three := message("uno"), message("due"), message("tre")
	f.deliver(one)
	f.deliver(two, `\Flagged`)
	f.deliver(three)
	s := f.login()
	s.ok("DELE 1")
	s.ok("DELE 3")
	s.fails("messaggio inesistente", "DELE 1")
	s.fails("messaggio inesistente", "RETR 3")
	if got, want := s.ok("STAT"), fmt.Sprintf("1 %d", len(two)); got != want {
		t.Errorf("%q", got)
	}
	if got, want := s.multi("LIST"), fmt.Sprintf("2 %d\r\n", len(two)); got != want {
		t.Errorf("%q", got)
	}
	if got := s.multi("UIDL"); strings.Count(got, "\r\n") != 1 || !strings.HasPrefix(got, "2 ") {
		t.Errorf("%q", got)
	}
	s.ok("RSET")
	if got, want := s.ok("STAT"), fmt.Sprintf("3 %d", len(one)+len(two)+len(three)); got != want {
		t.Errorf("%q", got)
	}
	s.ok("DELE 2")
	s.conn.Close() // without QUIT
	s = f.login()
	s.ok("DELE 2")
	s.ok("DELE 3")
	if got := s.ok("QUIT"); !strings.HasPrefix(got, "2 messaggi spostati") {
		t.Errorf("%q", got)
	}
	s.closed()
	if got := f.texts("INBOX"); len(got) != 1 || got[0] != one {
		t.Errorf("%q", got)
	}
	if got := f.texts(recoverableName); len(got) != 2 || got[0] != two || got[1] != three {
		t.Errorf("%q", got)
	}
	m, err := f.store.MailboxByID(t.Context(), f.mailbox)
	if err != nil || m.Used != int64(len(one)) {
		t.Errorf("%d bytes held, %v", m.Used, err)
	}
	if got := f.counters.Figures().Discarded; got != 2 {
		t.Errorf("%d discarded", got)
	}

	// Taken back, a message is a new one for POP3.
	rec := f.folder(recoverableName)
	f.commit(&storage.CopyMessages{From: rec.ID, UIDs: []uint32{1}, To: f.folder("INBOX").ID, Move: true})
	s = f.login()
	if got := s.ok("UIDL 2"); !strings.HasPrefix(got, "2 00000004") {
		t.Errorf("%q", got)
	}
	if got := s.multi("RETR 2"); got != two {
		t.Errorf("%q", got)
	}
}

// TestSnapshot: what others do is seen at the next login only, and what they
// deleted does not hinder QUIT.
func TestSnapshot(t *testing.T) {
	f := newFixture(t)
	for i := range 4 {
		f.deliver(message(fmt.Sprint("m", i)))
	}
	a, b := f.login(), f.login()
	f.deliver(message("nuovo"))
	f.commit(&storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: []uint32{4}})
	if got := a.ok("STAT"); !strings.HasPrefix(got, "4 ") {
		t.Errorf("%q", got)
	}
	a.fails("messaggio eliminato nel frattempo", "RETR 4")
	for i := 1; i <= 2; i++ {
		a.ok("DELE %d", i)
		b.ok("DELE %d", i)
	}
	a.ok("DELE 4")
	if got := a.ok("QUIT"); !strings.HasPrefix(got, "2 ") {
		t.Errorf("%q", got)
	}
	b.ok("RSET")
	if got := b.multi("RETR 2"); got != message("m1") { // moved by a, still there
		t.Errorf("%q", got)
	}
	b.ok("DELE 2")
	b.ok("DELE 3")
	if got := b.ok("QUIT"); !strings.HasPrefix(got, "1 ") {
		t.Errorf("%q", got)
	}
	if got := f.texts(recoverableName); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if got := f.login().ok("STAT"); !strings.HasPrefix(got, "1 ") {
		t.Errorf("%q", got)
	}
}

// broken is a store that cannot commit.
type broken struct {
	storage.Store
	err error
}

func (b broken) Commit(ctx context.Context, s *storage.Step) error {
	for _, op := range s.Ops {
		if _, ok := op.(*storage.Discard); ok {
			return b.err
		}
	}
	return b.Store.Commit(ctx, s)
}

func TestQuitThatFails(t *testing.T) {
	for want, err := range map[string]error{
		`\[SYS/TEMP\] nessun messaggio eliminato`: fault.New("test", fault.NoSpace, nil),
		`\[SYS/PERM\] troppi messaggi eliminati`:  fault.New("test", fault.Quota, nil),
	} {
		f := newFixture(t, func(c *Config, _ *timing) { c.Store = broken{c.Store, err} })
		f.deliver(message("uno"))
		s := f.login()
		s.ok("DELE 1")
		s.fails(want, "QUIT")
		s.closed()
		if got := f.texts("INBOX"); len(got) != 1 {
			t.Errorf("%d left", len(got))
		}
	}
}

// TestRecoverableIsBounded: what is put aside does not grow without end.
func TestRecoverableIsBounded(t *testing.T) {
	f := newFixture(t)
	f.commit(&storage.PutTier{Tier: storage.Tier{Code: "t" + testUser, Name: "prova", Figures: storage.Figures{QuotaBytes: 1000}}})
	for range 2 {
		f.deliver(strings.Repeat("x", 5001))
	}
	s := f.login()
	s.ok("DELE 1")
	s.ok("QUIT")
	s = f.login()
	s.ok("DELE 1")
	s.fails(`\[SYS/PERM\] troppi messaggi`, "QUIT")
	if got := f.texts("INBOX"); len(got) != 1 {
		t.Errorf("%d left", len(got))
	}
}

// TestUIDLs: an identifier that came with a message is kept, unless it would be
// taken for another message's.
func TestUIDLs(t *testing.T) {
	f := newFixture(t)
	v := f.folder("INBOX").UIDValidity
	own := func(uid int) string { return fmt.Sprintf("%08x%08x", uid, v) }
	for _, uidl := range []string{"", "vecchio-1", "vecchio-1", own(1), own(5), "!~", "GmailId175"} {
		f.imported(uidl, message("x"))
	}
	want := []string{own(1), "vecchio-1", own(3), own(4), own(5), "!~", "GmailId175"}
	got := strings.Fields(strings.ReplaceAll(f.login().multi("UIDL"), "\r\n", " "))
	for i, w := range want {
		if got[2*i+1] != w {
			t.Errorf("message %d: %s, want %s", i+1, got[2*i+1], w)
		}
	}
}
