// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/storage"
	"pecd/summary"
)

// The figures of a mailbox, over TLS to a client of the same process that counts
// lines and nothing else:
//
//	go test ./imap -run - -bench Mailbox -benchtime 5x

// receipt is a delivery receipt of some 5 kB, as the store gets it.
func receipt(i int) []byte {
	lines := func(s string, n int) string { return strings.Repeat(s+"\r\n", n) }
	return fmt.Appendf(nil, "Return-Path: <>\r\nX-Ricevuta: avvenuta-consegna\r\nDate: Wed, 3 Jun 2026 12:15:05 +0200\r\n"+
		"From: posta-certificata@alfa.example\r\nTo: anna%[1]d@alfa.example\r\nSubject: CONSEGNA: pratica numero %[1]d\r\nX-TipoRicevuta: completa\r\n"+
		"Message-ID: <opec2941.20260603121505.%08[1]d.7.3.1@alfa.example>\r\nX-Riferimento-Message-ID: <%[1]d@alfa.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=\"s%[1]d\"\r\n\r\n"+
		"--s%[1]d\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=UTF-8\r\n"+
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n%[2]s--b\r\nContent-Type: application/xml; name=\"daticert.xml\"\r\n"+
		"Content-Disposition: inline; filename=\"daticert.xml\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%[3]s--b--\r\n"+
		"--s%[1]d\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%[4]s--s%[1]d--\r\n",
		i, lines("Il messaggio e' stato consegnato nella casella di destinazione.", 15),
		lines("PD94bWwgdmVyc2lvbj0iMS4wIiBlbmNvZGluZz0iVVRGLTgiPz4KPHBvc3RhY2VydCB0aXBvPSIK", 12),
		lines("MIIGAgYJKoZIhvcNAQcCoIIF8zCCBe8CAQExDzANBglghkgBZQMEAgEFADALBgkqhkiG9w0BBwGg", 22))
}

// filled returns a server whose INBOX holds n messages of text.
func filled(b *testing.B, n int, text func(i int) []byte) *fixture {
	b.Helper()
	f := newFixture(b, func(c *Config, _ *timing) { c.Store = summary.Store{Store: c.Store} })
	st := summary.Store{Store: f.store}
	step := new(storage.Step)
	for i := range n {
		body := &storage.NewBody{Head: text(i)}
		op := &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}, InternalDate: time.Unix(1e9, 0)}
		if i%3 > 0 {
			op.Flags = []string{`\Seen`}
		}
		step.Add(body, op)
		if len(step.Ops) >= 400 || i == n-1 {
			if err := st.Commit(context.Background(), step); err != nil {
				b.Fatal(err)
			}
			step.Ops = nil
		}
	}
	return f
}

// counter is a client that counts the lines of answers.
type counter struct {
	b    *testing.B
	conn *tls.Conn
	buf  []byte
}

func (f *fixture) counter(b *testing.B) *counter {
	s := f.open("")
	return &counter{b: b, conn: s.conn.(*tls.Conn), buf: make([]byte, 64<<10)}
}

// ask sends a command and returns the lines of its answer, the last one left out.
func (c *counter) ask(command string) (lines int) {
	if _, err := io.WriteString(c.conn, "x "+command+"\r\n"); err != nil {
		c.b.Fatal(err)
	}
	var tail []byte // the end of what was read
	for {
		n, err := c.conn.Read(c.buf)
		if err != nil {
			c.b.Fatal(err)
		}
		lines += bytes.Count(c.buf[:n], []byte("\n"))
		tail = append(tail, c.buf[max(0, n-200):n]...)
		tail = tail[max(0, len(tail)-200):]
		if !bytes.HasSuffix(tail, []byte("\r\n")) {
			continue
		}
		last := tail[bytes.LastIndexByte(tail[:len(tail)-2], '\n')+1:]
		if result, ok := bytes.CutPrefix(last, []byte("x ")); ok {
			if !bytes.HasPrefix(result, []byte("OK")) {
				c.b.Fatalf("%s: %s", command, last)
			}
			return lines - 1
		}
	}
}

