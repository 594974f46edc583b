// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRoundTrip is acceptance line 2: a message with a UTF-8 subject and a 5 MB
// PDF from swaks at alfa to beta; what mbsync, curl and an IMAP library fetch
// are the same bytes, openssl accepts every signature, postacert.eml is what
// was submitted, and xmllint accepts every daticert.xml.
func TestRoundTrip(t *testing.T) {
	d := sharedDemo(t)
	sender, recipient := d.standard(t, "ALFA", 1), d.standard(t, "BETA", 1)
	const subject = "Perché la città è così più bella? – offerta «n° 7» da 1.000 €, con allegato"
	l := letter{id: newMsgID(), from: `"Anna d'Alfa" <` + sender.address + ">", to: []string{recipient.address},
		subject: subject, attached: []attachment{pdf(5 << 20)}}
	submitted := l.bytes()
	d.swaksSubmit(t, sender, l.to, submitted)

	at := d.openInbox(t, recipient)
	envelope := at.one(time.Minute, "transport envelope", about(l.id, "posta-certificata"))
	raw := at.body(envelope.uid)
	if int64(len(raw)) != envelope.size {
		t.Errorf("BODY[] has %d bytes, RFC822.SIZE says %d", len(raw), envelope.size)
	}
	if envelope.subject() != "POSTA CERTIFICATA: "+subject {
		t.Errorf("subject of the envelope: %q", envelope.subject())
	}
	t.Run("curl fetches the same bytes", func(t *testing.T) {
		if got := d.curl(t, recipient, uint32(envelope.uid)); !bytes.Equal(got, raw) {
			t.Errorf("curl got %d bytes, IMAP library %d; first difference at %d", len(got), len(raw), firstDifference(got, raw))
		}
	})
	t.Run("mbsync fetches the same bytes", func(t *testing.T) {
		want := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
		copies := d.mbsync(t, recipient)
		if !slices.ContainsFunc(copies, func(b []byte) bool { return bytes.Equal(b, want) }) {
			t.Errorf("none of the %d messages of mbsync is the envelope", len(copies))
		}
	})

	env := mustReadPEC(t, raw)
	t.Run("envelope", func(t *testing.T) {
		env.check(t, d)
		if from := env.header.Get("From"); !strings.Contains(from, "Per conto di: "+sender.address) ||
			!strings.Contains(from, "<posta-certificata@") {
			t.Errorf("From: %s", from)
		}
		if env.header.Get("Return-Path") == "" && env.header.Get("Received") == "" {
			t.Error("no trace fields in the envelope")
		}
		c := env.cert
		if c.Type != "posta-certificata" || c.Error != "nessuno" || !strings.EqualFold(c.Sender, sender.address) || c.MsgID != l.id ||
			c.Receipt.Type != "completa" || c.Subject == nil || *c.Subject != subject || c.recipients()[recipient.address] != "certificato" {
			t.Errorf("daticert.xml: %s", env.certXML)
		}
		if id := env.header.Get("Message-ID"); id != "<"+c.ID+">" {
			t.Errorf("Message-ID %s, identificativo %s", id, c.ID)
		}
		checkOriginal(t, submitted, env.original, l.id, c.ID)
	})

	from := d.openInbox(t, sender)
	acceptance := from.one(time.Minute, "acceptance", about(l.id, "accettazione"))
	delivery := from.one(time.Minute, "delivery receipt", about(l.id, "avvenuta-consegna"))
	t.Run("acceptance", func(t *testing.T) {
		p := mustReadPEC(t, from.body(acceptance.uid))
		p.check(t, d)
		if acceptance.subject() != "ACCETTAZIONE: "+subject {
			t.Errorf("subject: %q", acceptance.subject())
		}
		if p.original != nil {
			t.Error("the acceptance carries the original")
		}
		for _, s := range []string{"Ricevuta di accettazione", recipient.address, "posta certificata", env.cert.ID, "Perch"} {
			if !strings.Contains(p.text, s) {
				t.Errorf("the text lacks %q:\n%s", s, p.text)
			}
		}
		checkReceipt(t, p, "accettazione", env.cert.ID, sender)
	})
	t.Run("delivery", func(t *testing.T) {
		p := mustReadPEC(t, from.body(delivery.uid))
		p.check(t, d)
		if delivery.subject() != "CONSEGNA: "+subject {
			t.Errorf("subject: %q", delivery.subject())
		}
		checkOriginal(t, submitted, p.original, l.id, env.cert.ID)
		if p.cert.Delivery != recipient.address || p.cert.Receipt.Type != "completa" {
			t.Errorf("daticert.xml: %s", p.certXML)
		}
		checkReceipt(t, p, "avvenuta-consegna", env.cert.ID, sender)
	})
	t.Run("take-charge", func(t *testing.T) {
		service := d.openInbox(t, d.named(t, "ALFA_SERVICE"))
		p := mustReadPEC(t, service.body(service.one(time.Minute, "take-charge receipt", about(l.id, "presa-in-carico")).uid))
		p.check(t, d)
		if !slices.Equal(p.cert.Receptions, []string{recipient.address}) {
			t.Errorf("ricezione %q", p.cert.Receptions)
		}
		checkReceipt(t, p, "presa-in-carico", env.cert.ID, d.named(t, "ALFA_SERVICE"))
	})
	if got := from.find(about(l.id, "presa-in-carico")); got != nil {
		t.Error("the sender sees the take-charge receipt")
	}
	if got := at.find(about(l.id, "")); len(got) != 1 {
		t.Errorf("the recipient got %d messages", len(got))
	}
}

