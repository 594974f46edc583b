// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/pec"
	"pecd/rfc822"
)

func recognise(t testing.TB, message []byte) *pec.Recognised {
	t.Helper()
	r, err := pec.Recognise(scanRaw(message), bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if (r.Kind == pec.None) != (r.Reason != "") || (r.Reason == "") != (r.ReasonEN == "") {
		t.Fatalf("kind %v with reason %q, %q", r.Kind, r.Reason, r.ReasonEN)
	}
	if r.Kind != pec.None && (r.Signed == nil || len(r.Signature) == 0 || r.From == "") {
		t.Fatalf("%v without a signature or From", r.Kind)
	}
	return r
}

// The messages that we build are recognised as what they are.
func TestRecogniseOwnMessages(t *testing.T) {
	for _, b := range everyMessage(t) {
		t.Run(b.name, func(t *testing.T) {
			message := seal(b.draft, b.original)
			r := recognise(t, message)
			want := b.draft.Kind
			if want == pec.Timeout24 {
				want = pec.Timeout12 // one form
			}
			if r.Kind != want || r.Claimed != want {
				t.Fatalf("%v (claimed %v): %s", r.Kind, r.Claimed, r.ReasonEN)
			}
			if b.certData != nil && !sameCertData(*r.CertData, *b.certData) {
				t.Errorf("certification data %+v, want %+v", *r.CertData, *b.certData)
			}
			if (b.certData == nil) != (r.CertData == nil) || (r.CertData == nil) != (r.CertDataXML == nil) {
				t.Errorf("certification data %+v", r.CertData)
			}
			if (b.original == nil) != (r.Original == nil) {
				t.Fatalf("original %+v", r.Original)
			}
			if r.Original != nil {
				if got := message[r.Original.BodyOffset:r.Original.End]; !bytes.Equal(got, b.original) {
					t.Errorf("original %q, want %q", got, b.original)
				}
			}
			var entity bytes.Buffer
			if err := b.draft.WriteEntity(&entity, bytes.NewReader(b.original)); err != nil {
				t.Fatal(err)
			}
			if got := message[r.Signed.Offset:r.Signed.End]; !bytes.Equal(got, entity.Bytes()) {
				t.Errorf("signed %q, want %q", got, entity.Bytes())
			}
			if !bytes.Equal(r.Signature, bytes.Repeat([]byte("segno"), 40)) {
				t.Errorf("signature %q", r.Signature)
			}
			if r.From != "posta-certificata@pec.alfa.example" || r.ReceiptRef != b.header["X-Riferimento-Message-ID"] ||
				strings.TrimSpace(r.Subject) != strings.TrimSpace(b.header["Subject"]) {
				t.Errorf("From %q, reference %q, subject %q", r.From, r.ReceiptRef, r.Subject)
			}
		})
	}
}

const receiptXML = `<?xml version="1.0" encoding="UTF-8"?>
<postacert tipo="TIPO" errore="ERRORE">
<intestazione><mittente>anna@pec.alfa.example</mittente><destinatari>bruno@pec.beta.example</destinatari><risposte>anna@pec.alfa.example</risposte></intestazione>
<dati><gestore-emittente>Beta</gestore-emittente><data zona="+0200"><giorno>03/06/2026</giorno><ora>10:15:07</ora></data>
<identificativo>1@x</identificativo>REST</dati>
</postacert>
`

func certXML(tipo, errore, rest string) string {
	return strings.NewReplacer("TIPO", tipo, "ERRORE", errore, "REST", rest).Replace(receiptXML)
}

// handmade is a message put together by hand, to bend every part of the form.
type handmade struct {
	header, protocol string
	mixed            string // type of the signed part
	parts            []string
	signature        string
}

const (
	partText     = "Content-Type: text/plain\n\ntesto\n"
	partOriginal = "Content-Type: message/rfc822; name=postacert.eml\n\nSubject: x\n\nhi\n"
	fromService  = "From: posta-certificata@pec.beta.example\n"
	consegna     = "<consegna>bruno@pec.beta.example</consegna>"
)

func partXML(xml string) string {
	return "Content-Type: application/xml; name=\"daticert.xml\"\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(xml)) + "\n"
}

func (h handmade) bytes() []byte {
	var b strings.Builder
	if h.protocol == "" {
		h.protocol = "application/pkcs7-signature"
	}
	if h.mixed == "" {
		h.mixed = "multipart/mixed"
	}
	if h.signature == "" {
		h.signature = "Content-Type: application/pkcs7-signature\nContent-Transfer-Encoding: base64\n\nc2Vnbm8=\n"
	}
	b.WriteString(h.header + "Content-Type: multipart/signed; protocol=\"" + h.protocol + "\"; micalg=SHA1; boundary=s\n\n--s\n")
	b.WriteString("Content-Type: " + h.mixed + "; boundary=m\n\n")
	for _, p := range h.parts {
		b.WriteString("--m\n" + p)
	}
	b.WriteString("--m--\n--s\n" + h.signature + "--s--\n")
	return []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
}

func receipt(header, xml string, more ...string) handmade {
	return handmade{header: fromService + header, parts: append([]string{partText, partXML(xml)}, more...)}
}

func TestRecogniseForm(t *testing.T) {
	delivery := certXML("avvenuta-consegna", "nessuno", consegna)
	const isDelivery, isEnvelope, isAnomaly = "X-Ricevuta: avvenuta-consegna\n", "X-Trasporto: posta-certificata\n", "X-Trasporto: errore\n"
	envelope := certXML("posta-certificata", "nessuno", "")
	bend := func(h handmade, f func(*handmade)) handmade { f(&h); return h }
	tests := []struct {
		name    string
		message handmade
		kind    pec.Kind
		claimed pec.Kind // where kind is None
		reason  string
	}{
		{name: "delivery", message: receipt(isDelivery, delivery), kind: pec.Delivery},
		{name: "delivery with original", message: receipt(isDelivery, delivery, partOriginal), kind: pec.Delivery},
		{name: "other case of names and values", message: receipt("x-RICEVUTA: Avvenuta-Consegna \n", delivery), kind: pec.Delivery},
		{name: "old protocol", message: bend(receipt(isDelivery, delivery), func(h *handmade) { h.protocol = "application/x-pkcs7-signature" }), kind: pec.Delivery},
		{name: "name of the file in disposition alone", message: handmade{header: fromService + isDelivery, parts: []string{partText,
			"Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=DATICERT.XML\nContent-Transfer-Encoding: 7bit\n\n" + delivery}}, kind: pec.Delivery},
		{name: "daticert quoted-printable", message: handmade{header: fromService + isDelivery, parts: []string{partText,
			"Content-Type: application/xml; name=daticert.xml\nContent-Transfer-Encoding: Quoted-Printable\n\n" + strings.ReplaceAll(delivery, "=", "=3D")}}, kind: pec.Delivery},
		{name: "daticert in base64 with blanks", message: handmade{header: fromService + isDelivery, parts: []string{partText,
			strings.Replace(partXML(delivery), "PD94", " PD\t94 \n", 1)}}, kind: pec.Delivery},
		{name: "envelope", message: receipt(isEnvelope, envelope, partOriginal), kind: pec.TransportEnvelope},
		{name: "envelope, original first", message: handmade{header: fromService + isEnvelope, parts: []string{partText, partOriginal, partXML(envelope)}}, kind: pec.TransportEnvelope},
		{name: "envelope with a part of the provider", message: receipt(isEnvelope, envelope, partOriginal, "Content-Type: application/pdf; name=x.pdf\n\nx\n"), kind: pec.TransportEnvelope},
		{name: "anomaly", message: handmade{header: fromService + isAnomaly, parts: []string{partText, "Content-Type: message/rfc822\n\nSubject: x\n\nhi\n"}}, kind: pec.AnomalyEnvelope},
		{name: "virus by header", message: receipt("X-Ricevuta: errore-consegna\nX-VerificaSicurezza: Errore\n", certXML("errore-consegna", "virus", consegna)), kind: pec.NonDeliveryVirus},
		{name: "virus by daticert", message: receipt("X-Ricevuta: non-accettazione\n", certXML("non-accettazione", "virus", "")), kind: pec.NonAcceptanceVirus, claimed: pec.NonAcceptance},
		{name: "virus detection of older stacks", message: receipt("X-Ricevuta: rilevazione-virus\n", certXML("rilevazione-virus", "virus", "<ricezione>b@c</ricezione>")), kind: pec.VirusDetection},
		{name: "timeout", message: receipt("X-Ricevuta: preavviso-errore-consegna\n", certXML("preavviso-errore-consegna", "altro", consegna)), kind: pec.Timeout12},

		{name: "ordinary signed mail", message: receipt("", delivery), reason: "not a certified mail message"},
		{name: "unknown value", message: receipt("X-Ricevuta: mancata-consegna\n", delivery), reason: "unknown value"},
		{name: "empty value", message: receipt("X-Ricevuta: \n", delivery), reason: "unknown value"},
		{name: "both fields", message: receipt(isDelivery+isEnvelope, envelope, partOriginal), claimed: pec.TransportEnvelope, reason: "contradict"},
		{name: "field twice", message: receipt(isDelivery+isDelivery, delivery), claimed: pec.Delivery, reason: "contradict"},
		{name: "daticert of another kind", message: receipt(isDelivery, certXML("accettazione", "nessuno", "")), claimed: pec.Delivery, reason: "differs"},
		{name: "security header without an error", message: receipt(isDelivery+"X-VerificaSicurezza: errore\n", delivery), claimed: pec.Delivery, reason: "X-VerificaSicurezza"},
		{name: "no daticert", message: handmade{header: fromService + isDelivery, parts: []string{partText}}, claimed: pec.Delivery, reason: "daticert.xml is missing"},
		{name: "two daticerts", message: receipt(isDelivery, delivery, partXML(delivery)), claimed: pec.Delivery, reason: "more than one daticert"},
		{name: "two originals", message: receipt(isEnvelope, envelope, partOriginal, partOriginal), claimed: pec.TransportEnvelope, reason: "more than one original"},
		{name: "daticert with DOCTYPE", message: receipt(isDelivery, strings.Replace(delivery, "<postacert", "<!DOCTYPE postacert [<!ENTITY a \"b\">]><postacert", 1)),
			claimed: pec.Delivery, reason: "DOCTYPE"},
		{name: "daticert that is no XML", message: receipt(isDelivery, "junk"), claimed: pec.Delivery, reason: "does not conform"},
		{name: "daticert in broken base64", message: handmade{header: fromService + isDelivery, parts: []string{partText,
			"Content-Type: application/xml; name=daticert.xml\nContent-Transfer-Encoding: base64\n\n!!!\n"}}, claimed: pec.Delivery, reason: "not readable"},
		{name: "daticert in an unknown encoding", message: handmade{header: fromService + isDelivery, parts: []string{partText,
			"Content-Type: application/xml; name=daticert.xml\nContent-Transfer-Encoding: x-uuencode\n\nx\n"}}, claimed: pec.Delivery, reason: "not readable"},
		{name: "daticert too large", message: receipt(isDelivery, strings.Repeat(" ", 4<<20)+delivery), claimed: pec.Delivery, reason: "too large"},
		{name: "daticert far too large", message: receipt(isDelivery, strings.Repeat(" ", 17<<20)), claimed: pec.Delivery, reason: "too large"},
		{name: "no text", message: handmade{header: fromService + isDelivery, parts: []string{partXML(delivery)}}, claimed: pec.Delivery, reason: "text part"},
		{name: "no parts", message: handmade{header: fromService + isDelivery}, claimed: pec.Delivery, reason: "not multipart/mixed"},
		{name: "signed part of another type", message: bend(receipt(isDelivery, delivery), func(h *handmade) { h.mixed = "multipart/alternative" }), claimed: pec.Delivery, reason: "not multipart/mixed"},
		{name: "envelope without original", message: receipt(isEnvelope, envelope), claimed: pec.TransportEnvelope, reason: "original message"},
		{name: "envelope with encoded original", message: receipt(isEnvelope, envelope, strings.Replace(partOriginal, "\n\n", "\nContent-Transfer-Encoding: base64\n\n", 1)),
			claimed: pec.TransportEnvelope, reason: "encoding"},
		{name: "envelope with original of another type", message: receipt(isEnvelope, envelope, strings.Replace(partOriginal, "message/rfc822", "application/octet-stream", 1)),
			claimed: pec.TransportEnvelope, reason: "message/rfc822"},
		{name: "envelope with an error", message: receipt(isEnvelope, certXML("posta-certificata", "altro", ""), partOriginal), claimed: pec.TransportEnvelope, reason: "error"},
		{name: "non-acceptance with the original", message: receipt("X-Ricevuta: non-accettazione\n", certXML("non-accettazione", "altro", ""), partOriginal), claimed: pec.NonAcceptance, reason: "none is allowed"},
		{name: "delivery without recipient", message: receipt(isDelivery, certXML("avvenuta-consegna", "nessuno", "")), claimed: pec.Delivery, reason: "consegna"},
		{name: "take-charge without recipients", message: receipt("X-Ricevuta: presa-in-carico\n", certXML("presa-in-carico", "nessuno", "")), claimed: pec.TakeCharge, reason: "ricezione"},
		{name: "virus detection without recipient", message: receipt("X-Ricevuta: rilevazione-virus\n", certXML("rilevazione-virus", "virus", "")), claimed: pec.VirusDetection, reason: "consegna"},
		{name: "anomaly with daticert", message: receipt(isAnomaly, delivery, partOriginal), claimed: pec.AnomalyEnvelope, reason: "anomaly"},
		{name: "anomaly without message", message: handmade{header: fromService + isAnomaly, parts: []string{partText, partText}}, claimed: pec.AnomalyEnvelope, reason: "anomaly"},
		{name: "no From", message: bend(receipt(isDelivery, delivery), func(h *handmade) { h.header = isDelivery }), claimed: pec.Delivery, reason: "From"},
		{name: "two Froms", message: receipt(fromService+isDelivery, delivery), claimed: pec.Delivery, reason: "From"},

		{name: "signature of another type", message: bend(receipt(isDelivery, delivery), func(h *handmade) { h.signature = "Content-Type: text/plain\n\nx\n" }),
			claimed: pec.Delivery, reason: "no signature"},
		{name: "PGP", message: bend(receipt(isDelivery, delivery), func(h *handmade) {
			h.protocol, h.signature = "application/pgp-signature", "Content-Type: application/pgp-signature\n\nx\n"
		}), claimed: pec.Delivery, reason: "no signature"},
		{name: "third part", message: bend(receipt(isDelivery, delivery), func(h *handmade) {
			h.signature = "Content-Type: application/pkcs7-signature\n\nx\n--s\n\nmore\n"
		}), claimed: pec.Delivery, reason: "no signature"},
		{name: "empty signature", message: bend(receipt(isDelivery, delivery), func(h *handmade) { h.signature = "Content-Type: application/pkcs7-signature\n\n" }),
			claimed: pec.Delivery, reason: "signature not readable"},
		{name: "signature too large", message: bend(receipt(isDelivery, delivery), func(h *handmade) {
			h.signature = "Content-Type: application/pkcs7-signature\n\n" + strings.Repeat("x", 256<<10) + "y\n"
		}), claimed: pec.Delivery, reason: "too large"},
		{name: "signature far too large", message: bend(receipt(isDelivery, delivery), func(h *handmade) {
			h.signature = "Content-Type: application/pkcs7-signature\n\n" + strings.Repeat("x", 2<<20) + "\n"
		}), claimed: pec.Delivery, reason: "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claimed := tt.claimed
			if tt.kind != pec.None && claimed == pec.None {
				claimed = tt.kind
			}
			r := recognise(t, tt.message.bytes())
			if r.Kind != tt.kind || r.Claimed != claimed || !strings.Contains(r.ReasonEN, tt.reason) {
				t.Errorf("%v, claimed %v, reason %q; want %v, %v, %q", r.Kind, r.Claimed, r.ReasonEN, tt.kind, claimed, tt.reason)
			}
			if len(r.Signature) > 256<<10 || len(r.CertDataXML) > 4<<20 {
				t.Errorf("%d octets of signature, %d of certification data", len(r.Signature), len(r.CertDataXML))
			}
		})
	}
}

