// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pecd/pec"
	"pecd/rfc822"
)

// hostile is what a message may say, in every place where it may say something.
type hostile struct{ subject, address, msgid, reason string }

// build makes every notice and both envelopes out of h.
func (h hostile) build(t testing.TB) map[string]pec.Draft {
	t.Helper()
	b, at := testBuilder(t), romeTime()
	m := pec.Message{ID: testID(), MsgID: h.msgid, Sender: h.address, ReplyTo: h.address,
		Recipients: []pec.Recipient{{Address: h.address}, {Address: h.address, External: true}},
		Subject:    h.subject, HasSubject: true, Receipt: pec.ReceiptBrief, ReceiptAsked: true}
	header := parseHeader(t, "To: bruno@pec.beta.example\r\n")
	return map[string]pec.Draft{
		"acceptance":           b.Acceptance(m, at),
		"non-acceptance":       b.NonAcceptance(m, at, h.reason),
		"non-acceptance virus": b.NonAcceptanceVirus(m, at, h.reason),
		"envelope":             b.TransportEnvelope(m, at, header, false),
		"take charge":          b.TakeCharge(m, at, []string{h.address, h.address}, h.address),
		"delivery":             b.Delivery(m, at, h.address, pec.FormConcise, false),
		"non-delivery":         b.NonDelivery(m, at, h.address, pec.OtherError, h.reason),
		"non-delivery virus":   b.NonDeliveryVirus(m, at, h.address, h.reason),
		"timeout":              b.Timeout(m, at, h.address, false),
		"virus detection":      b.VirusDetection(m, at, h.address, h.reason, h.address),
		"anomaly": b.Anomaly(pec.AnomalyInput{Header: header, Sender: h.address, Recipients: []string{h.address, h.address},
			Reason: h.reason, FallbackID: "pecd1.x@pec.alfa.example"}, at),
	}
}

var tagPattern = regexp.MustCompile(`<[^>]*>`)

// outline is the structure of a message, whatever its texts say.
func outline(t testing.TB, d pec.Draft) (names []string, tags []string, lines int) {
	t.Helper()
	var original []byte
	if d.WithOriginal {
		original = []byte("From: a@b.example\r\n\r\nciao\r\n")
	}
	message := seal(d, original)
	b := built{draft: d, original: original}
	if d.Kind != pec.AnomalyEnvelope {
		b.certData = &pec.CertData{}
	}
	plain, html, xml := checkShape(t, b, message)
	for _, f := range scan(t, message).Root.Header.Fields() {
		names = append(names, f.Name)
		for _, line := range bytes.Split(f.Raw, []byte("\r\n")) {
			if len(line) > 998 {
				t.Errorf("line of %d octets in %s", len(line), f.Name)
			}
		}
	}
	for _, c := range d.Outer {
		if c > 0x7E || (c < ' ' && c != '\r' && c != '\n') {
			t.Errorf("octet %#x in the header", c)
		}
	}
	if xml != nil {
		c, err := pec.ReadCertData(xml)
		if err != nil {
			t.Errorf("%v\n%s", err, xml)
		}
		if len(c.Recipients) != 2 {
			t.Errorf("%d recipients", len(c.Recipients))
		}
	}
	for _, text := range [][]byte{plain, html} {
		if i := bytes.IndexFunc(latin1(text), func(r rune) bool { return (r < ' ' && r != '\r' && r != '\n') || (r >= 0x7F && r < 0xA0) }); i >= 0 {
			t.Errorf("control character in a text: %q", text)
		}
	}
	return names, tagPattern.FindAllString(string(html), -1), bytes.Count(plain, []byte("\n"))
}

// latin1 makes UTF-8 of ISO-8859-1.
func latin1(b []byte) []byte {
	var out []byte
	for _, c := range b {
		out = append(out, string(rune(c))...)
	}
	return out
}

