// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"pecd/pec"
	"pecd/rfc822"
)

// The same arguments give the same bytes, and different messages have different
// identifiers and delimiters.
func TestMessagesAreFunctions(t *testing.T) {
	seen := map[string]string{}
	again := everyMessage(t)
	for i, b := range everyMessage(t) {
		if !reflect.DeepEqual(b.draft, again[i].draft) {
			t.Errorf("%s differs when built again", b.name)
		}
		root := scan(t, seal(b.draft, b.original)).Root
		for _, p := range []*rfc822.Part{root, root.Children[0], root.Children[0].Children[0]} {
			delimiter := p.Params["boundary"]
			if other, twice := seen[delimiter]; twice && !strings.HasPrefix(b.name, "consegna-") {
				t.Errorf("%s and %s share a delimiter", b.name, other)
			}
			seen[delimiter] = b.name
		}
	}
	b, m := testBuilder(t), testMessage()
	one := b.Acceptance(m, romeTime())
	b.Secret = []byte("another secret")
	two := b.Acceptance(m, romeTime())
	if bytes.Equal(one.Before, two.Before) || !bytes.Equal(one.Outer, two.Outer) {
		t.Error("the secret must change the delimiters and nothing of the header")
	}
}

// Whatever the original ends with, the entity is Before, original, After and
// the original comes back octet for octet.
func TestOriginalFraming(t *testing.T) {
	header, _ := rewrittenOriginal(t)
	for name, original := range map[string]string{
		"no body":        "From: a@b.example\r\n\r\n",
		"no final CRLF":  "From: a@b.example\r\n\r\nciao",
		"final CRLF":     "From: a@b.example\r\n\r\nciao\r\n",
		"blank lines":    "From: a@b.example\r\n\r\nciao\r\n\r\n\r\n",
		"final CR":       "From: a@b.example\r\n\r\nciao\r",
		"open multipart": "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nciao\r\n--x--\r\n",
		"own delimiters": "From: a@b.example\r\n\r\n------=_pecd_0000000000000000000000000000000000000000\r\n\r\nciao\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := built{draft: testBuilder(t).TransportEnvelope(testMessage(), romeTime(), header, false),
				original: []byte(original), certData: &pec.CertData{}}
			checkShape(t, b, seal(b.draft, b.original))
		})
	}
}

func TestEightBit(t *testing.T) {
	b, m, at := testBuilder(t), testMessage(), romeTime()
	header, _ := rewrittenOriginal(t)
	original := []byte("Subject: x\r\n\r\nperch\xc3\xa9\r\n")
	for _, eightBit := range []bool{false, true} {
		want := "7bit"
		if eightBit {
			want = "8bit"
		}
		for _, d := range []pec.Draft{b.TransportEnvelope(m, at, header, eightBit),
			b.Delivery(m, at, "bruno@pec.beta.example", pec.FormComplete, eightBit),
			b.Anomaly(pec.AnomalyInput{Header: header, FallbackID: "x@y.example", EightBit: eightBit}, at)} {
			root := scan(t, seal(d, original)).Root
			mixed := root.Children[0]
			inner := mixed.Children[len(mixed.Children)-1]
			for _, p := range []*rfc822.Part{root, mixed, inner} {
				if p.Encoding != want {
					t.Errorf("%s of %s is %s, want %s", p.MediaType, d.Kind, p.Encoding, want)
				}
			}
			if d.EightBit != eightBit {
				t.Errorf("%s: EightBit is %v", d.Kind, d.EightBit)
			}
		}
	}
	if b.Delivery(m, at, "bruno@pec.beta.example", pec.FormConcise, true).EightBit {
		t.Error("a receipt without the original is never 8bit")
	}
}

func TestDeliveryTitles(t *testing.T) {
	for form, title := range map[pec.DeliveryForm]string{
		pec.FormComplete: "-- Ricevuta di avvenuta consegna --",
		pec.FormBrief:    "-- Ricevuta breve di avvenuta consegna --",
		pec.FormConcise:  "-- Ricevuta sintetica di avvenuta consegna --",
	} {
		d := testBuilder(t).Delivery(testMessage(), romeTime(), "bruno@pec.beta.example", form, false)
		if !bytes.Contains(d.Before, []byte(title)) {
			t.Errorf("no %q", title)
		}
		if d.WithOriginal != (form != pec.FormConcise) {
			t.Errorf("%s: original %v", form, d.WithOriginal)
		}
	}
}

func TestEnvelopeReceiptType(t *testing.T) {
	b, m := testBuilder(t), testMessage()
	header, original := rewrittenOriginal(t)
	for _, c := range []struct {
		receipt pec.ReceiptType
		asked   bool
		header  string
		data    pec.ReceiptType
	}{
		{"", false, "", pec.ReceiptComplete},
		{pec.ReceiptComplete, false, "", pec.ReceiptComplete},
		{pec.ReceiptBrief, true, "breve", pec.ReceiptBrief},
		{pec.ReceiptConcise, true, "sintetica", pec.ReceiptConcise},
	} {
		m.Receipt, m.ReceiptAsked = c.receipt, c.asked
		d := b.TransportEnvelope(m, romeTime(), header, false)
		if got := parseHeader(t, string(d.Outer)).Get("X-TipoRicevuta"); got != c.header {
			t.Errorf("X-TipoRicevuta %q, want %q", got, c.header)
		}
		_, _, xml := checkShape(t, built{draft: d, original: original, certData: &pec.CertData{}}, seal(d, original))
		if data, err := pec.ReadCertData(xml); err != nil || data.Receipt != c.data {
			t.Errorf("ricevuta %q, want %q (%v)", data.Receipt, c.data, err)
		}
	}
}

func TestWithoutSubjectAndMessageID(t *testing.T) {
	b, m := testBuilder(t), testMessage()
	m.Subject, m.HasSubject, m.MsgID = "", false, ""
	d := b.Acceptance(m, romeTime())
	h := parseHeader(t, string(d.Outer))
	if got := h.Get("Subject"); got != "ACCETTAZIONE:" {
		t.Errorf("Subject %q", got)
	}
	if h.Has("X-Riferimento-Message-ID") {
		t.Error("X-Riferimento-Message-ID without a Message-ID of the client")
	}
	plain, _, xml := checkShape(t, built{draft: d, certData: &pec.CertData{}}, seal(d, nil))
	if !bytes.Contains(plain, []byte("(senza oggetto)")) || !bytes.Contains(plain, []byte("(no subject)")) {
		t.Error("the text does not say that there is no subject")
	}
	if data, err := pec.ReadCertData(xml); err != nil || data.HasSubject || data.MsgID != "" {
		t.Errorf("%+v %v", data, err)
	}
}

func BenchmarkAcceptance1000(b *testing.B) { benchmark1000(b, pec.Builder.Acceptance) }

func BenchmarkDelivery1000(b *testing.B) {
	benchmark1000(b, func(build pec.Builder, m pec.Message, at time.Time) pec.Draft {
		return build.Delivery(m, at, "bruno@pec.beta.example", pec.FormConcise, false)
	})
}

func benchmark1000(b *testing.B, build func(pec.Builder, pec.Message, time.Time) pec.Draft) {
	builder, m := testBuilder(b), testMessage()
	for len(m.Recipients) < 1000 {
		m.Recipients = append(m.Recipients, pec.Recipient{Address: "ufficio.protocollo.generale@pec.comune.example.it"})
	}
	b.ReportAllocs()
	for b.Loop() {
		d := build(builder, m, romeTime())
		b.SetBytes(int64(len(d.Before)))
	}
}
