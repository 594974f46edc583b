// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// What the access point answers with the signed notice of non-acceptance
// (RFC 6109 §3.1.1–3.1.2): the session says 250, the notice says why.

// multi is a head and then n octets of text.
func multi(head []byte, n int64) io.Reader { return io.MultiReader(bytes.NewReader(head), bulk(n)) }

// throwAt sends bytes to a listener and reads for a moment what comes back.
func throwAt(addr string, b []byte) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = c.Write(b)
	_, _ = io.Copy(io.Discard, c)
}

// wantNonAcceptance waits for the signed notice about a client's Message-ID and
// wants its text to hold reason (in Italian).
func (d *demo) wantNonAcceptance(t testing.TB, a account, msgID, reason string) {
	t.Helper()
	in := d.openInbox(t, a)
	defer in.client.Close()
	m := in.one(30*time.Second, "notice of non-acceptance", about(msgID, "non-accettazione"))
	p := mustReadPEC(t, in.body(m.uid))
	p.check(t, d)
	if !strings.HasPrefix(m.subject(), "AVVISO DI NON ACCETTAZIONE: ") {
		t.Errorf("subject %q", m.subject())
	}
	if p.cert.Type != "non-accettazione" || p.cert.Error != "altro" || p.cert.Extended == "" {
		t.Errorf("daticert.xml: %s", p.certXML)
	}
	if p.original != nil {
		t.Error("the notice carries the original")
	}
	if !strings.Contains(p.text, "Il messaggio non è stato accettato") || !strings.Contains(strings.ToLower(p.text), strings.ToLower(reason)) {
		t.Errorf("the text does not say %q:\n%s", reason, p.text)
	}
	if got := in.find(about(msgID, "accettazione")); got != nil {
		t.Error("there is an acceptance, too")
	}
}

func TestFormalChecks(t *testing.T) {
	d := sharedDemo(t)
	a, to, other := d.standard(t, "ALFA", 9), d.standard(t, "BETA", 9), d.standard(t, "BETA", 10)
	head := func(id string, lines ...string) []byte {
		return []byte("Date: Tue, 03 Mar 2026 10:15:05 +0100\r\nSubject: Controllo formale\r\nMessage-ID: " + id + "\r\n" +
			strings.Join(lines, "\r\n") + "\r\n\r\nTesto.\r\n")
	}
	from, dest := "From: "+a.address, "To: "+to.address
	for _, c := range []struct {
		name   string
		lines  []string
		rcpt   []string
		reason string // a word of the Italian explanation
	}{
		{"recipient in neither To nor Cc", []string{from, dest}, []string{to.address, other.address}, other.address},
		{"Bcc with a value", []string{from, dest, "Bcc: " + other.address}, []string{to.address}, "Bcc"},
		{"From is another mailbox", []string{"From: " + d.standard(t, "ALFA", 10).address, dest}, []string{to.address}, "From"},
		{"two From addresses", []string{from + ", " + d.standard(t, "ALFA", 10).address, dest}, []string{to.address}, "From"},
		{"two From fields", []string{from, from, dest}, []string{to.address}, "From"},
		{"no From", []string{dest}, []string{to.address}, "From"},
		{"From without an address", []string{"From: Anna", dest}, []string{to.address}, "From"},
		{"no To", []string{from, "Cc: " + to.address}, []string{to.address}, "To"},
		{"To without an address", []string{from, "To: undisclosed-recipients:;", "Cc: " + to.address}, []string{to.address}, "To"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := newMsgID()
			d.submit(t, a, c.rcpt, head(id, c.lines...))
			d.wantNonAcceptance(t, a, id, c.reason)
		})
	}
	time.Sleep(time.Second)
	for _, box := range []account{to, other} {
		if got := d.openInbox(t, box).find(func(m stored) bool { return strings.Contains(m.subject(), "Controllo formale") }); got != nil {
			t.Errorf("%s got %d messages that were not accepted", box.address, len(got))
		}
	}
	t.Run("an empty Bcc field is no fault", func(t *testing.T) {
		id := newMsgID()
		d.submit(t, a, []string{to.address}, head(id, from, dest, "Bcc: "))
		d.openInbox(t, a).one(time.Minute, "delivery receipt", about(id, "avvenuta-consegna"))
	})
}

// TestUnknownRecipient: at the own provider and at the other one the answer is
// an acceptance and then a notice of non-delivery with code 5.1.1.
func TestUnknownRecipient(t *testing.T) {
	d := sharedDemo(t)
	a := d.standard(t, "ALFA", 11)
	for _, p := range []string{"ALFA", "BETA"} {
		t.Run("at "+p, func(t *testing.T) {
			to := "casella.inesistente@" + d.get(t, p+"_DOMAIN")
			l := letter{id: newMsgID(), from: a.address, to: []string{to}, subject: "A nessuno"}
			d.submit(t, a, l.to, l.bytes())
			in := d.openInbox(t, a)
			in.one(time.Minute, "acceptance", about(l.id, "accettazione"))
			m := in.one(time.Minute, "notice of non-delivery", about(l.id, "errore-consegna"))
			n := mustReadPEC(t, in.body(m.uid))
			n.check(t, d)
			if !strings.HasPrefix(m.subject(), "AVVISO DI MANCATA CONSEGNA: ") {
				t.Errorf("subject %q", m.subject())
			}
			if c := n.cert; c.Type != "errore-consegna" || (c.Error != "no-dest" && c.Error != "altro") || c.Delivery != to ||
				!strings.HasPrefix(c.Extended, "5.1.1") {
				t.Errorf("daticert.xml: %s", n.certXML)
			}
			if !strings.Contains(n.text, "Avviso di mancata consegna") || !strings.Contains(n.text, to) {
				t.Errorf("text:\n%s", n.text)
			}
			if n.original != nil {
				t.Error("the notice carries the original")
			}
			if got := in.find(about(l.id, "avvenuta-consegna")); got != nil {
				t.Error("there is a delivery receipt, too")
			}
		})
	}
}

