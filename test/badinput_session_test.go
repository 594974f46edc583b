// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the SMTP session itself has to refuse, with a clear text and an enhanced
// code (issue "First light", bad input).

// refused wants a permanent refusal with the class of enhanced code.
func refused(t testing.TB, what string, r reply, enhanced string) {
	t.Helper()
	if !r.permanent() || !strings.HasPrefix(r.enhanced(), enhanced) {
		t.Errorf("%s: answered %v, want 5xx %s", what, r, enhanced)
	}
}

func TestAuthentication(t *testing.T) {
	d := sharedDemo(t)
	a := d.standard(t, "ALFA", 5)
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	cfg := d.tls(t, host)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + a.address + "\x00" + d.password(t)))

	t.Run("nothing before TLS", func(t *testing.T) {
		c, err := dialSMTP(d.get(t, "ALFA_SUBMISSION"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		greeting := c.cmd("EHLO client.example")
		for _, line := range greeting.lines {
			if strings.HasPrefix(strings.ToUpper(line), "AUTH") {
				t.Errorf("AUTH is offered in clear text: %s", line)
			}
		}
		refused(t, "AUTH in clear text", c.cmd("AUTH PLAIN %s", plain), "")
		refused(t, "MAIL without AUTH in clear text", c.cmd("MAIL FROM:<%s>", a.address), "5.7")
	})
	t.Run("announced under TLS", func(t *testing.T) {
		c, err := dialSMTP(d.get(t, "ALFA_SUBMISSION"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.startTLS(cfg); err != nil {
			t.Fatal(err)
		}
		caps := strings.Join(c.cmd("EHLO client.example").lines, "\n")
		for _, want := range []string{"SIZE 104857600", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "PLAIN", "LOGIN"} {
			if !strings.Contains(caps, want) {
				t.Errorf("EHLO lacks %s:\n%s", want, caps)
			}
		}
		if strings.Contains(caps, "STARTTLS") {
			t.Error("STARTTLS is offered under TLS")
		}
		refused(t, "MAIL without AUTH", c.cmd("MAIL FROM:<%s>", a.address), "5.7")
	})
	t.Run("wrong password", func(t *testing.T) {
		for _, login := range []string{a.address, "nessuno@" + d.get(t, "ALFA_DOMAIN"), "", strings.Repeat("x", 3000)} {
			c, err := dialSMTP(d.get(t, "ALFA_SUBMISSION"))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.startTLS(cfg); err != nil {
				t.Fatal(err)
			}
			if r := c.authPlain(login, "sbagliata"); r.code != 535 || !strings.HasPrefix(r.enhanced(), "5.7.8") {
				t.Errorf("login %.40q: answered %v, want 535 5.7.8", login, r)
			}
			c.Close()
		}
	})
	t.Run("LOGIN", func(t *testing.T) {
		c, err := dialSMTP(d.get(t, "ALFA_SUBMISSION"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.startTLS(cfg); err != nil {
			t.Fatal(err)
		}
		if r := c.cmd("AUTH LOGIN"); r.code != 334 {
			t.Fatalf("AUTH LOGIN: %v", r)
		}
		c.cmd("%s", base64.StdEncoding.EncodeToString([]byte(a.address)))
		if r := c.cmd("%s", base64.StdEncoding.EncodeToString([]byte(d.password(t)))); r.code != 235 {
			t.Errorf("AUTH LOGIN: %v", r)
		}
	})
	t.Run("IMAP", func(t *testing.T) {
		need(t, "curl")
		if r := runWithin(t, minute, "curl", "--silent", "--cacert", d.file(t, "CA_FILE"), "--user", a.address+":sbagliata",
			"imaps://"+d.get(t, "ALFA_IMAPS")+"/INBOX"); r.code != 67 {
			t.Errorf("curl with a wrong password: exit %d, want 67 (login denied)", r.code)
		}
	})
}

func TestSenderMustBeTheMailbox(t *testing.T) {
	d := sharedDemo(t)
	a, other := d.standard(t, "ALFA", 5), d.standard(t, "ALFA", 6)
	s := d.submission(t, a)
	for _, from := range []string{other.address, "qualcuno@mail.example", ""} {
		refused(t, "MAIL FROM:<"+from+">", s.cmd("MAIL FROM:<%s>", from), "5.")
		s.cmd("RSET")
	}
	if r := s.cmd("MAIL FROM:<%s>", a.address); r.code != 250 {
		t.Errorf("the session does not go on: %v", r)
	}
}

// S4-035: 1,000 recipients are taken, the 1,001st is not.
func TestS4_035_RecipientLimit(t *testing.T) {
	d := sharedDemo(t)
	a := d.standard(t, "ALFA", 5)
	s := d.submission(t, a)
	if r := s.cmd("MAIL FROM:<%s>", a.address); r.code != 250 {
		t.Fatal(r)
	}
	for n := 1; n <= 1000; n++ {
		if r := s.cmd("RCPT TO:<r%04d@%s>", n, d.get(t, "BETA_DOMAIN")); !r.positive() {
			t.Fatalf("recipient %d: %v", n, r)
		}
	}
	r := s.cmd("RCPT TO:<r1001@%s>", d.get(t, "BETA_DOMAIN"))
	if r.code != 452 || !strings.HasPrefix(r.enhanced(), "4.5.3") {
		t.Errorf("recipient 1001: %v, want 452 4.5.3", r)
	}
}

// S4-038: 104,857,600 octets are taken (TestMemoryAtTheLimit), one more is not.
func TestS4_038_SizeLimit(t *testing.T) {
	const limit = 104857600
	d := sharedDemo(t)
	a := d.standard(t, "ALFA", 5)
	s := d.submission(t, a)
	refused(t, "SIZE one octet over", s.cmd("MAIL FROM:<%s> SIZE=%d", a.address, limit+1), "5.3.4")
	s.cmd("RSET")
	to := d.standard(t, "BETA", 5).address
	if r := s.envelope(a.address, []string{to}); !r.positive() {
		t.Fatal(r)
	}
	l := letter{id: newMsgID(), from: a.address, to: []string{to}, subject: "Troppo", text: "x"}
	head := bytes.TrimSuffix(l.bytes(), []byte("x"))
	refused(t, "100 MB and one octet", s.data(multi(head, limit+1-int64(len(head)))), "5.3.4")
	d.submission(t, a).Close() // and the server goes on
}

func TestUnknownDomainsAndRelaying(t *testing.T) {
	d := sharedDemo(t)
	s := d.mx(t, "BETA")
	if r := s.cmd("MAIL FROM:<chiunque@mail.example>"); r.code != 250 {
		t.Fatal(r)
	}
	refused(t, "relaying through the incoming point", s.cmd("RCPT TO:<altro@mail.example>"), "5.")
	if r := s.cmd("RCPT TO:<%s>", d.standard(t, "BETA", 5).address); r.code != 250 {
		t.Errorf("own recipient after a refused one: %v", r)
	}
}

// TestUnknownBoxAtTheIncomingPoint: ordinary mail for a mailbox that does not
// exist is refused in the session, not answered by a notice (RFC 6109 §2.2.3).
func TestUnknownBoxAtTheIncomingPoint(t *testing.T) {
	d := sharedDemo(t)
	s := d.mx(t, "BETA")
	to := "nessuno.qui@" + d.get(t, "BETA_DOMAIN")
	r := s.envelope("chiunque@mail.example", []string{to})
	if r.positive() {
		r = s.data(strings.NewReader("From: chiunque@mail.example\r\nTo: " + to + "\r\nSubject: prova\r\n\r\nprova\r\n"))
	}
	refused(t, "ordinary mail to an unknown mailbox", r, "5.1.1")
}

// TestSmuggling sends the end-of-data sequences that other servers have taken
// for the end of a message. The bytes must be refused, and the message hidden
// behind them must never exist.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	d := sharedDemo(t)
	a, to := d.standard(t, "ALFA", 7), d.standard(t, "ALFA", 8)
	in := d.openInbox(t, to)
	for i, eod := range []string{"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n", "\r.\r\n", "\r\r\n.\r\r\n", "\n.\r"} {
		hidden := fmt.Sprintf("contrabbando %d", i)
		for _, way := range []struct {
			from string
			open func() *smtpConn
		}{
			{a.address, func() *smtpConn { return d.submission(t, a) }},
			{"chiunque@mail.example", func() *smtpConn { return d.mx(t, "ALFA") }},
		} {
			header := "From: " + way.from + "\r\nTo: " + to.address + "\r\nSubject: "
			wire := header + "visibile\r\n\r\nprima" + eod + "MAIL FROM:<" + way.from + ">\r\nRCPT TO:<" + to.address + ">\r\nDATA\r\n" +
				header + hidden + "\r\n\r\ndopo\r\n.\r\n"
			s := way.open()
			if r := s.envelope(way.from, []string{to.address}); !r.positive() {
				t.Fatal(r)
			}
			r := s.rawData([]byte(wire))
			if !r.permanent() {
				t.Errorf("%q: answered %v, want a permanent refusal", eod, r)
			}
			// Nothing of the rest may be answered as if it were a session of its own.
			_ = s.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if line, err := s.r.ReadString('\n'); err == nil && strings.HasPrefix(line, "250") {
				t.Errorf("%q: the bytes behind it were executed: %q", eod, line)
			}
			s.Close()
		}
	}
	time.Sleep(2 * time.Second)
	for _, m := range in.refresh() {
		if strings.Contains(m.subject(), "contrabbando") || strings.HasSuffix(m.subject(), "visibile") {
			t.Errorf("arrived: %q", m.subject())
		}
	}
}

// TestBareEnds refuses bare CR, bare LF and NUL inside a message.
func TestBareEnds(t *testing.T) {
	d := sharedDemo(t)
	a, to := d.standard(t, "ALFA", 7), d.standard(t, "BETA", 8)
	for name, text := range map[string]string{"bare LF": "uno\ndue\r\n", "bare CR": "uno\rdue\r\n", "NUL": "uno\x00due\r\n", "CR CR LF": "uno\r\r\ndue\r\n"} {
		l := letter{id: newMsgID(), from: a.address, to: []string{to.address}, subject: name, text: text}
		s := d.submission(t, a)
		if r := s.envelope(a.address, l.to); !r.positive() {
			t.Fatal(r)
		}
		if r := s.rawData(append(l.bytes(), ".\r\n"...)); !r.permanent() {
			// A NUL may also be answered by the signed notice.
			if name != "NUL" || r.code != 250 {
				t.Errorf("%s: answered %v, want a permanent refusal", name, r)
				continue
			}
			d.wantNonAcceptance(t, a, l.id, "")
		}
		s.Close()
	}
}

// TestProtocolNoise throws what is no SMTP at every listener and wants it to live.
func TestProtocolNoise(t *testing.T) {
	d := sharedDemo(t)
	noise := [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte{0}, 4096),
		bytes.Repeat([]byte("A"), 1<<20),
		[]byte("EHLO " + strings.Repeat("x", 100_000) + "\r\n"),
		[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		[]byte("a1 LOGIN {99999999999999999999}\r\n"),
		[]byte("a1 SEARCH " + strings.Repeat("(", 200_000)),
	}
	var all sync.WaitGroup
	for _, p := range []string{"ALFA", "BETA"} {
		for _, key := range []string{"SUBMISSION", "SMTPS", "MX", "IMAP", "IMAPS", "POP3", "POP3S", "HTTP", "METRICS"} {
			addr := d.get(t, p+"_"+key)
			all.Go(func() {
				for _, b := range noise {
					throwAt(addr, b)
				}
			})
		}
	}
	all.Wait()
	d.submission(t, d.standard(t, "ALFA", 5)).Close()
	d.openInbox(t, d.standard(t, "BETA", 5)).client.Close()
}
