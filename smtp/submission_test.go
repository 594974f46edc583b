// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/storage"
)

func TestSubmission_Capabilities(t *testing.T) {
	c := dial(t, startSubmission(t, &fakePoint{}, ServerConfig{}))
	clear := c.cmd("EHLO client.example", "250-mx.alfa.example\r\n")
	want := "250-mx.alfa.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250 SIZE 104857600\r\n"
	if clear != want {
		t.Errorf("EHLO in clear:\n%s", clear)
	}
	c.startTLS()
	secured := c.cmd("ehlo client.example", "250-")
	want = "250-mx.alfa.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 104857600\r\n"
	if secured != want {
		t.Errorf("EHLO under TLS:\n%s", secured)
	}
	c.cmd("HELO client.example", "250 mx.alfa.example\r\n")
	c.cmd("STARTTLS", "503 5.5.1 ")
}

func TestSubmission_TLSAndLoginBeforeMail(t *testing.T) {
	c := dial(t, startSubmission(t, &fakePoint{}, ServerConfig{}))
	c.cmd("MAIL FROM:<rossi@alfa.example>", "503 5.5.1 ")
	c.cmd("EHLO x", "250-")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "530 5.7.0 ")
	c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "538 5.7.11 ")
	c.cmd("AUTH LOGIN", "538 5.7.11 ")
	c.startTLS()
	c.cmd("MAIL FROM:<rossi@alfa.example>", "503 5.5.1 ") // STARTTLS forgot the EHLO
	c.cmd("EHLO x", "250-")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "530 5.7.0 ")
	c.cmd("RCPT TO:<rossi@alfa.example>", "503 5.5.1 ")
	c.cmd("DATA", "503 5.5.1 ")
	c.cmd("AUTH CRAM-MD5", "504 5.5.4 ")
	c.cmd("AUTH", "501 5.5.4 ")
	c.alive()
}

func TestSubmission_AuthMechanisms(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for name, talk := range map[string]func(c *client){
		"PLAIN initial": func(c *client) { c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ") },
		"PLAIN asked": func(c *client) {
			c.cmd("AUTH PLAIN", "334 ")
			c.cmd(plain(testLogin, testPassword), "235 ")
		},
		"PLAIN with own identity": func(c *client) {
			c.cmd("AUTH PLAIN "+b64([]byte(testLogin+"\x00"+testLogin+"\x00"+testPassword)), "235 ")
		},
		"LOGIN asked": func(c *client) {
			c.cmd("AUTH LOGIN", "334 "+b64([]byte("Username:"))+"\r\n")
			c.cmd(b64([]byte(testLogin)), "334 "+b64([]byte("Password:"))+"\r\n")
			c.cmd(b64([]byte(testPassword)), "235 ")
		},
		"LOGIN initial": func(c *client) {
			c.cmd("auth login "+b64([]byte(testLogin)), "334 ")
			c.cmd(b64([]byte(testPassword)), "235 ")
		},
		"another case": func(c *client) { c.cmd("AUTH PLAIN "+plain("ROSSI@alfa.example", testPassword), "235 ") },
		"after mistakes": func(c *client) {
			c.cmd("AUTH PLAIN !!!", "501 5.5.2 ")
			c.cmd("AUTH PLAIN "+b64([]byte("no zeros")), "501 5.5.2 ")
			c.cmd("AUTH PLAIN "+plain(testLogin, strings.Repeat("x", 8000)), "535 5.7.8 ") // a line beyond 2000
			c.cmd("AUTH LOGIN", "334 ")
			c.cmd("*", "501 5.7.0 ")
			c.cmd("AUTH PLAIN "+plain("rotto@alfa.example", "x"), "454 4.7.0 ")
			c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fakePoint{}
			c := dial(t, startSubmission(t, p, ServerConfig{}))
			c.cmd("EHLO x", "250-")
			c.startTLS()
			c.cmd("EHLO x", "250-")
			talk(c)
			c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "503 5.5.1 ")
			c.envelope("rossi@alfa.example", "bianchi@beta.example")
			c.cmd("DATA", "354 ")
			c.cmd("a\r\n.", "250 2.6.0 accettato")
			got := p.messages()
			if len(got) != 1 || got[0].login != testLogin || string(got[0].message) != "a\r\n" {
				t.Fatalf("took %+v", got)
			}
			if got[0].peer.Helo != "x" || got[0].peer.Remote != "127.0.0.1" || !strings.HasPrefix(got[0].peer.TLS, "TLSv1.3 TLS_") {
				t.Errorf("peer %+v", got[0].peer)
			}
		})
	}
}

