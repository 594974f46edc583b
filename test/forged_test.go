// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

// forger signs what it likes with alfa's key, as a provider with a defect or
// an intruder would.
type forger struct {
	d           *demo
	certificate string
	key         []string // arguments of openssl
	service     string   // alfa's service address
}

func newForger(t testing.TB, d *demo) *forger {
	t.Helper()
	need(t, "openssl")
	var c struct {
		Provider struct{ Domain string }
		Signing  struct {
			Certificate    string
			Key            string
			PassphraseFile string `toml:"passphrase_file"`
		}
	}
	if _, err := toml.DecodeFile(filepath.Join(d.dir, "alfa.toml"), &c); err != nil {
		t.Fatal(err)
	}
	abs := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(d.dir, p)
	}
	f := &forger{d: d, certificate: abs(c.Signing.Certificate), key: []string{"-inkey", abs(c.Signing.Key)}, service: "posta-certificata@" + c.Provider.Domain}
	if p := abs(c.Signing.PassphraseFile); p != "" {
		f.key = append(f.key, "-passin", "file:"+p)
	}
	return f
}

// sign wraps an entity into multipart/signed below the given header lines.
func (f *forger) sign(t testing.TB, header []string, entity []byte) []byte {
	t.Helper()
	args := []string{"cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER", "-signer", f.certificate, "-certfile", f.d.file(t, "CA_FILE"),
		"-in", write(t, "entity", entity)}
	der := run(t, "openssl", append(args, f.key...)...)
	var b bytes.Buffer
	b.WriteString(strings.Join(header, "\r\n"))
	b.WriteString("\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\";\r\n micalg=sha-256; boundary=\"firma\"\r\n\r\n--firma\r\n")
	b.Write(entity)
	b.WriteString("\r\n--firma\r\nContent-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n")
	b.Write(attachment{content: der}.encoded())
	b.WriteString("\r\n--firma--\r\n")
	return b.Bytes()
}

// forgedEnvelope is a transport envelope of alfa with the given daticert.xml.
type forgedEnvelope struct {
	id, from, to, subject string
	certXML               string
	serviceFrom           string // address in From
	xTrasporto            string
}

const daticertForm = `<?xml version="1.0" encoding="UTF-8"?>
%s<postacert tipo="posta-certificata" errore="nessuno">
<intestazione><mittente>%s</mittente><destinatari tipo="certificato">%s</destinatari><risposte>%s</risposte><oggetto>%s</oggetto></intestazione>
<dati><gestore-emittente>Alfa</gestore-emittente><data zona="+0100"><giorno>03/03/2026</giorno><ora>10:15:05</ora></data>
<identificativo>%s</identificativo><msgid>&lt;x.%s&gt;</msgid><ricevuta tipo="completa"/></dati>
</postacert>
`

func (f *forger) envelope(t testing.TB, e forgedEnvelope) []byte {
	t.Helper()
	original := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\nX-Riferimento-Message-ID: <x.%s>\r\n\r\nTesto.\r\n", e.from, e.to, e.subject, e.id, e.id)
	part := func(header, body string) string { return "--corpo\r\n" + header + "\r\n\r\n" + body + "\r\n" }
	entity := "Content-Type: multipart/mixed; boundary=\"corpo\"\r\n\r\n" +
		part("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable", "Messaggio di posta certificata") +
		part("Content-Type: application/xml; name=\"daticert.xml\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: inline; filename=\"daticert.xml\"",
			string(attachment{content: []byte(e.certXML)}.encoded())) +
		part("Content-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: inline; filename=\"postacert.eml\"", original) +
		"--corpo--\r\n"
	return f.sign(t, []string{
		"Received: from client.example by alfa.example; Tue, 03 Mar 2026 10:15:05 +0100",
		"From: \"Per conto di: " + e.from + "\" <" + e.serviceFrom + ">", "Reply-To: " + e.from, "To: " + e.to,
		"Subject: POSTA CERTIFICATA: " + e.subject, "Date: Tue, 03 Mar 2026 10:15:05 +0100", "Message-ID: <" + e.id + ">",
		"X-Trasporto: " + e.xTrasporto, "X-TipoRicevuta: completa", "X-Riferimento-Message-ID: <x." + e.id + ">",
	}, []byte(entity))
}

