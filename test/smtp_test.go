// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// smtpConn speaks SMTP without any opinion on what is sent: it is how the tests
// put bytes on the wire that no mail client would.
type smtpConn struct {
	net.Conn
	r *bufio.Reader
}

// reply is one SMTP answer; code 0 means that the connection ended instead.
type reply struct {
	code  int
	lines []string
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.code, strings.Join(r.lines, " / ")) }

// enhanced returns the enhanced status code (RFC 3463) of the first line.
func (r reply) enhanced() string {
	if len(r.lines) == 0 {
		return ""
	}
	word, _, _ := strings.Cut(r.lines[0], " ")
	if strings.Count(word, ".") != 2 {
		return ""
	}
	return word
}

func (r reply) positive() bool  { return r.code >= 200 && r.code < 400 }
func (r reply) permanent() bool { return r.code >= 500 && r.code < 600 }

// dialSMTP connects and reads the greeting.
func dialSMTP(addr string) (*smtpConn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return greeted(c)
}

func greeted(c net.Conn) (*smtpConn, error) {
	s := &smtpConn{Conn: c, r: bufio.NewReader(c)}
	if r := s.read(); r.code != 220 {
		c.Close()
		return nil, fmt.Errorf("greeting: %v", r)
	}
	return s, nil
}

func (s *smtpConn) read() reply {
	var r reply
	_ = s.SetReadDeadline(time.Now().Add(3 * time.Minute))
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return reply{0, append(r.lines, err.Error())}
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return reply{0, append(r.lines, "not an SMTP reply: "+line)}
		}
		code, err := strconv.Atoi(line[:3])
		if err != nil {
			return reply{0, append(r.lines, "not an SMTP reply: "+line)}
		}
		r.code = code
		r.lines = append(r.lines, strings.TrimPrefix(line[3:][min(1, len(line)-3):], " "))
		if len(line) == 3 || line[3] != '-' {
			return r
		}
	}
}

// cmd sends one command line and returns its answer.
func (s *smtpConn) cmd(format string, args ...any) reply {
	_ = s.SetWriteDeadline(time.Now().Add(3 * time.Minute))
	if _, err := fmt.Fprintf(s, format+"\r\n", args...); err != nil {
		return reply{0, []string{err.Error()}}
	}
	return s.read()
}

// startTLS upgrades the connection and greets again.
func (s *smtpConn) startTLS(cfg *tls.Config) error {
	if r := s.cmd("EHLO client.example"); r.code != 250 {
		return fmt.Errorf("EHLO: %v", r)
	}
	if r := s.cmd("STARTTLS"); r.code != 220 {
		return fmt.Errorf("STARTTLS: %v", r)
	}
	c := tls.Client(s.Conn, cfg)
	if err := c.Handshake(); err != nil {
		return err
	}
	s.Conn, s.r = c, bufio.NewReader(c)
	if r := s.cmd("EHLO client.example"); r.code != 250 {
		return fmt.Errorf("EHLO under TLS: %v", r)
	}
	return nil
}

func (s *smtpConn) authPlain(login, password string) reply {
	return s.cmd("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password)))
}

// envelope sends MAIL and RCPT and returns the first answer that is not 2xx.
func (s *smtpConn) envelope(from string, to []string) reply {
	r := s.cmd("MAIL FROM:<%s>", from)
	for _, rcpt := range to {
		if !r.positive() {
			return r
		}
		r = s.cmd("RCPT TO:<%s>", rcpt)
	}
	return r
}

// data sends DATA and the message, dot-stuffed, and returns the final answer.
func (s *smtpConn) data(message io.Reader) reply {
	if r := s.cmd("DATA"); r.code != 354 {
		return r
	}
	// The answer may come before the message is out: the server may refuse it.
	w := bufio.NewWriterSize(rolling{s.Conn}, 64<<10)
	in := bufio.NewReaderSize(message, 64<<10)
	start := true
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if start && line[0] == '.' {
				_ = w.WriteByte('.')
			}
			if _, werr := w.Write(line); werr != nil {
				return s.read()
			}
			start = line[len(line)-1] == '\n'
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return reply{0, []string{err.Error()}}
		}
	}
	if !start {
		_, _ = w.WriteString("\r\n")
	}
	_, _ = w.WriteString(".\r\n")
	_ = w.Flush()
	return s.read()
}

// rawData sends DATA and exactly these bytes, which must hold the final dot.
func (s *smtpConn) rawData(wire []byte) reply {
	if r := s.cmd("DATA"); r.code != 354 {
		return r
	}
	_, _ = rolling{s.Conn}.Write(wire)
	return s.read()
}

// rolling extends the write deadline with every write.
type rolling struct{ net.Conn }

func (c rolling) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
	return c.Conn.Write(p)
}

// submission opens an authenticated submission session of a mailbox.
func (d *demo) submission(t testing.TB, a account) *smtpConn {
	t.Helper()
	s, err := d.trySubmission(t, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (d *demo) trySubmission(t testing.TB, a account) (*smtpConn, error) {
	host, _ := d.hostPort(t, a.provider+"_SUBMISSION")
	cfg, addr, password := d.tls(t, host), d.get(t, a.provider+"_SUBMISSION"), d.password(t)
	return openSubmission(addr, cfg, a.address, password)
}

// openSubmission dials, upgrades to TLS and authenticates. It may be called
// from any goroutine.
func openSubmission(addr string, cfg *tls.Config, login, password string) (*smtpConn, error) {
	s, err := dialSMTP(addr)
	if err != nil {
		return nil, err
	}
	if err := s.startTLS(cfg); err != nil {
		s.Close()
		return nil, err
	}
	if r := s.authPlain(login, password); r.code != 235 {
		s.Close()
		return nil, fmt.Errorf("AUTH %s: %v", login, r)
	}
	return s, nil
}

// mx opens a cleartext session with a provider's incoming point.
func (d *demo) mx(t testing.TB, provider string) *smtpConn {
	t.Helper()
	s, err := dialSMTP(d.get(t, provider+"_MX"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if r := s.cmd("EHLO mail.example"); r.code != 250 {
		t.Fatalf("EHLO: %v", r)
	}
	return s
}

// submit sends a message as a and wants 250.
func (d *demo) submit(t testing.TB, a account, to []string, message []byte) {
	t.Helper()
	s := d.submission(t, a)
	defer s.Close()
	if r := s.envelope(a.address, to); r.code != 250 && r.code != 251 {
		t.Fatalf("envelope %s -> %v: %v", a.address, to, r)
	}
	if r := s.data(bytes.NewReader(message)); r.code != 250 {
		t.Fatalf("DATA: %v", r)
	}
}