func TestSubmission_WrongPasswordThreeTimes(t *testing.T) {
	c := dial(t, startSubmission(t, &fakePoint{}, ServerConfig{}))
	c.cmd("EHLO x", "250-")
	c.startTLS()
	c.cmd("EHLO x", "250-")
	c.cmd("AUTH PLAIN "+plain(testLogin, "sbagliata"), "535 5.7.8 utente o password errati / ")
	c.cmd("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("capo@alfa.example\x00"+testLogin+"\x00"+testPassword)), "535 5.7.8 ")
	c.cmd("AUTH LOGIN", "334 ")
	c.cmd("", "334 ")
	c.cmd("", "421 4.7.0 ")
	c.closed()
}

// ready is a client under TLS that has not logged in.
func ready(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.cmd("EHLO x", "250-")
	c.startTLS()
	c.cmd("EHLO x", "250-")
	return c
}

// Failed logins count over all listeners of a node.
func TestSubmission_FailedLoginsOfOneClient(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	cfg := ServerConfig{Guesses: guesses.Alone(clk)}
	addr, other := startSubmission(t, &fakePoint{}, cfg), startSubmission(t, &fakePoint{}, cfg)
	for range 10 {
		// Neither a right password nor a directory out of order costs anything.
		c := ready(t, addr)
		c.cmd("AUTH PLAIN "+plain("rotto@alfa.example", "x"), "454 ")
		c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
		c = ready(t, addr)
		for range maxLogins - 1 {
			c.cmd("AUTH PLAIN "+plain(testLogin, "no"), "535 ")
		}
		addr, other = other, addr
	}
	for _, a := range []string{addr, other} {
		c := ready(t, a)
		c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "421 4.7.0 ")
		c.closed()
	}
	clk.Advance(time.Minute)
	ready(t, addr).cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
}

// ended knows one application password, which was revoked.
type ended struct{ fakeAuth }

func (ended) Authenticate(context.Context, string, string, storage.Protocol) (directory.Principal, error) {
	return directory.Principal{}, &fault.Error{Op: "fake", Kind: fault.Denied, Err: &directory.Refusal{Login: testLogin, Program: "Telefono"}}
}

// A program that goes on with a password that was revoked keeps nobody else of
// its address out.
func TestSubmission_RevokedPasswordIsNoGuess(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	cfg := ServerConfig{Guesses: guesses.Alone(clk)}
	addr := serve(t, NewSubmission(quiet(cfg), ended{}, &fakePoint{}), false)
	for range 10 {
		c := ready(t, addr)
		for range maxLogins - 1 {
			c.cmd("AUTH PLAIN "+plain(testLogin, "revoked"), "535 ")
		}
		c.cmd("AUTH PLAIN "+plain(testLogin, "revoked"), "421 ")
	}
	if !cfg.Guesses.Allowed(t.Context(), guesses.Try{Protocol: "smtp", From: netip.MustParsePrefix("127.0.0.1/32"), Login: testLogin}) {
		t.Error("the address is kept out")
	}
}

// crowd lets nobody in before all are there.
type crowd struct {
	fakeAuth
	missing sync.WaitGroup
}

func (c *crowd) Authenticate(ctx context.Context, login, password string, by storage.Protocol) (directory.Principal, error) {
	c.missing.Done()
	c.missing.Wait()
	return c.fakeAuth.Authenticate(ctx, login, password, by)
}

func TestSubmission_ManyLoginsAtOnce(t *testing.T) {
	const office = 64
	auth := &crowd{}
	auth.missing.Add(office)
	addr := serve(t, NewSubmission(quiet(ServerConfig{}), auth, &fakePoint{}), false)
	clients := make([]*client, office)
	for i := range clients {
		clients[i] = ready(t, addr)
	}
	for _, c := range clients {
		c.send("AUTH PLAIN " + plain(testLogin, testPassword) + "\r\n")
	}
	for _, c := range clients {
		c.expect("235 2.7.0 ")
	}
}

