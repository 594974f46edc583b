// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
	"pecd/trail"
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
	f.commit(&storage.PutTier{Tier: storage.Tier{Code: "t" + testUser, Name: "prova", QuotaBytes: 1000}})
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

// TestTrail: who logged in, read and deleted is on record, exactly.
func TestTrail(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) {
		c.Trail = trail.New(trail.Config{
			Store: c.Store, Clock: c.Clock, Logger: slog.New(slog.DiscardHandler), Shared: func(context.Context, string) (bool, error) { return true, nil },
		})
	})
	for i := range 4 {
		f.deliver(message(fmt.Sprint("m", i)))
	}
	s := f.login()
	s.multi("TOP 1 0")
	s.multi("RETR 2")
	s.multi("TOP 3 5")
	for i := 1; i <= 4; i++ {
		s.ok("DELE %d", i)
	}
	f.commit(&storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: []uint32{3}})
	s.ok("QUIT")
	s = f.script()
	s.ok("USER %s", testUser)
	s.fails(`\[AUTH\]`, "PASS wrong")
	f.grant("web", storage.MayRead, f.mailbox, testUser)
	s.ok("USER web")
	s.fails(`\[AUTH\]`, "PASS %s", testPassword)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.server.cfg.Trail.Run(ctx) // writes what it has gathered
	var got []string
	err := f.store.Records(t.Context(), 0, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		if err != nil || e.Protocol != ledger.POP3 || e.Peer != "127.0.0.1" {
			t.Errorf("%+v, %v", e, err)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Kind, e.User, e.Folder, e.UIDs, e.Detail)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{
		"access anna@alfa.example", "access.denied     password del test",
		"access.denied web   accesso con programmi di posta non abilitato / access by mail clients is not enabled",
		"message.moved anna@alfa.example INBOX 1:2,4 " + recoverableName, "message.read anna@alfa.example INBOX 2:3",
	}
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestLogins(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.Guesses = directory.NewGuesses(c.Clock) })
	const everything = storage.MayAll
	for _, u := range []struct {
		login string
		p     storage.Permission
	}{
		{"legge", storage.MayRead | storage.MayUseClient}, {"web", everything &^ storage.MayUseClient}, {"cieco", everything &^ storage.MayRead},
	} {
		f.grant(u.login, u.p, f.mailbox, testUser)
	}
	f.grant("nessuna", 0, f.mailbox, testUser)
	other := f.addMailbox("bea@alfa.example", 1<<20)
	f.grant("bea@alfa.example", everything, f.mailbox, testUser)
	f.grant("bea@alfa.example", everything, other, "bea@alfa.example")
	f.deliver(message("uno"))
	for login, want := range map[string]string{
		testUser: `^\+OK anna@alfa.example$`, "ANNA@alfa.example": `^\+OK anna`, "legge": `^\+OK anna`, "bea@alfa.example": `^\+OK bea`,
		"web": `^-ERR \[AUTH\] accesso con programmi`, "cieco": `^-ERR \[AUTH\] accesso`, "nessuna": `^-ERR \[AUTH\] accesso`, "chi": `^-ERR \[AUTH\] nome utente`,
	} {
		s := f.script()
		s.ok("USER %s", login)
		s.send("PASS %s\r\n", testPassword)
		s.expect(want)
		s = f.script()
		s.send("AUTH PLAIN %s\r\n", base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+testPassword)))
		s.expect(want)
	}
	s := f.script()
	s.ok("USER legge")
	s.ok("PASS %s", testPassword)
	s.multi("RETR 1")
	s.fails(`\[SYS/PERM\] casella in sola lettura`, "DELE 1")
	s.ok("QUIT")

	for state, want := range map[storage.MailboxState]string{
		storage.MailboxDeactivated: `^-ERR \[AUTH\] casella non attiva`, storage.MailboxClosed: `^-ERR \[AUTH\]`, storage.MailboxBlocked: `^\+OK`,
	} {
		m, err := f.store.MailboxByID(t.Context(), f.mailbox)
		if err != nil {
			t.Fatal(err)
		}
		m.State = state
		f.commit(&storage.PutMailbox{Mailbox: m})
		s := f.script()
		s.ok("USER %s", testUser)
		s.send("PASS %s\r\n", testPassword)
		s.expect(want)
	}
	f.users.mu.Lock()
	f.users.err = fault.New("test", fault.Temporary, errors.New("busy"))
	f.users.mu.Unlock()
	s = f.script()
	s.ok("USER x")
	s.fails(`\[SYS/TEMP\]`, "PASS y")
	s.fails("prima USER", "PASS y")
}