// measure runs a command again and again and reports the median of its times.
func (c *counter) measure(b *testing.B, name, command string, wantLines int) {
	b.Run(name, func(b *testing.B) {
		var times []time.Duration
		for b.Loop() {
			start := time.Now()
			if n := c.ask(command); n < wantLines {
				b.Fatalf("%d lines, want %d", n, wantLines)
			}
			times = append(times, time.Since(start))
		}
		slices.Sort(times)
		median := times[len(times)/2]
		b.ReportMetric(float64(median.Microseconds())/1000, "ms(median)")
		b.ReportMetric(float64(wantLines)/median.Seconds(), "lines/s")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkMailbox100000 has the figures of SELECT, FETCH FLAGS, SEARCH, SORT
// and THREAD.
func BenchmarkMailbox100000(b *testing.B) {
	const n = 100_000
	f := filled(b, n, receipt)
	c := f.counter(b)
	c.ask("SELECT INBOX")
	c.measure(b, "select", "SELECT INBOX", 1)
	c.measure(b, "flags", "FETCH 1:* FLAGS", n)
	c.measure(b, "search", "SEARCH FROM anna@beta.example", 1)
	c.measure(b, "sort-date", "SORT (DATE) UTF-8 ALL", 1)
	c.measure(b, "sort-subject", "SORT (SUBJECT FROM DATE) UTF-8 ALL", 1)
	c.measure(b, "thread-subject", "THREAD ORDEREDSUBJECT UTF-8 ALL", 1)
	c.measure(b, "thread", "THREAD REFERENCES UTF-8 ALL", 1)
	c.measure(b, "envelope", "FETCH 1:* ENVELOPE", n)
	c.measure(b, "thunderbird", "UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])", n)
}

// BenchmarkMailbox10000 has those of ENVELOPE, PREVIEW, BODYSTRUCTURE and APPEND.
func BenchmarkMailbox10000(b *testing.B) {
	const n = 10_000
	f := filled(b, n, receipt)
	c := f.counter(b)
	c.ask("SELECT INBOX")
	c.measure(b, "envelope", "FETCH 1:* ENVELOPE", n)
	start := time.Now()
	c.ask("FETCH 1:* PREVIEW")
	first := time.Since(start) // they are worked out only once
	b.Run("preview-first", func(b *testing.B) {
		b.ReportMetric(n/first.Seconds(), "lines/s")
		b.ReportMetric(0, "ns/op")
	})
	c.measure(b, "preview", "FETCH 1:* PREVIEW", n)
	c.measure(b, "structure", "FETCH 1:* BODYSTRUCTURE", n)
	text := receipt(1)
	b.Run("append", func(b *testing.B) {
		count := 0
		in := bufio.NewReader(c.conn)
		start := time.Now()
		for b.Loop() {
			for range 100 {
				if _, err := fmt.Fprintf(c.conn, "x APPEND INBOX (\\Seen) {%d}\r\n", len(text)); err != nil {
					b.Fatal(err)
				}
				for l := ""; !strings.HasPrefix(l, "+ "); {
					l, _ = in.ReadString('\n')
				}
				if _, err := c.conn.Write(append(text, '\r', '\n')); err != nil {
					b.Fatal(err)
				}
				l, err := "", error(nil)
				for err == nil && !strings.HasPrefix(l, "x ") {
					l, err = in.ReadString('\n')
				}
				if err != nil || !strings.HasPrefix(l, "x OK") {
					b.Fatal(l, err)
				}
				count++
			}
		}
		b.ReportMetric(float64(count)/time.Since(start).Seconds(), "appends/s")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkMailboxLarge has that of messages of 1 MB.
func BenchmarkMailboxLarge(b *testing.B) {
	const n, size = 200, 1 << 20
	f := newFixture(b)
	text := append(receipt(1), bytes.Repeat([]byte("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"), size/78)...)
	for i := range n {
		copy(text, fmt.Sprintf("X-Number: %08d\r\n", i))
		f.deliver("INBOX", string(text))
	}
	c := f.counter(b)
	c.ask("EXAMINE INBOX")
	b.Run("bodies", func(b *testing.B) {
		start, count := time.Now(), 0
		for b.Loop() {
			c.ask("FETCH 1:* BODY.PEEK[]")
			count += n
		}
		b.ReportMetric(float64(count)/time.Since(start).Seconds(), "bodies/s")
		b.ReportMetric(0, "ns/op")
	})
}
