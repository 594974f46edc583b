// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"crypto/tls"
	"encoding/base64"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pecd/clock"
	"pecd/guesses"
	"pecd/storage"
)

func TestLoginByClient(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	c := f.login(nil)
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.NumMessages != 1 || data.UIDValidity == 0 || data.UIDNext != 2 {
		t.Errorf("%+v", data)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
}

func TestSTARTTLS(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t, conn)
	greeting := s.expect(`^\* OK \[CAPABILITY .*\]`)
	for _, want := range []string{"STARTTLS", "LOGINDISABLED"} {
		if !strings.Contains(greeting, want) {
			t.Errorf("%q lacks %s", greeting, want)
		}
	}
	if strings.Contains(greeting, "AUTH=") {
		t.Errorf("%q offers authentication in the clear", greeting)
	}
	s.fails("NO [PRIVACYREQUIRED]", "LOGIN %s x", testUser)
	s.fails("NO [PRIVACYREQUIRED]", "AUTHENTICATE PLAIN AGEAYg==")
	s.ok("NOOP")
	s.ok("ID NIL")
	s.ok("STARTTLS")
	secure := tls.Client(conn, f.client)
	s = newScript(t, secure)
	caps := s.ok("CAPABILITY")
	if !strings.Contains(caps[0], "AUTH=PLAIN") || strings.Contains(caps[0], "STARTTLS") {
		t.Errorf("after TLS: %q", caps)
	}
	s.ok("LOGIN %s %q", testUser, testPassword)
	s.ok("SELECT INBOX")
}

