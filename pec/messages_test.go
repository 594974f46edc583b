// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"io"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/pec"
	"pecd/rfc822"
)

var updateGolden = flag.Bool("update", false, "write the golden files of built messages anew")

const (
	testReceived = "Received: from client.example ([192.0.2.7])\r\n\tby mail.pec.alfa.example with ESMTPSA;\r\n" +
		"\tWed, 3 Jun 2026 10:15:05 +0200\r\n"
	testOriginal = "From: =?UTF-8?Q?Anna_Perch=C3=A9?= <anna@pec.alfa.example>\r\n" +
		"To: Bruno <bruno@pec.beta.example>,\r\n  dora@pec.beta.example\r\n" +
		"cc: carla@mail.example\r\n" +
		"Subject: =?ISO-8859-1?Q?Ordine_n._7:_perch=E9?=\r\n" +
		"Message-ID: <abc.1@client.example>\r\n" +
		"X-TipoRicevuta: completa\r\n" +
		"MIME-Version: 1.0\r\n\r\n" +
		"Buongiorno.\r\n"
)

// romeTime is the instant of the built messages, given in UTC.
func romeTime() time.Time { return time.Date(2026, 6, 3, 8, 15, 5, 123456789, time.UTC) }

func testBuilder(t testing.TB) pec.Builder {
	t.Helper()
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return pec.Builder{
		Provider: pec.Provider{Name: "Alfa PEC S.p.A.", ServiceAddress: "posta-certificata@pec.alfa.example", Domain: "pec.alfa.example"},
		Location: rome,
		Secret:   []byte("0123456789abcdef"),
	}
}

func testID() string {
	return pec.NewID(time.Date(2026, 6, 3, 10, 15, 5, 0, time.UTC), [16]byte{0xA1, 2, 3}, "pec.alfa.example")
}

func testMessage() pec.Message {
	return pec.Message{
		ID: testID(), MsgID: "<abc.1@client.example>", Sender: "anna@pec.alfa.example",
		Recipients: []pec.Recipient{{Address: "bruno@pec.beta.example"}, {Address: "dora@pec.beta.example"},
			{Address: "carla@mail.example", External: true}},
		Subject: "Ordine n. 7: perché", HasSubject: true, Receipt: pec.ReceiptComplete, ReceiptAsked: true,
	}
}