// TestForgedEnvelopes walks the decision table of the incoming point
// (pec-rules §1.5) with messages that carry alfa's own signature.
func TestForgedEnvelopes(t *testing.T) {
	d := sharedDemo(t)
	f := newForger(t, d)
	from, to := d.standard(t, "ALFA", 13), d.standard(t, "BETA", 13)
	in := d.openInbox(t, to)
	domain := d.get(t, "ALFA_DOMAIN")
	for i, c := range []struct {
		name    string
		prolog  string // between the XML declaration and the root
		edit    func(*forgedEnvelope)
		tamper  func([]byte) []byte
		anomaly bool
	}{
		{name: "a sound envelope, the control", anomaly: false},
		{name: "DOCTYPE", prolog: "<!DOCTYPE postacert SYSTEM \"postacert.dtd\">\n", anomaly: true},
		{name: "external entity", prolog: "<!DOCTYPE postacert [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n", anomaly: true,
			edit: func(e *forgedEnvelope) { e.certXML = strings.Replace(e.certXML, "<risposte>", "<risposte>&x;", 1) }},
		{name: "entity expansion", prolog: billionLaughs(), anomaly: true,
			edit: func(e *forgedEnvelope) { e.certXML = strings.Replace(e.certXML, "<risposte>", "<risposte>&l9;", 1) }},
		{name: "undeclared entity", anomaly: true,
			edit: func(e *forgedEnvelope) { e.certXML = strings.Replace(e.certXML, "<risposte>", "<risposte>&ignota;", 1) }},
		{name: "daticert.xml of another type", anomaly: true,
			edit: func(e *forgedEnvelope) {
				e.certXML = strings.Replace(e.certXML, `tipo="posta-certificata"`, `tipo="accettazione"`, 1)
			}},
		{name: "element missing", anomaly: true,
			edit: func(e *forgedEnvelope) { e.certXML = strings.Replace(e.certXML, "<ora>10:15:05</ora>", "", 1) }},
		{name: "daticert.xml is no XML", anomaly: true, edit: func(e *forgedEnvelope) { e.certXML = "non sono XML" }},
		{name: "unknown X-Trasporto", anomaly: true, edit: func(e *forgedEnvelope) { e.xTrasporto = "boh" }},
		{name: "From is not the certificate's address", anomaly: true, edit: func(e *forgedEnvelope) { e.serviceFrom = "direzione@" + domain }},
		{name: "changed after signing", anomaly: true, tamper: func(b []byte) []byte { return bytes.Replace(b, []byte("Testo."), []byte("Altro."), 1) }},
		{name: "signature cut off", anomaly: true, tamper: func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("smime.p7s\"\r\n\r\n"))
			return append(bytes.Clone(b[:at+len("smime.p7s\"\r\n\r\n")+60]), "\r\n--firma--\r\n"...)
		}},
		{name: "signature is noise", anomaly: true, tamper: func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("smime.p7s\"\r\n\r\n")) + len("smime.p7s\"\r\n\r\n")
			noise := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x30, 0x80}, 50_000))
			return append(append(bytes.Clone(b[:at]), attachment{content: []byte(noise)}.encoded()...), "\r\n--firma--\r\n"...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := forgedEnvelope{id: fmt.Sprintf("falso.%d.%d@%s", i, time.Now().UnixNano(), domain), from: from.address, to: to.address,
				subject: "Busta " + c.name, serviceFrom: f.service, xTrasporto: "posta-certificata"}
			e.certXML = fmt.Sprintf(daticertForm, c.prolog, e.from, e.to, e.from, e.subject, e.id, e.id)
			if c.edit != nil {
				c.edit(&e)
			}
			message := f.envelope(t, e)
			if c.tamper != nil {
				message = c.tamper(message)
			}
			s := d.mx(t, "BETA")
			if r := s.envelope(from.address, []string{to.address}); !r.positive() {
				t.Fatal(r)
			}
			if r := s.data(bytes.NewReader(message)); r.code != 250 {
				t.Fatalf("answered %v", r)
			}
			m := in.one(time.Minute, "the message in some envelope", func(m stored) bool { return m.header.Get("Message-Id") == "<"+e.id+">" })
			if c.anomaly {
				checkAnomaly(t, d, in.body(m.uid), message, from.address, m)
				return
			}
			if m.header.Get("X-Trasporto") != "posta-certificata" || !bytes.HasSuffix(in.body(m.uid), message) {
				t.Errorf("X-Trasporto %q, or other bytes than were sent", m.header.Get("X-Trasporto"))
			}
			d.openInbox(t, from).one(time.Minute, "delivery receipt", about("<x."+e.id+">", "avvenuta-consegna"))
		})
	}
	receipts := d.openInbox(t, from).find(func(m stored) bool { return m.header.Get("X-Ricevuta") == "avvenuta-consegna" })
	if len(receipts) != 1 {
		t.Errorf("%d delivery receipts, want one: only the sound envelope is certified mail", len(receipts))
	}
}

// billionLaughs is a document type whose entity l9 expands to 10^9 characters.
func billionLaughs() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE postacert [<!ENTITY l0 \"x\">")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "<!ENTITY l%d \"%s\">", i, strings.Repeat(fmt.Sprintf("&l%d;", i-1), 10))
	}
	b.WriteString("]>\n")
	return b.String()
}

// TestKilledByNoMessage sends crafted signatures that exhaust readers: a few
// megabytes of nested BER have killed other programs.
func TestKilledByNoMessage(t *testing.T) {
	d := sharedDemo(t)
	to := d.standard(t, "BETA", 14)
	for _, n := range []int{200_000, 4_000_000} {
		var deep []byte
		for len(deep) < n {
			deep = append(deep, 0x30, 0x80)
		}
		message := "From: chiunque@mail.example\r\nTo: " + to.address + "\r\nSubject: annidato\r\nMessage-ID: " + newMsgID() + "\r\nMIME-Version: 1.0\r\n" +
			"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=\"b\"\r\n\r\n--b\r\n\r\ntesto\r\n--b\r\n" +
			"Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			string(attachment{content: deep}.encoded()) + "\r\n--b--\r\n"
		s := d.mx(t, "BETA")
		if r := s.envelope("chiunque@mail.example", []string{to.address}); !r.positive() {
			t.Fatal(r)
		}
		began := time.Now()
		r := s.data(strings.NewReader(message))
		if r.code != 250 && !r.permanent() {
			t.Errorf("%d bytes of nested BER: answered %v", n, r)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%d bytes of nested BER took %v", n, took)
		}
	}
}