func TestSASL(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.Directory.(*users).token = "a-token" })
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain := b64("\x00" + testUser + "\x00" + testPassword)
	s := f.script()
	if got := s.multi("AUTH"); got != "PLAIN\r\nLOGIN\r\nXOAUTH2\r\nOAUTHBEARER\r\n" {
		t.Errorf("%q", got)
	}
	s.fails("meccanismo", "AUTH CRAM-MD5")
	s.fails("risposta non valida", "AUTH PLAIN x")
	s.fails("risposta non valida", "AUTH PLAIN %s", b64("one\x00two"))
	s.fails(`\[AUTH\]`, "AUTH PLAIN %s", b64("altro@alfa.example\x00"+testUser+"\x00"+testPassword))
	s.send("AUTH plain\r\n")
	s.expect(`^\+ $`)
	s.fails("annullato", "*")
	s.fails("risposta", "AUTH PLAIN =")
	oauth := func(token string) string {
		return b64("n,a=" + testUser + ",\x01host=h\x01port=995\x01auth=Bearer " + token + "\x01\x01")
	}
	x := func(token string) string { return b64("user=" + testUser + "\x01auth=Bearer " + token + "\x01\x01") }
	s.send("AUTH XOAUTH2 %s\r\n", x("stolen"))
	s.expect(`^\+ [A-Za-z0-9+/=]+$`) // says why; the client answers with nothing
	s.fails(`\[AUTH\]`, "")
	for _, dialogue := range [][]string{
		{"AUTH PLAIN", plain}, {"AUTH PLAIN " + plain}, {"AUTH LOGIN", b64(testUser), b64(testPassword)}, {"AUTH LOGIN " + b64(testUser), b64(testPassword)},
		{"AUTH XOAUTH2 " + x("a-token")}, {"AUTH XOAUTH2", x("a-token")}, {"AUTH OAUTHBEARER " + oauth("a-token")},
	} {
		s := f.script()
		for i, l := range dialogue {
			s.send("%s\r\n", l)
			if i < len(dialogue)-1 {
				s.expect(`^\+ `)
			}
		}
		s.expect(`^\+OK anna`)
		s.ok("STAT")
	}
}

// TestRevoked: a session does not outlive its login, and then deletes nothing.
func TestRevoked(t *testing.T) {
	f := newFixture(t)
	f.deliver(message("uno"))
	s := f.login()
	s.ok("DELE 1")
	f.users.mu.Lock()
	f.users.revoked = true
	f.users.mu.Unlock()
	s.fails(`\[AUTH\] accesso revocato`, "QUIT")
	s.closed()
	if got := f.texts("INBOX"); len(got) != 1 {
		t.Errorf("%d left", len(got))
	}
}

// TestGuesses: wrong passwords end the connection, and then the client's tries.
func TestGuesses(t *testing.T) {
	f := newFixture(t)
	for range 6 {
		s := f.script()
		for range 3 {
			s.ok("USER %s", testUser)
			s.fails(`\[AUTH\] nome utente`, "PASS wrong")
		}
		s.closed()
	}
	for range 2 {
		s := f.script()
		s.ok("USER %s", testUser)
		s.fails(`\[AUTH\]`, "PASS wrong")
	}
	s := f.script()
	s.ok("USER %s", testUser)
	s.fails(`\[SYS/TEMP\] troppi tentativi`, "PASS %s", testPassword)
	s.closed()
}