func TestRecogniseOrdinary(t *testing.T) {
	for _, message := range []string{
		"", "From: a@b\r\n\r\nhi\r\n", "X-Ricevuta: accettazione\r\n\r\nhi\r\n",
		"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n",
		"Content-Type: application/pkcs7-mime\r\n\r\nx\r\n",
	} {
		r := recognise(t, []byte(message))
		if r.Kind != pec.None || r.Signed != nil || r.Signature != nil || !strings.Contains(r.Reason, "firma assente") {
			t.Errorf("%q: %+v", message, r)
		}
	}
}

func TestRecogniseReadErrors(t *testing.T) {
	message := receipt("X-Ricevuta: avvenuta-consegna\n", certXML("avvenuta-consegna", "nessuno", consegna)).bytes()
	m := scanRaw(message)
	signature := m.Root.Children[1]
	for _, at := range []int64{0, signature.BodyOffset, signature.End - 1} {
		if _, err := pec.Recognise(m, failingReader{at}); !errors.Is(err, errDisk) {
			t.Errorf("reading up to %d: %v", at, err)
		}
	}
	// The signature can be read, daticert.xml cannot.
	if _, err := pec.Recognise(m, readsFrom{signature.BodyOffset, bytes.NewReader(message)}); !errors.Is(err, errDisk) {
		t.Errorf("reading daticert.xml: %v", err)
	}
}

