// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopAfter sends SIGTERM and returns how long the process took to end, with
// exit code 0.
func stopAfter(t *testing.T, p *proc, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(2 * limit):
		t.Fatalf("still running %v after SIGTERM\n%s", time.Since(start), p.out.tail())
	}
	took := time.Since(start)
	if p.err != nil {
		t.Errorf("after SIGTERM: %v\n%s", p.err, p.out.tail())
	}
	if took > limit {
		t.Errorf("ended %v after SIGTERM, at most %v", took, limit)
	}
	return took
}

// TestStop: sessions that wait for their clients do not hold up a stop, and one
// that is stuck holds it up for ten seconds at most.
func TestStop(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	t.Run("idle", func(t *testing.T) {
		p := startServe(t, d, "alfa.toml")
		goodbyes := idleSessions(t, d)
		t.Logf("ended in %v", stopAfter(t, p, 2*time.Second))
		for what, said := range goodbyes {
			if err := said(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("stuck", func(t *testing.T) {
		p := startServe(t, d, "alfa.toml")
		a := d.standard(t, "ALFA", 1)
		s := d.stuckInData(t, a)
		in := d.openInbox(t, a)
		message := in.client.Append("INBOX", 1000, nil)
		if _, err := message.Write([]byte("Subject: a met\r\n")); err != nil {
			t.Fatal(err)
		}
		t.Logf("ended in %v", stopAfter(t, p, 10*time.Second))
		if r := s.read(); r.code != 421 {
			t.Errorf("a message was cut off with %v", r)
		}
	})
	t.Run("in the middle of a restart", func(t *testing.T) {
		p := startServe(t, d, "alfa.toml")
		d.stuckInData(t, d.standard(t, "ALFA", 1))
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		t.Logf("ended in %v", stopAfter(t, p, 10*time.Second))
		if n := strings.Count(p.out.String(), "alfa pronto"); n != 1 {
			t.Errorf("%d programs were started: %s", n, p.out.tail())
		}
	})
	verifyClean(t, filepath.Join(d.dir, "alfa.toml"))
}

// stuckInData opens a submission session that is inside a message.
func (d *demo) stuckInData(t *testing.T, a account) *smtpConn {
	t.Helper()
	s := d.submission(t, a)
	if r := s.envelope(a.address, []string{a.address}); !r.positive() {
		t.Fatal(r)
	}
	if r := s.cmd("DATA"); r.code != 354 {
		t.Fatal(r)
	}
	if _, err := s.Write([]byte("Subject: a met\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	return s
}

// idleSessions opens a session of each kind that waits for its client. The
// functions it returns say what went wrong with the server's goodbye.
func idleSessions(t *testing.T, d *demo) map[string]func() error {
	t.Helper()
	dial := func(key string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", d.get(t, key))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		return c, bufio.NewReader(c)
	}
	smtp := func(s *smtpConn) func() error {
		return func() error {
			if r := s.read(); r.code != 421 {
				return fmt.Errorf("%v instead of 421", r)
			}
			return nil
		}
	}
	a := d.standard(t, "ALFA", 1)
	login := d.submission(t, a)
	envelope := d.mx(t, "ALFA")
	if r := envelope.envelope("mittente@altrove.example", []string{a.address}); r.code == 0 {
		t.Fatal(r)
	}
	dial("ALFA_SMTPS") // says nothing
	dial("ALFA_IMAPS") // says nothing

	plain, plainLines := dial("ALFA_IMAP")
	say(t, plain, plainLines, "a NOOP", "a OK")
	raw, _ := dial("ALFA_IMAPS")
	host, _ := d.hostPort(t, "ALFA_IMAPS")
	idle := tls.Client(raw, d.tls(t, host))
	idleLines := bufio.NewReader(idle)
	say(t, idle, idleLines, fmt.Sprintf("a LOGIN %s %s", a.address, d.password(t)), "a OK")
	say(t, idle, idleLines, "b SELECT INBOX", "b OK")
	say(t, idle, idleLines, "c IDLE", "+ ")
	dial("ALFA_POP3S") // says nothing
	rawDrop, _ := dial("ALFA_POP3S")
	drop := tls.Client(rawDrop, d.tls(t, host))
	dropLines := bufio.NewReader(drop)
	say(t, drop, dropLines, "USER "+a.address, "+OK pecd")
	say(t, drop, dropLines, "PASS "+d.password(t), "+OK ")
	say(t, drop, dropLines, "STAT", "+OK ")
	resp, err := http.Get("http://" + d.get(t, "ALFA_HTTP") + "/healthz") // the connection is kept
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return map[string]func() error{
		"submission":    smtp(login),
		"mx":            smtp(envelope),
		"imap":          bye(plainLines),
		"imaps in IDLE": bye(idleLines),
		"pop3s": func() error { // RFC 1939 §3: without a word
			if rest, err := io.ReadAll(dropLines); err != nil || len(rest) > 0 {
				return fmt.Errorf("%q, %v", rest, err)
			}
			return nil
		},
	}
}

// say sends a line and reads until one begins with answer.
func say(t *testing.T, c net.Conn, r *bufio.Reader, command, answer string) {
	t.Helper()
	if _, err := fmt.Fprint(c, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if strings.HasPrefix(line, answer) {
			return
		}
	}
}

// bye wants an untagged BYE before the end of the connection.
func bye(r *bufio.Reader) func() error {
	return func() error {
		for {
			line, err := r.ReadString('\n')
			if err != nil || strings.HasPrefix(line, "* BYE ") {
				return err
			}
		}
	}
}
