// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Every way to end a message but the right one, and what is smuggled behind it.
func TestSmuggling_NoFalseEndOfMessage(t *testing.T) {
	ends := []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\r\r\n.\r\n", "\r\n\n.\r\n",
		"\n\n.\n\n", "\r\n.\n.\r", "\n.\r", "\r.\n", "\r\n.\x00\r\n\n", "\x00\n.\n", "\r\n.\r.\r\n", "\n\r.\n\r", "\r\r.\r\r", "\r\n\x00.\r\n\r",
	}
	for _, where := range []string{"submission", "MX"} {
		for _, end := range ends {
			t.Run(fmt.Sprintf("%s/%q", where, end), func(t *testing.T) {
				p := &fakePoint{}
				var c *client
				if where == "MX" {
					c = exchange(t, startMX(t, p, ServerConfig{}))
				} else {
					c = submitter(t, startSubmission(t, p, ServerConfig{}))
				}
				c.envelope("rossi@alfa.example", "x@beta.example")
				c.cmd("DATA", "354 ")
				c.send("Subject: x\r\n\r\nhello" + end + "MAIL FROM:<evil@alfa.example>\r\nRCPT TO:<victim@beta.example>\r\nDATA\r\nSubject: evil\r\n\r\n\r\n.\r\n")
				if end == "\r\r\n.\r\n" {
					// This one does end the message: bare CR, CRLF, dot. What
					// comes behind is the client's own next transaction.
					c.expect("550 5.6.0 ")
					c.expect("250 2.1.0 ")
					c.expect("250 2.1.5 ")
					c.expect("554 5.5.1 ") // data before the 354
					c.closed()
				} else {
					c.expect("550 5.6.0 il messaggio contiene CR o LF isolati / ")
					c.alive()
				}
				if got := p.messages(); len(got) != 0 {
					t.Errorf("kept %d messages: %q", len(got), got[0].message)
				}
			})
		}
	}
}

func TestSmuggling_BareLineEndInCommand(t *testing.T) {
	addr := startMX(t, &fakePoint{}, ServerConfig{})
	for _, line := range []string{"NOOP\n", "NOOP\r\r\n", "NO\rOP\r\n", "MAIL FROM:<a@b.example>\rRCPT TO:<c@d.example>\r\n", "\n", "\r\r\n"} {
		c := exchange(t, addr)
		c.send(line)
		c.expect("521 5.5.2 ")
		c.closed()
	}
	c := exchange(t, addr)
	c.send("NOOP\r\nNOOP\nNOOP\r\n")
	c.expect("250 ")
	c.expect("521 ")
	c.closed()
}

func TestSmuggling_BareLineEndInAuth(t *testing.T) {
	c := dial(t, startSubmission(t, &fakePoint{}, ServerConfig{}))
	c.cmd("EHLO x", "250-")
	c.startTLS()
	c.cmd("EHLO x", "250-")
	c.cmd("AUTH LOGIN", "334 ")
	c.send("cm9zc2k=\n")
	c.expect("521 ")
	c.closed()
}

func TestSmuggling_CommandLineTooLong(t *testing.T) {
	addr := startMX(t, &fakePoint{}, ServerConfig{})
	c := exchange(t, addr)
	c.cmd("NOOP "+strings.Repeat("x", maxCommandLine-7), "250 ")
	c.send("NOOP " + strings.Repeat("x", maxCommandLine-6) + "\r\n")
	c.expect("500 5.5.2 ")
	c.closed()
	c = exchange(t, addr)
	c.send(strings.Repeat("x", maxCommandLine)) // no end at all
	c.expect("500 5.5.2 ")
	c.closed()
}

func TestSTARTTLS_NothingBeforeTheHandshakeCounts(t *testing.T) {
	p := &fakePoint{}
	addr := startSubmission(t, p, ServerConfig{})
	c := dial(t, addr)
	c.cmd("EHLO x", "250-")
	c.send("STARTTLS\r\nAUTH PLAIN " + plain(testLogin, testPassword) + "\r\n")
	c.expect("554 5.5.1 ")
	c.closed()

	// State from before the handshake is gone after it.
	mx := exchange(t, startMX(t, p, ServerConfig{}))
	mx.envelope("evil@alfa.example", "x@beta.example")
	mx.startTLS()
	mx.cmd("DATA", "503 5.5.1 ")
	mx.cmd("RCPT TO:<x@beta.example>", "503 5.5.1 ")
	mx.cmd("MAIL FROM:<x@alfa.example>", "503 5.5.1 ")
	mx.cmd("EHLO x", "250-")
	mx.envelope("x@alfa.example", "y@beta.example")
	mx.cmd("DATA", "354 ")
	mx.cmd("x\r\n.", "250 ")
	if got := p.messages(); len(got) != 1 || len(got[0].recipients) != 1 || got[0].recipients[0] != "y@beta.example" {
		t.Errorf("took %+v", got)
	}

	// A handshake that is none ends the connection.
	c = dial(t, addr)
	c.cmd("STARTTLS", "220 ")
	c.send("AUTH PLAIN " + plain(testLogin, testPassword) + "\r\nMAIL FROM:<rossi@alfa.example>\r\n")
	if got := c.replyBytes(); bytes.Contains(got, []byte("235")) || bytes.Contains(got, []byte("250")) {
		t.Errorf("cleartext was answered after STARTTLS: %q", got)
	}
}

