// SPDX-License-Identifier: EUPL-1.2

package notice_test

import (
	"io"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"pecd/notice"
	"pecd/rfc822"
)

func message() notice.Message {
	return notice.Message{
		ID: "forward.1f2e", From: "avvisi@pec.example", To: "rossi@pec.example", At: time.Date(2026, 11, 26, 2, 30, 0, 0, time.FixedZone("CET", 3600)),
		Subject: notice.Text{Italian: "Inoltro interrotto: è un ciclo", English: "Forward stopped: a loop"},
		Body:    notice.Text{Italian: "Gentile utente,\nl'inoltro è fermo.", English: "Dear user,\nthe forward is stopped."},
	}
}

func TestCompose(t *testing.T) {
	raw, err := notice.Compose(message())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range raw {
		if c >= 0x80 || c == '\n' && raw[i-1] != '\r' {
			t.Fatalf("octet %d is %q", i, c)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"From": "Avvisi <avvisi@pec.example>", "To": "rossi@pec.example", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", notice.Marker: "1",
		"Date": "Thu, 26 Nov 2026 02:30:00 +0100", "Message-ID": "<forward.1f2e@pec.example>", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := m.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if got := rfc822.DecodeText(m.Header.Get("Subject")); got != "Inoltro interrotto: è un ciclo / Forward stopped: a loop" {
		t.Errorf("Subject: %q", got)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	want := "Gentile utente,\r\nl'inoltro è fermo.\r\n\r\n* * *\r\n\r\nDear user,\r\nthe forward is stopped.\r\n"
	if string(body) != want {
		t.Errorf("body %q, want %q", body, want)
	}
}

// What somebody else chose may stand in a text, but starts no header field and
// makes no message long.
func TestComposeHostile(t *testing.T) {
	m := message()
	m.Subject.Italian = "x\r\nBcc: spia@example.org\r\n\r\ntesto" + strings.Repeat("ł", 1000)
	m.Body.English = "\x00\x1b[31m" + strings.Repeat("riga\n", 10_000)
	raw, err := notice.Compose(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Bcc") != "" || len(got.Header) != 11 {
		t.Errorf("header %v", got.Header)
	}
	if n := len(raw); n > 16<<10 {
		t.Errorf("%d octets", n)
	}
	for _, m := range []func(*notice.Message){
		func(m *notice.Message) { m.To = "rossi@pec.example>\r\nBcc: <spia@example.org" },
		func(m *notice.Message) { m.From = "" },
		func(m *notice.Message) { m.ID = "a\r\nb" },
		func(m *notice.Message) { m.ID = "" },
	} {
		bad := message()
		m(&bad)
		if raw, err := notice.Compose(bad); err == nil {
			t.Errorf("composed: %q", raw)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"Fattura 12":               "Fattura 12",
		"a\r\nb\u202ecod.exe":      "a  b cod.exe",
		strings.Repeat("ł", 30):    strings.Repeat("ł", 20) + "…",
		"gruppo\u2028interruzione": "gruppo interruzione",
	} {
		if got := notice.Quote(in, 20); got != want {
			t.Errorf("Quote(%q) = %q, want %q", in, got, want)
		}
	}
}
