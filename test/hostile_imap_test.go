// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHostileIMAP sends the real daemon what no mail client would, and looks at
// another client meanwhile: that one is answered within half a second, the
// daemon's memory grows by less than 100 MB, and every complete command gets a
// clear BAD or NO, or the connection ends with BYE.
func TestHostileIMAP(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	alfa := startServe(t, d, "alfa.toml")
	a := d.standard(t, "ALFA", 31)
	in := d.openInbox(t, a)
	text := "Subject: x\r\n\r\n" + strings.Repeat("riga di testo\r\n", 25000)
	for range 10 {
		cmd := in.client.Append("INBOX", int64(len(text)), nil)
		_, _ = cmd.Write([]byte(text))
		_ = cmd.Close()
		if _, err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	before := residentMemory(t, alfa.cmd.Process.Pid)

	var times []time.Duration
	var done atomic.Bool
	var wg sync.WaitGroup
	other := d.openInbox(t, d.standard(t, "ALFA", 32))
	wg.Go(func() {
		for !done.Load() {
			began := time.Now()
			if err := other.client.Noop().Wait(); err != nil {
				t.Errorf("the other client: %v", err)
				return
			}
			times = append(times, time.Since(began))
			time.Sleep(5 * time.Millisecond)
		}
	})
	open := func(t *testing.T) *hostile {
		host, _ := d.hostPort(t, "ALFA_IMAPS")
		conn, err := tls.Dial("tcp", d.get(t, "ALFA_IMAPS"), d.tls(t, host))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(minute))
		h := &hostile{t, conn, bufio.NewReader(conn)}
		h.send("l LOGIN %s %s\r\ns SELECT INBOX\r\n", a.address, d.password(t))
		h.until("s OK")
		return h
	}
	hostileCases(t, open)
	done.Store(true)
	wg.Wait()
	grown := residentMemory(t, alfa.cmd.Process.Pid) - before
	t.Logf("resident memory grew by %.1f MB; another client: %d NOOPs, p50 %v, p99 %v", float64(grown)/(1<<20), len(times), quantile(times, 0.5), quantile(times, 0.99))
	if grown > 100<<20 {
		t.Errorf("the daemon's memory grew by %d octets", grown)
	}
	if p99 := quantile(times, 0.99); p99 > 500*time.Millisecond {
		t.Errorf("another client waited %v (p99)", p99)
	}
}

func hostileCases(t *testing.T, open func(*testing.T) *hostile) {
	t.Run("a thousand FETCH 1:* at once, read slowly", func(t *testing.T) {
		h := open(t)
		go func() {
			for i := range 1000 {
				if _, err := fmt.Fprintf(h.conn, "f%d FETCH 1:* (FLAGS BODY.PEEK[])\r\n", i); err != nil {
					return
				}
			}
		}()
		for range 20 { // of 3.5 GB
			if _, err := io.CopyN(io.Discard, h.r, 4<<10); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("literals of a gigabyte", func(t *testing.T) {
		h := open(t)
		for _, c := range []string{"APPEND INBOX {1073741824}", "LOGIN {1073741824}", "SELECT {1073741824}", "SEARCH TEXT {1073741824}", "APPEND INBOX {99999999999999999999}",
			"FETCH 1 BODY[HEADER.FIELDS ({1073741824}", "LIST \"\" {1073741824}", "STORE 1 FLAGS {1073741824}"} {
			h.refused(c)
		}
		// The octets come later: the answer would be lost with the connection,
		// which ends while they are on their way.
		h.send("x APPEND INBOX {1073741824+}\r\n")
		if l := h.line(); !regexp.MustCompile(`^(\* BYE|x (BAD|NO))`).MatchString(l) {
			t.Errorf("1 GB without waiting: %q", l)
		}
	})
	t.Run("names", func(t *testing.T) {
		h := open(t)
		long := strings.Repeat("n", 10000)
		for _, c := range []string{"CREATE " + long, "SELECT " + long, "RENAME INBOX " + long, "STATUS " + long + " (MESSAGES)", "CREATE " + strings.Repeat("a/", 5000) + "b",
			"CREATE &", "CREATE &AAA", "CREATE &AGEA-", "CREATE &2AA-", "CREATE &3AA-", "CREATE &AOA", "CREATE &//8-", "CREATE a&AAA-b", "SELECT &Jjo-&Jjo-x&", "CREATE \"a\x01b\"", "CREATE /", "CREATE a//b"} {
			h.refused(c)
		}
		h.send("x LIST \"\" \"%s\"\r\n", strings.Repeat("*%", 3000))
		h.until("x ")
	})
	t.Run("lists", func(t *testing.T) {
		h := open(t)
		for _, c := range []string{"FETCH 1 " + strings.Repeat("(", 20000), "SEARCH " + strings.Repeat("(", 20000) + "ALL", "SEARCH " + strings.Repeat("NOT ", 20000) + "SEEN", "FETCH 1 (FLAGS", "FETCH 1 FLAGS)",
			"STORE 1 FLAGS (", "STORE 1 FLAGS ())", "LIST (((", "SORT (((DATE) UTF-8 ALL", "SEARCH OR", "FETCH 1 BODY[" + strings.Repeat("1.", 10000) + "1]", "FETCH 1 BODY[HEADER.FIELDS (", "THREAD (", "SELECT INBOX (QRESYNC (((",
			"FETCH 0 FLAGS", "FETCH 4294967296 FLAGS", "FETCH -1 FLAGS", "FETCH 1:2:3 FLAGS", "FETCH , FLAGS", "ENABLE (", "ID (" + strings.Repeat("NIL ", 5000), strings.Repeat("x", 60000)} {
			h.refused(c)
		}
	})
	t.Run("sets", func(t *testing.T) {
		h := open(t)
		h.send("x UID FETCH %s1 FLAGS\r\n", strings.Repeat("1:*,", 10000))
		h.until("x ")
		h.send("x UID SEARCH %s\r\n", strings.Repeat("OR TEXT a ", 500)+"TEXT b")
		h.until("x ")
	})
}

// hostile is a connection that says what it likes.
type hostile struct {
	t    *testing.T
	conn *tls.Conn
	r    *bufio.Reader
}

func (h *hostile) send(format string, args ...any) {
	h.t.Helper()
	if _, err := fmt.Fprintf(h.conn, format, args...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hostile) line() string {
	h.t.Helper()
	l, err := h.r.ReadString('\n')
	if err != nil {
		h.t.Fatalf("reading: %v (%.100q)", err, l)
	}
	return strings.TrimRight(l, "\r\n")
}

func (h *hostile) until(prefix string) string {
	h.t.Helper()
	for {
		if l := h.line(); strings.HasPrefix(l, prefix) {
			return l
		}
	}
}

// refused sends a command that must be answered BAD or NO, and a NOOP that must
// be answered then.
func (h *hostile) refused(command string) {
	h.t.Helper()
	h.send("x %s\r\n", command)
	for {
		switch l := h.line(); {
		case strings.HasPrefix(l, "x BAD") || strings.HasPrefix(l, "x NO"):
		case strings.HasPrefix(l, "* BAD") || strings.HasPrefix(l, "* ") && !strings.HasPrefix(l, "* BYE"):
			continue
		default:
			h.t.Errorf("%.80q: %q", command, l)
		}
		break
	}
	h.send("n NOOP\r\n")
	if l := h.until("n "); !strings.HasPrefix(l, "n OK") {
		h.t.Errorf("NOOP after %.80q: %q", command, l)
	}
}
