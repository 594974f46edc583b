// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// script is a raw connection.
type script struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	n    int
}

func newScript(t testing.TB, conn net.Conn) *script {
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * time.Minute))
	return &script{t: t, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// script returns a raw TLS connection after the greeting.
func (f *fixture) script() *script {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.tls.Addr().String(), f.client)
	if err != nil {
		f.t.Fatal(err)
	}
	s := newScript(f.t, conn)
	s.expect(`^\* OK \[CAPABILITY .*IMAP4rev1`)
	return s
}

// open returns a raw connection that is logged in and has folder selected, ""
// for none.
func (f *fixture) open(folder string) *script {
	f.t.Helper()
	s := f.script()
	s.ok("LOGIN %s %q", testUser, testPassword)
	if folder != "" {
		s.ok("SELECT %q", folder)
	}
	return s
}

func (s *script) send(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.conn, format, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) line() string {
	s.t.Helper()
	l, err := s.r.ReadString('\n')
	if err != nil {
		s.t.Fatalf("reading: %v (%q)", err, l)
	}
	return strings.TrimRight(l, "\r\n")
}

func (s *script) expect(pattern string) string {
	s.t.Helper()
	l := s.line()
	if !regexp.MustCompile(pattern).MatchString(l) {
		s.t.Fatalf("got %q, want %s", l, pattern)
	}
	return l
}

// command sends a tagged command and returns the untagged lines and the tagged
// one without its tag.
func (s *script) command(format string, args ...any) (untagged []string, result string) {
	s.t.Helper()
	s.n++
	tag := fmt.Sprintf("c%d", s.n)
	s.send(tag+" "+format+"\r\n", args...)
	return s.until(tag)
}

func (s *script) until(tag string) (untagged []string, result string) {
	s.t.Helper()
	for {
		l := s.line()
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, l)
	}
}

// ok sends a command that must succeed.
func (s *script) ok(format string, args ...any) []string {
	s.t.Helper()
	untagged, result := s.command(format, args...)
	if !strings.HasPrefix(result, "OK") {
		s.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), result)
	}
	return untagged
}

// fails sends a command that must be answered by prefix.
func (s *script) fails(prefix, format string, args ...any) {
	s.t.Helper()
	if _, result := s.command(format, args...); !strings.HasPrefix(result, prefix) {
		s.t.Fatalf("%s: got %q, want %q", fmt.Sprintf(format, args...), result, prefix)
	}
}

// closed checks that nothing but a BYE comes before the end.
func (s *script) closed() {
	s.t.Helper()
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasPrefix(l, "* BYE") {
			s.t.Fatalf("got %q, want the connection closed", l)
		}
	}
}

// literal sends a FETCH of one item and returns the octets of its literal.
func (s *script) literal(format string, args ...any) []byte {
	s.t.Helper()
	s.n++
	tag := fmt.Sprintf("c%d", s.n)
	s.send(tag+" "+format+"\r\n", args...)
	l := s.line()
	m := regexp.MustCompile(`\{(\d+)\}$`).FindStringSubmatch(l)
	if m == nil {
		s.t.Fatalf("no literal: %q", l)
	}
	var n int
	fmt.Sscan(m[1], &n)
	data := make([]byte, n)
	if _, err := io.ReadFull(s.r, data); err != nil {
		s.t.Fatal(err)
	}
	if _, result := s.until(tag); !strings.HasPrefix(result, "OK") {
		s.t.Fatal(result)
	}
	return data
}