type readsFrom struct {
	start int64
	r     *bytes.Reader
}

func (f readsFrom) ReadAt(p []byte, off int64) (int, error) {
	if off < f.start {
		return 0, errDisk
	}
	return f.r.ReadAt(p, off)
}

func TestRecogniseSamples(t *testing.T) {
	dir := "../../shared/samples/pec"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("real messages are not distributed: ", err)
	}
	const extended = "5.1.1 - %s - indirizzo non valido"
	for name, want := range map[string]struct {
		kind, claimed            pec.Kind
		from, issuer             string
		code                     pec.ErrorCode
		extended                 string
		hasDelivery, hasOriginal bool
	}{
		"aruba2015-accettazione.eml": {kind: pec.Acceptance, from: "posta-certificata@pec.aruba.it", issuer: "ARUBA PEC S.p.A."},
		"aruba2021-accettazione.eml": {kind: pec.Acceptance, from: "posta-certificata@pec.aruba.it", issuer: "ARUBA PEC S.p.A."},
		"aruba2021-consegna-cc.eml":  {kind: pec.Delivery, from: "posta-certificata@pec.aruba.it", issuer: "ARUBA PEC S.p.A.", hasDelivery: true},
		"aruba2021-errore-consegna.eml": {kind: pec.NonDelivery, from: "posta-certificata@pec.aruba.it", issuer: "ARUBA PEC S.p.A.",
			code: pec.NoDest, extended: fmt.Sprintf(extended, "Aruba Pec S.p.A."), hasDelivery: true},
		"infocert2015-consegna-ber.eml": {kind: pec.Delivery, from: "posta-certificata@legalmail.it", issuer: "InfoCert S.p.A.", hasDelivery: true, hasOriginal: true},
		"aruba2026-errore-consegna-anonymised.eml": {kind: pec.NonDelivery, from: "posta-certificata@pec.aruba.it", issuer: "ARUBA PEC S.p.A.",
			code: pec.OtherError, extended: fmt.Sprintf(extended, "ARUBA PEC S.p.A."), hasDelivery: true},
		"aruba2026-busta-unsigned.eml": {claimed: pec.TransportEnvelope, from: "posta-certificata@pec.aruba.it"},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			r := recognise(t, message)
			if want.claimed == pec.None {
				want.claimed = want.kind
			}
			if r.Kind != want.kind || r.Claimed != want.claimed || r.From != want.from {
				t.Fatalf("%v, claimed %v, from %q: %s", r.Kind, r.Claimed, r.From, r.ReasonEN)
			}
			if r.Kind == pec.None {
				if r.Signed != nil || r.Signature != nil {
					t.Error("signature in a message without one")
				}
				return
			}
			if want.code == "" {
				want.code = pec.NoError
			}
			d := r.CertData
			if d.Issuer != want.issuer || d.ID == "" || d.Error != want.code || d.ExtendedError != want.extended ||
				d.MsgID != r.ReceiptRef || (d.Delivery != "") != want.hasDelivery || (r.Original != nil) != want.hasOriginal {
				t.Errorf("%+v", *d)
			}
			if r.Signature[0] != 0x30 {
				t.Errorf("signature starts with %x", r.Signature[:4])
			}
		})
	}
}