func parseHeader(t testing.TB, raw string) rfc822.Header {
	t.Helper()
	h, err := rfc822.ParseHeader([]byte(raw), rfc822.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// rewrittenOriginal is the test message as it goes into postacert.eml.
func rewrittenOriginal(t testing.TB) (header rfc822.Header, whole []byte) {
	t.Helper()
	head, body, _ := strings.Cut(testOriginal, "\r\n\r\n")
	raw, _ := pec.RewriteOriginal(parseHeader(t, head+"\r\n"), testID(), []byte(testReceived))
	return parseHeader(t, string(raw)), append(raw, body...)
}

// built is one message with what is expected of it.
type built struct {
	name     string
	draft    pec.Draft
	original []byte
	certData *pec.CertData // nil: no daticert.xml
	header   map[string]string
}

// everyMessage builds each message of RFC 6109 once.
func everyMessage(t testing.TB) []built {
	t.Helper()
	b, m, at := testBuilder(t), testMessage(), romeTime()
	rewritten, original := rewrittenOriginal(t)
	const bruno, service = "bruno@pec.beta.example", "servizio@pec.beta.example"
	virus := "Eicar-Test-Signature"

	base := pec.CertData{Error: pec.NoError, Sender: m.Sender, Recipients: m.Recipients, ReplyTo: m.Sender,
		Subject: m.Subject, HasSubject: true, Issuer: "Alfa PEC S.p.A.",
		At: at.Truncate(time.Second).In(time.FixedZone("", 7200)), ID: m.ID, MsgID: m.MsgID}
	data := func(kind string, change func(*pec.CertData)) *pec.CertData {
		c := base
		c.Type = kind
		if change != nil {
			change(&c)
		}
		return &c
	}
	header := func(receipt, prefix string, more ...string) map[string]string {
		h := map[string]string{"X-Ricevuta": receipt, "Subject": prefix + m.Subject, "To": m.Sender,
			"From": "posta-certificata@pec.alfa.example", "X-Riferimento-Message-ID": m.MsgID,
			"X-Trasporto": "", "X-VerificaSicurezza": "", "X-Mittente": "", "Reply-To": "", "X-TipoRicevuta": "",
			"Date": "Wed, 03 Jun 2026 10:15:05 +0200"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	anomalous := "Return-Path: <zoe@mail.example>\r\nReceived: from a\r\n\tby b; Wed, 3 Jun 2026 08:15:00 +0000\r\n" +
		"From: Zoe <zoe@mail.example>\r\nTo: bruno@pec.alfa.example\r\nSubject: Saluti\r\n"
	in := pec.AnomalyInput{Sender: "zoe@mail.example", Recipients: []string{"bruno@pec.alfa.example"},
		Reason: "il messaggio non è di posta certificata", ReasonEN: "the message is not certified mail",
		FallbackID: "pecd1.20260603101505.ff.1@pec.alfa.example"}
	in.Header = parseHeader(t, anomalous+"Message-ID:\r\n <zoe.1@mail.example>\r\n")
	bare := in
	bare.Header = parseHeader(t, strings.Replace(anomalous, "Subject: Saluti\r\n", "Reply-To: altra@mail.example\r\n", 1))
	bare.Sender, bare.ReasonEN = "", ""

	anomalyHeader := func(more ...string) map[string]string {
		h := map[string]string{"X-Ricevuta": "", "X-Trasporto": "errore", "Subject": "ANOMALIA MESSAGGIO: Saluti",
			"From":                     `"Per conto di: zoe@mail.example" <posta-certificata@pec.alfa.example>`,
			"To":                       "bruno@pec.alfa.example",
			"Reply-To":                 "zoe@mail.example",
			"Return-Path":              "<zoe@mail.example>",
			"Received":                 "from a\tby b; Wed, 3 Jun 2026 08:15:00 +0000",
			"Message-ID":               "<zoe.1@mail.example>",
			"X-Riferimento-Message-ID": "",
			"Date":                     "Wed, 03 Jun 2026 10:15:05 +0200"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}

	return []built{
		{"accettazione", b.Acceptance(m, at), nil, data("accettazione", nil),
			header("accettazione", "ACCETTAZIONE: ")},
		{"non-accettazione", b.NonAcceptance(m, at, "il campo Bcc non è vuoto"), nil,
			data("non-accettazione", func(c *pec.CertData) {
				c.Error, c.ExtendedError = pec.OtherError, "il campo Bcc non è vuoto"
			}),
			header("non-accettazione", "AVVISO DI NON ACCETTAZIONE: ")},
		{"non-accettazione-virus", b.NonAcceptanceVirus(m, at, virus), nil,
			data("non-accettazione", func(c *pec.CertData) { c.Error, c.ExtendedError = pec.Virus, virus }),
			header("non-accettazione", "AVVISO DI NON ACCETTAZIONE PER VIRUS: ", "X-VerificaSicurezza", "errore")},
		{"posta-certificata", b.TransportEnvelope(m, at, rewritten, false), original,
			data("posta-certificata", func(c *pec.CertData) { c.Receipt = pec.ReceiptComplete }),
			header("", "POSTA CERTIFICATA: ", "X-Trasporto", "posta-certificata",
				"From", `"Per conto di: anna@pec.alfa.example" <posta-certificata@pec.alfa.example>`,
				"To", "Bruno <bruno@pec.beta.example>,  dora@pec.beta.example", "Cc", "carla@mail.example",
				"Reply-To", "anna@pec.alfa.example", "Message-ID", "<"+m.ID+">", "X-TipoRicevuta", "completa",
				"Received", "from client.example ([192.0.2.7])\tby mail.pec.alfa.example with ESMTPSA;\tWed, 3 Jun 2026 10:15:05 +0200")},
		{"presa-in-carico", b.TakeCharge(m, at, []string{bruno, "dora@pec.beta.example"}, service), nil,
			data("presa-in-carico", func(c *pec.CertData) { c.Receptions = []string{bruno, "dora@pec.beta.example"} }),
			header("presa-in-carico", "PRESA IN CARICO: ", "To", service)},
		{"consegna-completa", b.Delivery(m, at, bruno, pec.FormComplete, false), original,
			data("avvenuta-consegna", func(c *pec.CertData) { c.Receipt, c.Delivery = pec.ReceiptComplete, bruno }),
			header("avvenuta-consegna", "CONSEGNA: ")},
		{"consegna-breve", b.Delivery(m, at, bruno, pec.FormBrief, false), original,
			data("avvenuta-consegna", func(c *pec.CertData) { c.Receipt, c.Delivery = pec.ReceiptComplete, bruno }),
			header("avvenuta-consegna", "CONSEGNA: ")},
		{"consegna-sintetica", b.Delivery(m, at, bruno, pec.FormConcise, true), nil,
			data("avvenuta-consegna", func(c *pec.CertData) { c.Receipt, c.Delivery = pec.ReceiptComplete, bruno }),
			header("avvenuta-consegna", "CONSEGNA: ")},
		{"errore-consegna", b.NonDelivery(m, at, bruno, pec.NoDest,
			pec.ExtendedError("5.1.1", "Alfa PEC S.p.A.", "indirizzo non valido")), nil,
			data("errore-consegna", func(c *pec.CertData) {
				c.Error, c.Delivery, c.ExtendedError = pec.NoDest, bruno, "5.1.1 - Alfa PEC S.p.A. - indirizzo non valido"
			}),
			header("errore-consegna", "AVVISO DI MANCATA CONSEGNA: ")},
		{"errore-consegna-virus", b.NonDeliveryVirus(m, at, bruno, virus), nil,
			data("errore-consegna", func(c *pec.CertData) { c.Error, c.Delivery, c.ExtendedError = pec.Virus, bruno, virus }),
			header("errore-consegna", "AVVISO DI MANCATA CONSEGNA PER VIRUS: ", "X-VerificaSicurezza", "errore")},
		{"preavviso-12h", b.Timeout(m, at, bruno, false), nil,
			data("preavviso-errore-consegna", func(c *pec.CertData) {
				c.Error, c.Delivery = pec.OtherError, bruno
				c.ExtendedError = "5.4.1 - Alfa PEC S.p.A. - nessuna conferma dal gestore del destinatario nelle prime 12 ore"
			}),
			header("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ")},
		{"preavviso-24h", b.Timeout(m, at, bruno, true), nil,
			data("preavviso-errore-consegna", func(c *pec.CertData) {
				c.Error, c.Delivery = pec.OtherError, bruno
				c.ExtendedError = "5.4.1 - Alfa PEC S.p.A. - nessuna conferma di consegna nelle 24 ore successive all'invio"
			}),
			header("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ")},
		{"rilevazione-virus", b.VirusDetection(m, at, bruno, virus, service), nil,
			data("rilevazione-virus", func(c *pec.CertData) { c.Error, c.Delivery, c.ExtendedError = pec.Virus, bruno, virus }),
			header("rilevazione-virus", "PROBLEMA DI SICUREZZA: ", "To", service, "X-Mittente", m.Sender)},
		{"anomalia", b.Anomaly(in, at), []byte(string(in.Header.Raw()) + "\r\nCiao.\r\n"), nil, anomalyHeader()},
		{"anomalia-spoglia", b.Anomaly(bare, at), []byte(string(bare.Header.Raw()) + "\r\nCiao."), nil,
			anomalyHeader("Subject", "ANOMALIA MESSAGGIO:", "Reply-To", "altra@mail.example",
				"Message-ID", "<pecd1.20260603101505.ff.1@pec.alfa.example>")},
	}
}

// seal makes the stored message with a signature that signs nothing.
func seal(d pec.Draft, original []byte) []byte {
	head, tail := d.Seal(bytes.Repeat([]byte("segno"), 40), "sha-256")
	return slices.Concat(head, original, tail)
}

// scan finds the parts of a message.
func scan(t testing.TB, message []byte) *rfc822.Message {
	t.Helper()
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := s.Write(message); err != nil {
		t.Fatal(err)
	}
	m := s.Finish()
	if len(m.Defects) > 0 {
		t.Fatalf("defects: %+v", m.Defects)
	}
	return m
}

// body returns the decoded body of a part.
func body(t testing.TB, message []byte, p *rfc822.Part) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(message[p.BodyOffset:p.End])
	switch p.Encoding {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkShape holds a message against pec-rules §2.3 and returns its parts.
func checkShape(t testing.TB, b built, message []byte) (plain, html, xml []byte) {
	t.Helper()
	root := scan(t, message).Root
	if root.MediaType != "multipart/signed" || root.Params["protocol"] != "application/x-pkcs7-signature" ||
		root.Params["micalg"] != "sha-256" || len(root.Children) != 2 {
		t.Fatalf("root is %s %v with %d parts", root.MediaType, root.Params, len(root.Children))
	}

	mixed, signature := root.Children[0], root.Children[1]
	var entity bytes.Buffer
	if err := b.draft.WriteEntity(&entity, bytes.NewReader(b.original)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(message[mixed.Offset:mixed.End], entity.Bytes()) {
		t.Error("the first part is not the signed entity octet for octet")
	}
	if signature.MediaType != "application/x-pkcs7-signature" || signature.FileName() != "smime.p7s" ||
		!bytes.Equal(body(t, message, signature), bytes.Repeat([]byte("segno"), 40)) {
		t.Errorf("signature part %s %q", signature.MediaType, signature.FileName())
	}

	want := []string{"multipart/alternative"}
	if b.certData != nil {
		want = append(want, "application/xml")
	}
	if b.original != nil {
		want = append(want, "message/rfc822")
	}
	var have []string
	for _, p := range mixed.Children {
		have = append(have, p.MediaType)
	}
	if mixed.MediaType != "multipart/mixed" || !slices.Equal(have, want) {
		t.Fatalf("%s holds %v, want %v", mixed.MediaType, have, want)
	}
	texts := mixed.Children[0].Children
	if len(texts) != 2 || texts[0].MediaType != "text/plain" || texts[1].MediaType != "text/html" ||
		!strings.EqualFold(texts[0].Params["charset"], "iso-8859-1") || !strings.EqualFold(texts[1].Params["charset"], "iso-8859-1") {
		t.Fatal("the text is not a plain and an HTML part in ISO-8859-1")
	}
	plain, html = body(t, message, texts[0]), body(t, message, texts[1])
	if b.certData != nil {
		p := mixed.Children[1]
		if p.FileName() != "daticert.xml" || p.DispositionParams["filename"] != "daticert.xml" {
			t.Errorf("certification data named %q", p.FileName())
		}
		xml = body(t, message, p)
	}
	if b.original != nil {
		p := mixed.Children[len(mixed.Children)-1]
		if p.FileName() != "postacert.eml" || !bytes.Equal(message[p.BodyOffset:p.End], b.original) {
			t.Errorf("original %q is not there octet for octet", p.FileName())
		}
	}
	return plain, html, xml
}

// longFields may pass 76 columns: inherited as they are, or made of one token.
func longField(line string) bool {
	for _, name := range []string{"Message-ID:", "X-Riferimento-Message-ID:", "To:", "Received:", "Cc:", "X-Mittente:", "Reply-To:"} {
		if strings.HasPrefix(line, name) {
			return true
		}
	}
	return false
}

func TestEveryMessage(t *testing.T) {
	for _, b := range everyMessage(t) {
		t.Run(b.name, func(t *testing.T) {
			message := seal(b.draft, b.original)
			plain, html, xml := checkShape(t, b, message)

			h := scan(t, message).Root.Header
			if got := h.Get("Message-ID"); got != "<"+b.draft.MessageID+">" {
				t.Errorf("Message-ID is %q, the draft says %q", got, b.draft.MessageID)
			}
			if b.draft.Kind != pec.TransportEnvelope && b.draft.MessageID == testID() {
				t.Error("Message-ID is the identificativo of the transaction")
			}
			for name, want := range b.header {
				got := h.Get(name)
				if name == "Subject" {
					got = rfc822.DecodeText(got)
				}
				if got != want || len(h.Values(name)) > 1 {
					t.Errorf("%s: %q, want %q", name, h.Values(name), want)
				}
			}

			switch {
			case b.certData == nil && xml != nil:
				t.Error("an unexpected daticert.xml")
			case b.certData != nil:
				validate(t, xml)
				got, err := pec.ReadCertData(xml)
				if err != nil {
					t.Fatal(err)
				}
				if !sameCertData(got, *b.certData) {
					t.Errorf("daticert.xml\ngot  %+v\nwant %+v", got, *b.certData)
				}
			}

			// The original aside, everything is short lines of ASCII with CRLF.
			frame := message
			if b.original != nil {
				frame = bytes.Replace(message, b.original, nil, 1)
			}
			for _, line := range strings.SplitAfter(string(frame), "\n") {
				if line != "" && !strings.HasSuffix(line, "\r\n") {
					t.Errorf("line without CRLF: %q", line)
				}
				line = strings.TrimSuffix(line, "\r\n")
				if len(line) > 76 && !longField(line) {
					t.Errorf("line of %d columns: %q", len(line), line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return r > 0x7E || (r < ' ' && r != '\t') }) {
					t.Errorf("line with other than ASCII: %q", line)
				}
			}

			for _, want := range []string{"03/06/2026", "10:15:05 (+0200)"} {
				if n := bytes.Count(plain, []byte(want)); n != 2 {
					t.Errorf("%q %d times in the text", want, n)
				}
				if n := bytes.Count(html, []byte(want)); n != 2 {
					t.Errorf("%q %d times in the HTML", want, n)
				}
			}
			if b.certData != nil && bytes.Count(plain, []byte(testID())) != 2 {
				t.Error("the text lacks the identificativo")
			}
			for _, active := range []string{"<script", "<img", "<link", "<style", "href", "src=", "http"} {
				if bytes.Contains(bytes.ToLower(html), []byte(active)) {
					t.Errorf("HTML holds %q", active)
				}
			}

			golden := filepath.Join("testdata", "golden", b.name+".eml")
			if *updateGolden {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, message, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v (go test ./pec -run TestEveryMessage -update writes it)", err)
			}
			if !bytes.Equal(want, message) {
				t.Errorf("differs from %s:\n%s", golden, message)
			}
		})
	}
}
