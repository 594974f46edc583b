// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
)

// hostileMessages are messages made to break a reader.
func hostileMessages() map[string]string {
	deep := func(n int, kind string) string {
		var b strings.Builder
		for i := range n {
			if kind == "multipart" {
				fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
			} else {
				b.WriteString("Content-Type: message/rfc822\r\n\r\n")
			}
		}
		b.WriteString("\r\nfondo\r\n")
		return b.String()
	}
	many := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 20000)
	return map[string]string{
		"empty multipart":          "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
		"closed at once":           "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
		"no boundary":              "Content-Type: multipart/mixed\r\n\r\nx\r\n",
		"empty boundary":           "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n",
		"empty nested":             "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/digest; boundary=c\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n--b--\r\n",
		"200 multiparts deep":      deep(200, "multipart"),
		"200 messages deep":        deep(200, "message"),
		"20,000 parts":             many,
		"encoded message":          "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n",
		"message/global":           "Content-Type: message/global\r\n\r\nSubject: x\r\n\r\ny\r\n",
		"huge header":              "Subject: " + strings.Repeat("x", 2<<20) + "\r\n\r\nx\r\n",
		"10,000 header lines":      strings.Repeat("X-Riga: valore\r\n", 10000) + "\r\nx\r\n",
		"10,000 addresses":         "To: " + strings.Repeat("a@b.example,\r\n ", 10000) + "c@d.example\r\n\r\nx\r\n",
		"header without end":       strings.Repeat("X: y\r\n", 100),
		"lines that are no fields": "questo non e' un campo\r\n: vuoto\r\n \tpiega\r\nFrom x\r\nSubject : x\r\n\r\nx\r\n",
		"broken addresses":         "From: \"senza fine <a@b\r\nTo: <<>>,,;;:(((\r\nCc: a@b@c, @, <@>, (x\r\nBcc: gruppo: a, b: c;;\r\n\r\nx\r\n",
		"quotes in a header":       "Subject: \"\\\" { {5}\r\nX: {3}\r\n\r\nx\r\n",
		"NUL and controls":         "Subject: a\x00b\x01\x1b\r\nFrom: \x00@\x00\r\nContent-Type: te\x00xt/pl\rain; x=\x00\r\n\r\nx\r\n",
		"8-bit header":             "Subject: \xff\xfe perch\xe9\r\nFrom: \xe8@\xe8\r\nContent-Type: text/plain; name=\"\xe8\"\r\n\r\nx\r\n",
		"broken content type":      "Content-Type: ;;;=\"\r\nContent-Disposition: =;a=\r\nContent-Language: ,,,\r\n\r\nx\r\n",
		"slash only":               "Content-Type: /\r\n\r\nx\r\n",
		"1,000 parameters":         "Content-Type: text/plain" + strings.Repeat("; a=b", 1000) + "\r\n\r\nx\r\n",
		"broken encoded words":     "Subject: =?utf-8?B?####?= =?x?Q?=ZZ?= =?utf-8?Q?" + strings.Repeat("=41", 5000) + "\r\n\r\nx\r\n",
		"broken base64":            "Content-Transfer-Encoding: base64\r\n\r\n====AAAA$$$$A\r\n",
		"broken quoted-printable":  "Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n==\r\n=ZZ=3\r\n=" + strings.Repeat(" ", 500) + "\r\n=",
		"unknown charset":          "Content-Type: text/plain; charset=x-nessuno\r\n\r\nx\r\n",
		"line ends only":           "\r\n\r\n\r\n",
		"one NUL":                  "\x00",
		"bare CR":                  "Subject: x\rContent-Type: multipart/mixed; boundary=b\r\r--b\r\rx\r",
	}
}