func TestSubmission_ImplicitTLS(t *testing.T) {
	p := &fakePoint{}
	addr := serve(t, NewSubmission(quiet(ServerConfig{}), fakeAuth{}, p), true)
	nc, err := tls.Dial("tcp", addr, clientTLS())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.expect("220 mx.alfa.example ")
	if got := c.cmd("EHLO x", "250-"); strings.Contains(got, "STARTTLS") || !strings.Contains(got, "AUTH PLAIN LOGIN") {
		t.Errorf("EHLO: %q", got)
	}
	c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
	c.envelope("rossi@alfa.example", "x@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd(".", "250 ")
	if got := p.messages(); len(got) != 1 || len(got[0].message) != 0 {
		t.Errorf("took %+v", got)
	}
	// Somebody who does not speak TLS harms nobody.
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(raw, "EHLO x\r\n")
	_, _ = io.Copy(io.Discard, raw)
	raw.Close()
	c.alive()
}

func TestSubmission_SenderRules(t *testing.T) {
	p := &fakePoint{mayFail: map[string]error{
		"altri@alfa.example":  fault.New("x", fault.Denied, nil),
		"chiusa@alfa.example": fault.Say("x", fault.Disabled, "servizio non disponibile: casella “sospesa” è chiusa / closed"),
		"tardi@alfa.example":  errors.New("disk"),
	}}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.cmd("MAIL FROM:<>", "550 5.7.1 ")
	c.cmd("MAIL FROM:<altri@alfa.example>", "550 5.7.1 ")
	c.cmd("MAIL FROM:<chiusa@alfa.example>", `550 5.2.1 servizio non disponibile: casella "sospesa" e' chiusa / closed`)
	c.cmd("MAIL FROM:<tardi@alfa.example>", "451 4.3.0 ")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "250 2.1.0 ")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "503 5.5.1 ") // a second MAIL
	c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "503 5.5.1 ")
	c.cmd("RCPT TO:<x@beta.example>", "250 ")
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "250 ")
	c.cmd("DATA", "503 5.5.1 ")
	if got := p.messages(); len(got) != 1 || got[0].sender != "rossi@alfa.example" {
		t.Errorf("took %+v", got)
	}
}

func TestSubmission_Syntax(t *testing.T) {
	addr := startSubmission(t, &fakePoint{}, ServerConfig{})
	for _, tt := range []struct{ line, want string }{
		{"MAIL", "501 5.1.7 "},
		{"MAIL FROM", "501 5.1.7 "},
		{"MAIL FROM:rossi@alfa.example", "501 5.1.7 "},
		{"MAIL FROM:<rossi>", "501 5.1.7 "},
		{"MAIL FROM:<a@b@c>", "501 5.1.7 "},
		{"MAIL FROM:<postmaster>", "501 5.1.7 "},
		{"MAIL FROM:<ro ssi@alfa.example>", "501 5.1.7 "},
		{"MAIL FROM:<rossi@alfa.example>SIZE=1", "501 5.1.7 "},
		{"MAIL FROM:<rossi@alfa.example> BODY=CUBE", "501 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> BODY=BINARYMIME", "555 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> SMTPUTF8", "555 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> RET=FULL", "555 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> X-FOO=1", "555 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> SIZE=abc", "501 5.5.4 "},
		{"MAIL FROM:<rossi@alfa.example> SIZE=104857601", "552 5.3.4 "},
		{"MAIL FROM:<rossi@alfa.example> SIZE=99999999999999999999999", "552 5.3.4 "},
		{"MAIL FROM:<rossi@alfa.example> size=104857600 body=8bitmime", "250 2.1.0 "},
		{"mail from: <rossi@alfa.example> AUTH=<>", "250 2.1.0 "},
		{"MAIL FROM:<@relay.example,@b.example:rossi@alfa.example>", "250 2.1.0 "},
		{"MAIL FROM:<ros\x00si@alfa.example>", "500 5.5.2 "},
		{"MAIL FROM:<citt\xc3\xa0@alfa.example>", "500 5.5.2 "},
		{"NOOP", "250 2.0.0 "},
		{"NOOP foo", "250 2.0.0 "},
		{"VRFY rossi", "252 2.5.0 "},
		{"HELP", "502 5.5.1 "},
		{"EXPN x", "502 5.5.1 "},
		{"RSET ", "250 2.0.0 "},
		{"", "500 5.5.2 "},
		{"X", "500 5.5.2 "},
		{"XCLIENT ADDR=1.2.3.4", "500 5.5.2 "},
		{"EHLO", "501 5.5.4 "},
		{"EHLO " + strings.Repeat("x", 300), "501 5.5.4 "},
		{"STARTTLSNOW", "501 5.5.4 "},
		{"DATA now", "501 5.5.4 "},
	} {
		c := submitter(t, addr)
		c.cmd(tt.line, tt.want)
		c.alive()
		c.Close()
	}
}

