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
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/storage"
	"pecd/trail"
)

// TestTrail: who logged in, read and deleted is on record, exactly.
func TestTrail(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) {
		c.Trail = trail.New(trail.Config{
			Store: c.Store, Clock: c.Clock, Logger: slog.New(slog.DiscardHandler), Shared: func(context.Context, string) (bool, error) { return true, nil },
		})
	})
	f.commit(&storage.CreateFolder{Mailbox: f.mailbox, Name: recoverableName}) // the holder's
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
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s %s", e.Kind, e.User, e.Folder, e.UIDs, e.Detail, e.ToUIDs)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{
		"access anna@alfa.example", "access.denied     password del test",
		"access.denied web   accesso con programmi di posta non abilitato / access by mail clients is not enabled",
		"message.moved anna@alfa.example INBOX 1:2,4 " + recoverableName + " 2 1:3", "message.read anna@alfa.example INBOX 2:3",
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
	f := newFixture(t, func(c *Config, _ *timing) { c.Guesses = guesses.Alone(c.Clock) })
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
	f.grant("due", storage.MayRead, f.mailbox, testUser)
	other := f.addMailbox("bea@alfa.example", 1<<20)
	f.grant("bea@alfa.example", everything, f.mailbox, testUser)
	f.grant("bea@alfa.example", everything, other, "bea@alfa.example")
	f.grant("due", everything, other, "bea@alfa.example")
	f.deliver(message("uno"))
	for login, want := range map[string]string{
		testUser: `^\+OK anna@alfa.example$`, "ANNA@alfa.example": `^\+OK anna`, "legge": `^\+OK anna`, "bea@alfa.example": `^\+OK bea`, "due": `^\+OK bea`,
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

// TestDeactivated: a session does not outlive the use of its mailbox.
func TestDeactivated(t *testing.T) {
	clk := clock.NewManual(time.Now())
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = clk })
	f.deliver(message("uno"))
	s := f.login()
	s.ok("DELE 1")
	m, err := f.store.MailboxByID(t.Context(), f.mailbox)
	if err != nil {
		t.Fatal(err)
	}
	m.State = storage.MailboxDeactivated
	f.commit(&storage.PutMailbox{Mailbox: m})
	clk.Advance(recheck)
	s.fails(`\[AUTH\] casella non attiva`, "QUIT")
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