func TestHostileText(t *testing.T) {
	benign := hostile{"Ordine", "anna@pec.alfa.example", "<abc@client.example>", "motivo"}.build(t)
	for name, text := range map[string]string{
		"CR LF":             "x\r\nX-Ricevuta: avvenuta-consegna\r\n\r\n<b>y</b>",
		"LF":                "x\nBcc: tutti@example.com\n\n.\n",
		"CR":                "x\rX-Trasporto: errore\r",
		"line separators":   "x\u2028y\u2029z\u0085w\vq\f",
		"NUL":               "x\x00y",
		"CDATA end":         "]]><x/>",
		"quotes":            `"a" 'b' \" \\"`,
		"HTML":              `</p></body><script>alert(1)</script><img src=x onerror=alert(1)>`,
		"HTML entity":       "&lt;script&gt; &#60;script&#62; &quot;",
		"U+FFFE":            "a\uFFFEb\uFFFFc",
		"RTL":               "fattura\u202Efdp.exe \u2066x\u2069 \u200Fy",
		"emoji":             strings.Repeat("👨‍👩‍👧‍👦", 50),
		"5,000 characters":  strings.Repeat("è", 5000),
		"one long word":     strings.Repeat("x", 100000),
		"many spaces":       "x" + strings.Repeat(" ", 5000) + "y",
		"no UTF-8":          "\xff\xfe\xc3\x28",
		"encoded word":      "=?UTF-8?Q?=0D=0AX-Ricevuta:_x?= =?UTF-8?B?DQo=?=",
		"open encoded word": "=?UTF-8?Q?",
		"delimiter":         "\r\n------=_pecd_0000000000000000000000000000000000000000--\r\n",
		"two addresses":     "a@b.example, c@d.example",
		"address with name": `"x" <a@b.example>`,
		"group":             "x: a@b.example;",
		"comment":           "a@b.example (c",
		"source route":      "<@x,@y:a@b.example>",
		"dots":              ".",
		"angle brackets":    "<><<>>",
		"smuggled":          "a@b.example>\r\nX-Ricevuta: x\r\nY: <",
	} {
		t.Run(name, func(t *testing.T) {
			for message, d := range (hostile{text, text, text, text}).build(t) {
				names, tags, lines := outline(t, d)
				wantNames, wantTags, wantLines := outline(t, benign[message])
				names = slices.DeleteFunc(names, func(s string) bool { return s == "X-Riferimento-Message-ID" || s == "Reply-To" })
				wantNames = slices.DeleteFunc(wantNames, func(s string) bool { return s == "X-Riferimento-Message-ID" || s == "Reply-To" })
				if !slices.Equal(names, wantNames) {
					t.Errorf("%s: fields %v, want %v", message, names, wantNames)
				}
				if !slices.Equal(tags, wantTags) {
					t.Errorf("%s: tags %v, want %v", message, tags, wantTags)
				}
				if lines != wantLines {
					t.Errorf("%s: %d lines, want %d", message, lines, wantLines)
				}
				if n := len(d.Outer) + len(d.Before); n > 200_000 {
					t.Errorf("%s: %d octets", message, n)
				}
				h := scan(t, seal(d, []byte("From: a@b.example\r\n\r\n"))).Root.Header
				if list, err := rfc822.ParseAddressList(h.Get("To")); d.Kind != pec.TransportEnvelope && d.Kind != pec.AnomalyEnvelope &&
					err == nil && len(list) > 0 {
					t.Errorf("%s: To has %v", message, list)
				}
				if list, err := rfc822.ParseAddressList(h.Get("From")); err != nil || len(list) != 1 ||
					list[0].Address != "posta-certificata@pec.alfa.example" {
					t.Errorf("%s: From has %v, %v", message, list, err)
				}
			}
		})
	}
}

func TestHostileAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		piece := rapid.SampledFrom([]string{"\r\n", "\n", "\r", "\x00", "<", ">", "&", "\"", "\\", "=?utf-8?q?", "?=", "]]>", "--",
			" ", "\t", "@", ":", ";", ",", "é", "€", "👍", "\u202E", "\uFFFE", "\xff", "\u2028", "x", "Subject: y", "(", ")"})
		text := rapid.Map(rapid.SliceOfN(piece, 0, 40), func(s []string) string { return "a" + strings.Join(s, "") })
		h := hostile{text.Draw(rt, "subject"), text.Draw(rt, "address"), text.Draw(rt, "msgid"), text.Draw(rt, "reason")}
		for message, d := range h.build(t) {
			names, _, _ := outline(t, d)
			if seen := slices.Compact(slices.Sorted(slices.Values(names))); len(seen) != len(names) {
				rt.Fatalf("%s: repeated fields in %v", message, names)
			}
		}
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

// The subject reaches readers whole when it is short, and cut when it is not.
func TestSubjectBounds(t *testing.T) {
	b, m := testBuilder(t), testMessage()
	for n, want := range map[int]int{999: 999, 1000: 1000, 1001: 1001, 5000: 1001} {
		m.Subject = strings.Repeat("è", n)
		d := b.Acceptance(m, romeTime())
		got := rfc822.DecodeText(parseHeader(t, string(d.Outer)).Get("Subject"))
		got = strings.TrimPrefix(got, "ACCETTAZIONE: ")
		if runes := len([]rune(got)); runes != want {
			t.Errorf("a subject of %d characters has become one of %d", n, runes)
		}
		if strings.HasSuffix(got, "…") != (n > 1000) {
			t.Errorf("the subject of %d characters ends with %q", n, got[len(got)-3:])
		}
	}
}