func TestSubmission_RecipientSyntax(t *testing.T) {
	p := &fakePoint{}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.cmd("MAIL FROM:<rossi@alfa.example>", "250 ")
	c.cmd("RCPT TO:<>", "501 5.1.3 ")
	c.cmd("RCPT TO:<nobody>", "501 5.1.3 ")
	c.cmd("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4 ")
	c.cmd("RCPT TO:<postmaster>", "250 ")
	c.cmd(`RCPT TO:<"mario \"il\" rossi"@beta.example>`, "250 ")
	c.cmd(`RCPT TO:<"a@b"@beta.example>`, "250 ")
	c.cmd(`RCPT TO:<"plain"@beta.example>`, "250 ")
	c.cmd("RCPT TO:<plain@BETA.example>", "250 ") // the same again
	c.cmd("RCPT TO:<x@[127.0.0.1]>", "250 ")
	c.cmd("RCPT TO:<x@[IPv6:::1]>", "250 ")
	c.cmd("RCPT TO:<x@[::1]>", "501 5.1.3 ")
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "250 ")
	want := []string{"postmaster@mx.alfa.example", `"mario \"il\" rossi"@beta.example`, `"a@b"@beta.example`, "plain@beta.example", "x@[127.0.0.1]", "x@[IPv6:::1]"}
	if got := p.messages()[0].recipients; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recipients %q", got)
	}
}

func TestS4_035_RecipientLimit(t *testing.T) {
	p := &fakePoint{}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.cmd("MAIL FROM:<rossi@alfa.example>", "250 ")
	var group strings.Builder
	for i := range DefaultMaxRecipients {
		fmt.Fprintf(&group, "RCPT TO:<r%04d@beta.example>\r\n", i)
	}
	go c.send(group.String())
	for range DefaultMaxRecipients {
		c.expect("250 2.1.5 ")
	}
	c.cmd("RCPT TO:<uno.di.troppo@beta.example>", "452 4.5.3 troppi destinatari")
	c.cmd("RCPT TO:<r0000@beta.example>", "250 2.1.5 ") // one it knows already
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "250 ")
	got := p.messages()
	if len(got) != 1 || len(got[0].recipients) != DefaultMaxRecipients {
		t.Fatalf("%d messages, %d recipients", len(got), len(got[0].recipients))
	}
	for i, r := range got[0].recipients {
		if r != fmt.Sprintf("r%04d@beta.example", i) {
			t.Fatalf("recipient %d is %s", i, r)
		}
	}
	c.envelope("rossi@alfa.example", "uno.di.troppo@beta.example") // and on it goes
}

func TestSubmission_PipelinedRepliesShareOneSegment(t *testing.T) {
	p := &fakePoint{}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.send("MAIL FROM:<rossi@alfa.example>\r\nRCPT TO:<a@beta.example>\r\nRCPT TO:<b@beta.example>\r\nDATA\r\n")
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Conn.Read(buf) // one TLS record
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); strings.Count(got, "\r\n") != 4 || !strings.HasPrefix(got, "250 2.1.0 ") || !strings.Contains(got, "\r\n354 ") {
		t.Errorf("first record: %q", got)
	}
	c.send("x\r\n.\r\nQUIT\r\n")
	c.expect("250 ")
	c.expect("221 ")
	c.closed()
}