// TestHostileMessages sends messages that readers choke on. Each must get an
// outcome: a refusal in the session, a notice of non-acceptance, or acceptance
// and delivery of exactly these bytes.
func TestHostileMessages(t *testing.T) {
	d := sharedDemo(t)
	a, to := d.standard(t, "ALFA", 12), d.standard(t, "BETA", 12)
	in := d.openInbox(t, a)
	cases := map[string]letter{
		"unclosed multipart":        {extra: []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`}, text: "--b\r\n\r\nnon finisce"},
		"multipart without parts":   {extra: []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`}, text: "--b--\r\n"},
		"multipart, no boundary":    {extra: []string{"MIME-Version: 1.0", "Content-Type: multipart/mixed"}, text: "testo\r\n"},
		"boundary extends another":  {extra: []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`}, text: prefixBoundaries},
		"nested 200 deep":           {extra: []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b0"`}, text: nested(200)},
		"10,000 header lines":       {extra: manyLines(10_000)},
		"lines of 100 kB":           {text: strings.Repeat(strings.Repeat("x", 100_000)+"\r\n", 10)},
		"a header line of 100 kB":   {extra: []string{"X-Lunga: " + strings.Repeat("y", 100_000)}},
		"10,000 parts":              {extra: []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`}, text: strings.Repeat("--b\r\n\r\nx\r\n", 10_000) + "--b--\r\n"},
		"raw 8-bit header":          {extra: []string{"X-Nota: citt\xe0 \xff\xfe"}},
		"8-bit body":                {extra: []string{"MIME-Version: 1.0", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit"}, text: "citt\xe0\r\n"},
		"broken encoded words":      {subject: "", extra: []string{"Subject: =?utf-8?B?!!!?= =?x-unknown?Q?a?= =?"}},
		"header line without colon": {extra: []string{"questa non pare una riga di intestazione"}},
		"XML in the subject":        {extra: []string{"Subject: </oggetto><mittente>falso@pec.example</mittente>&amp;]]><!--"}},
		"controls in the subject":   {extra: []string{"Subject: =?utf-8?Q?uno=0D=0AX-Iniettata:_si=00=1B[31m?="}},
		"no Message-ID":             {},
		"Message-ID with markup":    {},
	}
	for name, l := range cases {
		t.Run(name, func(t *testing.T) {
			l.from, l.to = a.address, []string{to.address}
			switch name {
			case "no Message-ID":
			case "Message-ID with markup":
				l.id = fmt.Sprintf(`<%d."&<x>'@client.example>`, time.Now().UnixNano())
			default:
				l.id = newMsgID()
			}
			if l.subject == "" && !strings.Contains(strings.Join(l.extra, "\n"), "Subject:") {
				l.subject = name
			}
			submitted := l.bytes()
			last := uint32(0)
			if seen := in.refresh(); len(seen) > 0 {
				last = uint32(seen[len(seen)-1].uid)
			}
			s := d.submission(t, a)
			defer s.Close()
			if r := s.envelope(a.address, l.to); !r.positive() {
				t.Fatal(r)
			}
			r := s.data(bytes.NewReader(submitted))
			if r.permanent() {
				t.Logf("refused: %v", r)
				return
			}
			if r.code != 250 {
				t.Fatalf("answered %v", r)
			}
			fresh := func(kind string) func(stored) bool {
				return func(m stored) bool { return uint32(m.uid) > last && m.header.Get("X-Ricevuta") == kind }
			}
			first := in.wait(time.Minute, 1, "acceptance or non-acceptance", func(m stored) bool {
				return fresh("accettazione")(m) || fresh("non-accettazione")(m)
			})[0]
			answer := mustReadPEC(t, in.body(first.uid))
			answer.check(t, d)
			if first.header.Get("X-Iniettata") != "" || answer.cert.Sender != a.address {
				t.Errorf("injected: %v\n%s", first.header, answer.certXML)
			}
			if first.header.Get("X-Ricevuta") == "non-accettazione" {
				t.Logf("not accepted: %s", answer.cert.Extended)
				return
			}
			receipt := mustReadPEC(t, in.body(in.wait(time.Minute, 1, "delivery receipt", fresh("avvenuta-consegna"))[0].uid))
			receipt.check(t, d)
			sameOriginal(t, submitted, receipt.original)
		})
	}
}

const prefixBoundaries = "--b\r\nContent-Type: multipart/alternative; boundary=\"b-1\"\r\n\r\n--b-1\r\n\r\nuno\r\n--b-1\r\n\r\ndue\r\n--b-1--\r\n--b\r\n\r\ntre\r\n--b--\r\n"

// nested is a multipart of n levels inside the outer boundary b0.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "--b%d\r\nContent-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n", i, i+1)
	}
	fmt.Fprintf(&b, "--b%d\r\n\r\nin fondo\r\n", n)
	for i := n; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

func manyLines(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("X-Riga-%d: valore", i)
	}
	return lines
}