func TestInheritedFields(t *testing.T) {
	b, at := testBuilder(t), romeTime()
	raw := "RECEIVED: one\r\nreceived : two\r\nTO: a@b.example,\r\n\tc@d.example \r\nTo:\r\nCc: \xc3\xa8@e.example\r\n" +
		"Bcc: z@z.example\r\nReply-To: r@r.example\r\nReturn-Path: <p@p.example>\r\nX-Ricevuta: accettazione\r\nno field\r\n"
	d := b.TransportEnvelope(testMessage(), at, parseHeader(t, raw), true)
	for _, want := range []string{"RECEIVED: one\r\nreceived : two\r\n", "TO: a@b.example,\r\n\tc@d.example \r\nTo:\r\n",
		"Cc: \xc3\xa8@e.example\r\n", "Reply-To: r@r.example\r\n", "Return-Path: <p@p.example>\r\n"} {
		if !bytes.Contains(d.Outer, []byte(want)) {
			t.Errorf("%q is not inherited octet for octet:\n%s", want, d.Outer)
		}
	}
	for _, not := range []string{"Bcc", "X-Ricevuta", "no field", "Reply-To: anna"} {
		if bytes.Contains(d.Outer, []byte(not)) {
			t.Errorf("%q is inherited", not)
		}
	}

	d = b.TransportEnvelope(testMessage(), at, parseHeader(t, "To: a@b.example,\n c@d.example\rX-Ricevuta: x\x00\nCc: e@f.example"), false)
	for _, want := range []string{"To: a@b.example,\r\n c@d.example X-Ricevuta: x \r\n", "Cc: e@f.example\r\n"} {
		if !bytes.Contains(d.Outer, []byte(want)) {
			t.Errorf("no %q in %q", want, d.Outer)
		}
	}
}

func TestAnomalySenders(t *testing.T) {
	b := testBuilder(t)
	for _, c := range []struct{ sender, from, name, replyTo string }{
		{"zoe@mail.example", "altri@mail.example", "zoe@mail.example", "zoe@mail.example"},
		{"", "Altri <altri@mail.example>", "altri@mail.example", "altri@mail.example"},
		{"", "", "mittente sconosciuto", ""},
		{"", "((((", "mittente sconosciuto", ""},
		{"zoè@mail.example", "", "zo?@mail.example", ""},
	} {
		header := "To: x@pec.alfa.example\r\n"
		if c.from != "" {
			header += "From: " + c.from + "\r\n"
		}
		d := b.Anomaly(pec.AnomalyInput{Header: parseHeader(t, header), Sender: c.sender, Recipients: []string{"x@pec.alfa.example"},
			Reason: "motivo", FallbackID: "f@pec.alfa.example"}, romeTime())
		h := parseHeader(t, string(d.Outer))
		if got, want := h.Get("From"), fmt.Sprintf(`"Per conto di: %s" <posta-certificata@pec.alfa.example>`, c.name); got != want {
			t.Errorf("From %q, want %q", got, want)
		}
		if got := h.Get("Reply-To"); got != c.replyTo {
			t.Errorf("Reply-To %q, want %q", got, c.replyTo)
		}
	}
}

func TestZones(t *testing.T) {
	b, m := testBuilder(t), testMessage()
	for at, want := range map[time.Time][3]string{
		time.Date(2026, 1, 15, 22, 59, 59, 0, time.UTC):  {"15/01/2026", "23:59:59 (+0100)", "Thu, 15 Jan 2026 23:59:59 +0100"},
		time.Date(2026, 7, 15, 22, 0, 0, 0, time.UTC):    {"16/07/2026", "00:00:00 (+0200)", "Thu, 16 Jul 2026 00:00:00 +0200"},
		time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC):   {"25/10/2026", "02:30:00 (+0200)", "Sun, 25 Oct 2026 02:30:00 +0200"},
		time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC):   {"25/10/2026", "02:30:00 (+0100)", "Sun, 25 Oct 2026 02:30:00 +0100"},
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC):     {"29/03/2026", "03:00:00 (+0200)", "Sun, 29 Mar 2026 03:00:00 +0200"},
		time.Date(2025, 12, 31, 23, 0, 0, 999, time.UTC): {"01/01/2026", "00:00:00 (+0100)", "Thu, 01 Jan 2026 00:00:00 +0100"},
	} {
		d := b.Acceptance(m, at)
		plain, _, xml := checkShape(t, built{draft: d, certData: &pec.CertData{}}, seal(d, nil))
		if !bytes.Contains(plain, []byte("Il giorno "+want[0]+" alle ore "+want[1])) {
			t.Errorf("%v: text %s", at, plain)
		}
		if got := parseHeader(t, string(d.Outer)).Get("Date"); got != want[2] {
			t.Errorf("%v: Date %s, want %s", at, got, want[2])
		}
		if c, err := pec.ReadCertData(xml); err != nil || !c.At.Equal(at.Truncate(time.Second)) {
			t.Errorf("%v: daticert %v %v", at, c.At, err)
		}
	}
}