func TestSmuggling_ContentNeverRunsAsCommands(t *testing.T) {
	p := &fakePoint{}
	addr := startMX(t, p, ServerConfig{})
	// A sender that does not wait for the 354 of a DATA that is refused.
	c := exchange(t, addr)
	c.send("DATA\r\nMAIL FROM:<evil@alfa.example>\r\nRCPT TO:<x@beta.example>\r\n")
	c.expect("554 5.5.1 ")
	c.closed()
	// One that uses BDAT although it is not offered.
	c = exchange(t, addr)
	c.envelope("a@alfa.example", "x@beta.example")
	c.send("BDAT 30 LAST\r\nMAIL FROM:<evil@alfa.example>\r\n")
	c.expect("502 5.5.1 ")
	c.closed()
	// HTTP.
	c = dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nEHLO x\r\nMAIL FROM:<evil@alfa.example>\r\nRCPT TO:<x@beta.example>\r\nDATA\r\n")
	c.expect("554 5.5.1 ")
	c.closed()
	if len(p.messages()) != 0 {
		t.Error("kept")
	}
}

func (c *client) replyBytes() []byte {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b bytes.Buffer
	_, _ = b.ReadFrom(c.br)
	return b.Bytes()
}

// reference is the slow and obvious reading of RFC 5321 §4.1.1.4 and §4.5.2.
func reference(wire []byte) (message []byte, tainted bool, used int, ended bool) {
	var line []byte
	for i := 0; i < len(wire); i++ {
		c := wire[i]
		switch {
		case c == '\r' && i+1 < len(wire) && wire[i+1] == '\n':
			i++
			if string(line) == "." {
				return message, tainted, i + 1, true
			}
			message = append(append(message, bytes.TrimPrefix(line, []byte("."))...), "\r\n"...)
			line = nil
			continue
		case c == '\r' || c == '\n':
			tainted = true
			c = '?'
		}
		line = append(line, c)
	}
	return message, tainted, len(wire), false
}

// go-smtp hangs on or corrupts a fifth of such bodies without the filter.
func TestSmuggling_RandomBodiesThroughTheLibrary(t *testing.T) {
	p := &fakePoint{}
	addr := startMX(t, p, ServerConfig{})
	rng := rand.New(rand.NewPCG(1, 2))
	c := exchange(t, addr)
	for i := range 3000 {
		body := make([]byte, rng.IntN(12))
		for k := range body {
			body[k] = "\r\n.a"[rng.IntN(4)]
		}
		wire := append(bytes.Clone(body), "\r\n.\r\n"...)
		message, tainted, used, ended := reference(wire)
		if !ended || used != len(wire) {
			continue // the body itself ends the message
		}
		c.send("MAIL FROM:<a@alfa.example>\r\nRCPT TO:<x@beta.example>\r\nDATA\r\n")
		c.expect("250 ")
		c.expect("250 ")
		c.expect("354 ")
		before := len(p.messages())
		// Now and then in two segments.
		if cut := rng.IntN(len(wire)); i%5 == 0 && cut > 0 {
			c.send(string(wire[:cut]))
			time.Sleep(time.Millisecond)
			c.send(string(wire[cut:]))
		} else {
			c.send(string(wire))
		}
		got := c.reply()
		after := p.messages()
		switch {
		case tainted:
			if !strings.HasPrefix(got, "550 5.6.0 ") || len(after) != before {
				t.Fatalf("%q: %q, %d kept", wire, got, len(after)-before)
			}
		case !strings.HasPrefix(got, "250 ") || len(after) != before+1:
			t.Fatalf("%q: %q, %d kept", wire, got, len(after)-before)
		case !bytes.Equal(after[before].message, message):
			t.Fatalf("%q became %q, want %q", wire, after[before].message, message)
		}
	}
}

func FuzzDataScan(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\nQUIT\r\n", "\r\r\n.\r\n", "\n.\n", "..\r\n.\r\n", "\r\n.\r", ".\r.\r\n", "\r"} {
		f.Add([]byte(s), uint8(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, chunk, room uint8) {
		_, tainted, used, ended := reference(wire)
		var s dataScan
		var out []byte
		var in []byte // unread, as the connection's buffer has it
		dst := make([]byte, 2+int(room))
		rest, read, end := wire, 0, false
		for !end {
			n, k, e := s.feed(dst, in)
			out, in, read, end = append(out, dst[:n]...), in[k:], read+k, e
			if n > 0 || end {
				continue
			}
			if len(rest) == 0 {
				break
			}
			m := min(len(rest), 1+int(chunk))
			in, rest = append(bytes.Clone(in), rest[:m]...), rest[m:]
		}
		if end != ended {
			t.Fatalf("%q: end %v, want %v", wire, end, ended)
		}
		if ended && (read != used || s.tainted != tainted) {
			t.Fatalf("%q: read %d tainted %v, want %d %v", wire, read, s.tainted, used, tainted)
		}
		if len(out) != read {
			t.Fatalf("%q: %d octets in, %d out", wire, read, len(out))
		}
		stripped := bytes.ReplaceAll(out, []byte("\r\n"), nil)
		if bytes.ContainsAny(stripped, "\r\n") {
			t.Fatalf("%q: bare line end in %q", wire, out)
		}
	})
}