func FuzzRecognise(f *testing.F) {
	for _, b := range everyMessage(f) {
		f.Add(seal(b.draft, b.original))
	}
	f.Add(receipt("X-Ricevuta: avvenuta-consegna\n", certXML("avvenuta-consegna", "nessuno", consegna), partOriginal).bytes())
	f.Fuzz(func(t *testing.T, message []byte) {
		r := recognise(t, message)
		if len(r.Signature) > 256<<10 || len(r.CertDataXML) > 4<<20 || strings.ContainsAny(r.Reason+r.Subject+r.From+r.ReceiptRef, "\r\n") {
			t.Fatalf("%+v", r)
		}
		for _, p := range []*rfc822.Part{r.Signed, r.Original} {
			if p != nil && (p.Offset < 0 || p.End > int64(len(message))) {
				t.Fatalf("part %+v", p)
			}
		}
	})
}

func BenchmarkRecognise(b *testing.B) {
	message := receipt("X-Ricevuta: avvenuta-consegna\n", certXML("avvenuta-consegna", "nessuno", consegna), partOriginal).bytes()
	m := scanRaw(message)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := pec.Recognise(m, bytes.NewReader(message)); err != nil || r.Kind != pec.Delivery {
			b.Fatal(r, err)
		}
	}
}