// No message, whatever it is, drops the connection or breaks the protocol.
func TestHostileMessages(t *testing.T) {
	f := newFixture(t)
	names := map[uint32]string{}
	for name, text := range hostileMessages() {
		names[f.deliver("INBOX", text)] = name
	}
	s := f.open("INBOX")
	c := f.login(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for uid, name := range names {
		_ = s.conn.SetDeadline(time.Now().Add(60 * time.Second))
		s.send("a UID FETCH %d (BODYSTRUCTURE BODY ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject To)] BODY.PEEK[HEADER.FIELDS.NOT (X)] BODY.PEEK[1.1.1.MIME] "+
			"BODY.PEEK[1.HEADER] BODY.PEEK[TEXT] BINARY.SIZE[1] BINARY.PEEK[1.1])\r\n", uid)
		result := s.skip("a")
		if !strings.HasPrefix(result, "OK") && !strings.Contains(result, "UNKNOWN-CTE") {
			t.Errorf("%s: %s", name, result)
		}
		s.ok("UID SEARCH UID %d OR TEXT nulla HEADER Subject nulla", uid)
		// A real client must be able to read it.
		if _, err := c.Fetch(imaplib.UIDSetNum(imaplib.UID(uid)), &imaplib.FetchOptions{
			Envelope: true, BodyStructure: &imaplib.FetchItemBodyStructure{Extended: true}, RFC822Size: true,
		}).Collect(); err != nil {
			t.Errorf("%s: client: %v", name, err)
			c = f.login(nil)
			if _, err := c.Select("INBOX", nil).Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// skip reads responses with their literals up to the tagged one.
func (s *script) skip(tag string) string {
	s.t.Helper()
	continued := false
	for {
		l := s.line()
		if rest, ok := strings.CutPrefix(l, tag+" "); ok && !continued {
			return rest
		}
		lit, _, ok := literalAt([]byte(l))
		if continued = ok; ok {
			if _, err := io.CopyN(io.Discard, s.r, lit.size); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// A client that pipelines a hundred large requests and never reads costs no
// memory but its buffers, and is cut.
func TestPipelinedFetches(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *timing) { l.tick, l.progress = 20*time.Millisecond, 500*time.Millisecond })
	for range 20 {
		f.deliver("INBOX", message("x")+strings.Repeat("riempitivo riempitivo\r\n", 2000))
	}
	s := f.open("INBOX")
	for range 1000 {
		if _, err := fmt.Fprint(s.conn, "a FETCH 1:* (BODY.PEEK[])\r\n"); err != nil {
			break
		}
	}
	other := f.open("INBOX")
	other.ok("FETCH 1:* FLAGS")
	deadline := time.Now().Add(20 * time.Second)
	for {
		n := f.server.conns.Len()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections", n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Shutdown says BYE to who waits and lets commands under way finish.
func TestShutdown(t *testing.T) {
	f := newFixture(t)
	idle, waiting, busy := f.open("INBOX"), f.open("INBOX"), f.open("INBOX")
	idle.send("a IDLE\r\n")
	idle.expect(`^\+ `)
	busy.send("a APPEND INBOX {5}\r\n")
	busy.expect(`^\+ `)
	plain, err := tls.Dial("tcp", f.tls.Addr().String(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	greeted := newScript(t, plain)
	greeted.line()
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(t.Context()) }()
	for _, s := range []*script{idle, waiting, greeted} {
		s.expect(`^\* BYE`)
		s.closed()
	}
	select {
	case err := <-done:
		t.Fatalf("done with a command under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	busy.send("abcde\r\n") // a command under way is finished
	if _, result := busy.until("a"); !strings.HasPrefix(result, "OK [APPENDUID") {
		t.Error(result)
	}
	busy.expect(`^\* BYE`)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", f.tls.Addr().String(), f.client); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownCuts(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	s.send("a APPEND INBOX {5}\r\n")
	s.expect(`^\+ `)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	s.closed()
}

// TestShutdown_HandshakeThatNeverComes: who connects and says nothing is not
// waited for, with implicit TLS and after STARTTLS.
func TestShutdown_HandshakeThatNeverComes(t *testing.T) {
	f := newFixture(t)
	silent, err := net.Dial("tcp", f.tls.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	plain, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t, plain)
	s.line()
	s.send("a STARTTLS\r\n")
	s.expect(`^a OK`)
	shaking := func() (n int) {
		f.server.conns.Each(func(c *conn) {
			if c.shaking.Load() {
				n++
			}
		})
		return n
	}
	for end := time.Now().Add(5 * time.Second); shaking() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d handshakes under way", shaking())
		}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil || time.Since(start) > time.Second {
		t.Errorf("shutdown took %v: %v", time.Since(start), err)
	}
}