func TestSTARTTLSByClient(t *testing.T) {
	f := newFixture(t)
	c, err := imapclient.DialStartTLS(f.plain.Addr().String(), &imapclient.Options{TLSConfig: f.client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(testUser, testPassword).Wait(); err != nil {
		t.Fatal(err)
	}
}

// What is sent in the clear behind STARTTLS must not be taken for something
// sent under TLS.
func TestSTARTTLSInjection(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t, conn)
	s.line()
	s.send("a STARTTLS\r\nb LOGIN %s %q\r\n", testUser, testPassword)
	s.closed()
}

func TestPlainRefusesEverythingElse(t *testing.T) {
	f := newFixture(t)
	for _, line := range []string{"a SELECT INBOX", "GET / HTTP/1.1", "a LOGIN {4}", "EHLO x", "a", "{", "a APPEND x {3+}"} {
		conn, err := net.Dial("tcp", f.plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s := newScript(t, conn)
		s.line()
		s.send("%s\r\n", line)
		for {
			l, err := s.r.ReadString('\n')
			if err != nil {
				break
			}
			if !strings.Contains(l, " BAD ") && !strings.Contains(l, "* BYE") && !strings.Contains(l, "PRIVACYREQUIRED") {
				t.Errorf("%q: %q", line, l)
			}
		}
	}
}

func TestAuthenticatePlain(t *testing.T) {
	f := newFixture(t)
	// "\0anna@alfa.example\0correct horse"
	const good = "AGFubmFAYWxmYS5leGFtcGxlAGNvcnJlY3QgaG9yc2U="
	s := f.script()
	s.ok("AUTHENTICATE PLAIN " + good)
	s.ok("SELECT INBOX")

	s = f.script()
	s.send("a AUTHENTICATE PLAIN\r\n")
	s.expect(`^\+ $`)
	s.send(good + "\r\n")
	s.expect(`^a OK`)
	s.ok("SELECT INBOX")

	s = f.script()
	s.send("a AUTHENTICATE PLAIN\r\n")
	s.expect(`^\+ $`)
	s.send("*\r\n")
	s.expect(`^a BAD`)
	s.send("b AUTHENTICATE PLAIN\r\n")
	s.expect(`^\+ $`)
	s.send("!!!\r\n")
	s.expect(`^b BAD`)
	s.fails("NO", "AUTHENTICATE CRAM-MD5")
	s.fails("BAD", "AUTHENTICATE PLAIN AAAA")
	s.ok("LOGIN %s %q", testUser, testPassword)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAuthenticateLogin(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	s.send("a AUTHENTICATE LOGIN\r\n")
	s.expect(`^\+ VXNlcm5hbWU6$`) // Username:
	s.send("%s\r\n", b64(testUser))
	s.expect(`^\+ UGFzc3dvcmQ6$`) // Password:
	s.send("%s\r\n", b64(testPassword))
	s.expect(`^a OK`)
	s.ok("SELECT INBOX")
	f.script().fails("NO", "AUTHENTICATE XOAUTH2")
}

func TestAuthenticateWithTokens(t *testing.T) {
	f := newFixture(t)
	f.users.tokens = true
	s := f.script()
	if caps := s.ok("CAPABILITY"); !strings.Contains(caps[0], " AUTH=XOAUTH2") || !strings.Contains(caps[0], " AUTH=OAUTHBEARER") {
		t.Errorf("%q", caps)
	}
	s.send("%s\r\n", "a AUTHENTICATE XOAUTH2 "+b64("user="+testUser+"\x01auth=Bearer old\x01\x01"))
	s.expect(`^\+ ` + b64(`{"status":"invalid_token","schemes":"bearer"}`) + `$`)
	s.send("\r\n")
	s.expect(`^a NO \[AUTHENTICATIONFAILED\]`)
	s.send("%s\r\n", "b AUTHENTICATE OAUTHBEARER "+b64("n,a="+testUser+",\x01auth=Bearer old\x01\x01"))
	s.expect(`^\+ `)
	s.send("AQ==\r\n")
	s.expect(`^b NO \[AUTHENTICATIONFAILED\]`)
	s.send("c AUTHENTICATE XOAUTH2\r\n")
	s.expect(`^\+ $`)
	s.send("%s\r\n", b64("user="+testUser+"\x01auth=Bearer "+testToken+"\x01\x01"))
	s.expect(`^c OK`)
	s.ok("SELECT INBOX")
}

func TestLoginWithLiterals(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	s.send("a LOGIN {%d}\r\n", len(testUser))
	s.expect(`^\+ `)
	s.send("%s {%d+}\r\n%s\r\n", testUser, len(testPassword), testPassword)
	s.expect(`^a OK`)
}

func TestThreeWrongPasswords(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	for range maxFailures {
		s.fails("NO [AUTHENTICATIONFAILED]", "LOGIN %s sbagliata", testUser)
	}
	s.closed()
}

// Wrong passwords are counted over all connections of an address, and what was
// typed as login is not logged.
func TestGuessesOverConnections(t *testing.T) {
	at := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	f := newFixture(t, func(c *Config, _ *timing) { c.Guesses = guesses.Alone(at) })
	for left := 20; left > 0; {
		s := f.script()
		for range min(left, maxFailures) {
			s.fails("NO [AUTHENTICATIONFAILED]", "LOGIN geheim99 sbagliata")
			left--
		}
	}
	before := f.users.calls.Load()
	s := f.script()
	s.fails("NO [LIMIT]", "LOGIN %s %q", testUser, testPassword)
	s.closed()
	s = f.script()
	s.fails("NO [LIMIT]", "AUTHENTICATE PLAIN AGFubmFAYWxmYS5leGFtcGxlAGNvcnJlY3QgaG9yc2U=")
	s.closed()
	if n := f.users.calls.Load(); n != before || n != 20 {
		t.Errorf("%d passwords were looked at", n)
	}
	at.Advance(time.Minute)
	f.script().ok("LOGIN %s %q", testUser, testPassword)
	if strings.Contains(f.logs.String(), "geheim99") {
		t.Error("the log contains what was typed as login")
	}
}

// S4-017: who may what is a matter of the grant.
func TestS4_017_Permissions(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	other := f.addMailbox("altra@alfa.example", 1<<30)
	f.grant("lettore", storage.MayRead|storage.MayUseClient, f.mailbox, testUser)
	f.grant("web", storage.MayRead|storage.MayWrite, f.mailbox, testUser)
	f.grant("nessuno", storage.MaySend|storage.MayUseClient, f.mailbox, testUser)
	f.grant("due", storage.MayAll, f.mailbox, testUser)
	f.grant("due", storage.MayAll, other, "altra@alfa.example")
	f.grant("altra@alfa.example", storage.MayAll, f.mailbox, testUser)
	f.grant("altra@alfa.example", storage.MayAll, other, "altra@alfa.example")

	for _, login := range []string{"web", "nessuno"} {
		f.script().fails("NO [AUTHORIZATIONFAILED]", "LOGIN %s %q", login, testPassword)
	}
	s := f.script()
	s.ok("LOGIN lettore %q", testPassword)
	untagged, result := s.command("SELECT INBOX")
	if !strings.Contains(result, "[READ-ONLY]") || !slices.ContainsFunc(untagged, func(l string) bool { return strings.Contains(l, "[PERMANENTFLAGS ()]") }) {
		t.Errorf("%q %q", untagged, result)
	}
	s.literal("FETCH 1 BODY[]")
	for _, c := range []string{`STORE 1 +FLAGS (\Seen)`, "EXPUNGE", "COPY 1 Bozze", "MOVE 1 Bozze", "CREATE x", "DELETE Bozze", "RENAME Bozze x"} {
		s.fails("NO [NOPERM]", "%s", c)
	}
	s.send("z APPEND INBOX {3+}\r\nabc\r\n")
	s.expect(`^z NO \[NOPERM\]`)
	if f.folder("INBOX").Unseen != 1 {
		t.Error("a reader set \\Seen")
	}

	s = f.script() // first by address
	s.ok("LOGIN due %q", testPassword)
	if l := s.ok("STATUS INBOX (MESSAGES)"); !strings.Contains(l[0], "MESSAGES 1") {
		t.Error(l)
	}
	s = f.script() // the mailbox of that name
	s.ok("LOGIN altra@alfa.example %q", testPassword)
	if l := s.ok("STATUS INBOX (MESSAGES)"); !strings.Contains(l[0], "MESSAGES 0") {
		t.Error(l)
	}
}

func TestClosedMailbox(t *testing.T) {
	f := newFixture(t)
	f.commit(&storage.PutMailbox{Mailbox: storage.Mailbox{ID: f.mailbox, Address: testUser, Domain: "alfa.example", Tier: "t" + testUser, State: storage.MailboxClosed}})
	f.script().fails("NO [AUTHORIZATIONFAILED]", "LOGIN %s %q", testUser, testPassword)
}

func TestCapabilities(t *testing.T) {
	f := newFixture(t)
	s := f.open("")
	caps := strings.Fields(s.ok("CAPABILITY")[0])
	for _, want := range []string{"IMAP4rev1", "LITERAL-", "SASL-IR", "IDLE", "NAMESPACE", "UIDPLUS", "ESEARCH", "SEARCHRES", "LIST-EXTENDED",
		"LIST-STATUS", "MOVE", "STATUS=SIZE", "BINARY", "CHILDREN", "SPECIAL-USE", "CREATE-SPECIAL-USE", "ID", "ENABLE", "UNSELECT", "ACL", "RIGHTS=texk", "QUOTA", "QUOTA=RES-STORAGE", "APPENDLIMIT=104857600",
		"IMAP4rev2", "CONDSTORE", "QRESYNC", "SORT", "SORT=DISPLAY", "ESORT", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES"} {
		if !slices.Contains(caps, want) {
			t.Errorf("%q lacks %s", caps, want)
		}
	}
	for _, no := range []string{"LITERAL+", "STARTTLS"} {
		if slices.Contains(caps, no) {
			t.Errorf("%q offers %s", caps, no)
		}
	}
	if l := s.ok("ENABLE imap4rev2 XYZZY UTF8=ACCEPT CONDSTORE"); !slices.Equal(l, []string{"* ENABLED IMAP4rev2 UTF8=ACCEPT CONDSTORE"}) {
		t.Error(l)
	}
	s.ok("NAMESPACE")
}

func TestConnectionLimits(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.MaxConnsPerIP = 2 })
	first, second := f.script(), f.script()
	conn, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	newScript(t, conn).closed()
	first.ok("LOGOUT")
	first.closed()
	second.ok("NOOP")
	deadline := time.Now().Add(5 * time.Second)
	for { // the place is free once the goroutine has ended
		c, err := tls.Dial("tcp", f.tls.Addr().String(), f.client)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