// checkOriginal wants original to be the submitted message with the identifiers
// of the transaction (RFC 6109 §2.2.1).
func checkOriginal(t *testing.T, submitted, original []byte, msgID, id string) {
	t.Helper()
	if original == nil {
		t.Error("no postacert.eml")
		return
	}
	sameOriginal(t, submitted, original)
	header, _, _ := bytes.Cut(original, []byte("\r\n\r\n"))
	h := parseHeader(header)
	if got := h.Values("Message-Id"); !slices.Equal(got, []string{"<" + id + ">"}) {
		t.Errorf("Message-ID of postacert.eml %q, want <%s>", got, id)
	}
	if got := h.Get("X-Riferimento-Message-Id"); got != msgID {
		t.Errorf("X-Riferimento-Message-ID of postacert.eml %q, want %q", got, msgID)
	}
	if len(h.Values("Received")) == 0 {
		t.Error("postacert.eml has no trace line of the access point")
	}
}

// checkReceipt wants the header of a receipt as pec-rules §2.1 says.
func checkReceipt(t *testing.T, p *pecMessage, kind, id string, to account) {
	t.Helper()
	if p.cert.Type != kind || p.cert.ID != id {
		t.Errorf("tipo %q identificativo %q, want %q %q", p.cert.Type, p.cert.ID, kind, id)
	}
	if p.header.Get("X-Ricevuta") != kind || p.header.Get("X-Trasporto") != "" {
		t.Errorf("X-Ricevuta %q, X-Trasporto %q", p.header.Get("X-Ricevuta"), p.header.Get("X-Trasporto"))
	}
	if got := p.header.Get("To"); !strings.Contains(strings.ToLower(got), strings.ToLower(to.address)) {
		t.Errorf("To: %s, want %s", got, to.address)
	}
	if from := p.header.Get("From"); !strings.Contains(from, "posta-certificata@") || strings.Contains(from, "Per conto di") {
		t.Errorf("From: %s", from)
	}
	if p.header.Get("Reply-To") != "" {
		t.Error("a receipt has no Reply-To")
	}
	if own := p.header.Get("Message-ID"); own == "" || own == "<"+id+">" {
		t.Errorf("Message-ID %q of the receipt is missing or that of the envelope", own)
	}
	if !strings.Contains(p.text, id) {
		t.Errorf("the text does not give the identifier %s:\n%s", id, p.text)
	}
}
