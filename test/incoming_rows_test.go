// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"strings"
)

// What the scripted provider is told of a recipient.
func taken(rcpts ...string) string {
	return "presa-in-carico " + peerReceipt + " " + strings.Join(rcpts, ",")
}
func delivered(rcpt string) string      { return "avvenuta-consegna giulia@" + peerDomain + " " + rcpt }
func deliveredAlone(rcpt string) string { return delivered(rcpt) + " senza originale" }
func failed(rcpt, how string) string {
	return "errore-consegna giulia@" + peerDomain + " " + rcpt + " " + how
}

// Events about a message of the scripted provider.
func received(rcpts ...string) string {
	return record("envelope.received", "foreign", peerName, rcpts...)
}
func charged(rcpts ...string) string { return record("charge.taken", "foreign", peerName, rcpts...) }
func filed(rcpt string) string       { return record("delivery.inbound", "foreign", peerName, rcpt) }
func unfiled(rcpt string) string     { return record("delivery.failed", "foreign", peerName, rcpt) }

// … and about one that is not certified, "" for what no provider signed.
func wrapped(provider string, rcpts ...string) []string {
	kind := "anomaly.created"
	if provider == "" {
		kind = "ordinary.received"
	}
	all := []string{record(kind, "foreign", provider, rcpts...), "!envelope.received", "!receipt.received", "!charge.taken", "!ordinary.refused"}
	for _, r := range rcpts {
		all = append(all, record("delivery.inbound", "foreign", provider, r))
	}
	return all
}

func turnedAway(provider string, rcpts ...string) []string {
	return []string{
		record("ordinary.refused", "foreign", provider, rcpts...),
		"!ordinary.received", "!anomaly.created", "!envelope.received", "!receipt.received", "!charge.taken", "!delivery.inbound",
	}
}

const envelopeIn, anomalyIn = "posta-certificata", "errore"

// sound sends an envelope that must arrive, with a receipt.
func sound(m peerMessage) func(*incomingRun) {
	return func(c *incomingRun) {
		a := c.box()
		m := m
		m.to = []string{a}
		c.envelope(250, m)
		c.expect(a, envelopeIn)
		c.told(taken(a), delivered(a))
		c.logged(received(a), charged(a), filed(a), "!anomaly.created", "!ordinary.received")
	}
}

// envelopeCases: correct envelopes and what becomes of their recipients.
func envelopeCases() []incomingCase {
	return []incomingCase{
		{"envelope, one recipient", sound(peerMessage{})},
		{"envelope without the client's Message-ID", sound(peerMessage{msgID: "-"})},
		{"envelope with postacert.eml before daticert.xml", sound(peerMessage{swapped: true})},
		{"envelope signed with SHA-1", sound(peerMessage{digest: "sha1"})},
		{"envelope with a BER signature of indefinite length", sound(peerMessage{openssl: []string{"-stream"}})},
		{"envelope with application/pkcs7-signature", sound(peerMessage{protocol: "application/pkcs7-signature"})},
		{"envelope signed with the renewed certificate", sound(peerMessage{signer: "renewed"})},
		{"envelope to two of our recipients", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{to: []string{a, b}})
			c.expect(a, envelopeIn)
			c.expect(b, envelopeIn)
			c.told(taken(a, b), delivered(a), delivered(b))
			c.logged(received(a, b), charged(a, b), filed(a), filed(b))
		}},
		{"To and Cc, complete receipts", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{to: []string{a}, cc: []string{b}})
			c.expect(a, envelopeIn)
			c.expect(b, envelopeIn)
			c.told(taken(a, b), delivered(a), deliveredAlone(b))
			c.logged(received(a, b), charged(a, b), filed(a), filed(b))
		}},
		{"brief receipt", sound(peerMessage{receipt: "breve"})},
		{"concise receipt", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{to: []string{a}, receipt: "sintetica"})
			c.expect(a, envelopeIn)
			c.told(taken(a), deliveredAlone(a))
			c.logged(received(a), charged(a), filed(a))
		}},
		{"the same envelope twice", func(c *incomingRun) {
			a := c.box()
			m := peerMessage{to: []string{a}}.complete()
			raw := c.p.bytes(c, m)
			c.message(250, m, raw)
			c.message(250, m, raw)
			c.expect(a, envelopeIn)
			c.told(taken(a), delivered(a))
			c.logged(received(a), charged(a), filed(a))
		}},
		{"one envelope in two transactions", func(c *incomingRun) {
			a, b := c.box(), c.box()
			m := peerMessage{to: []string{a, b}}.complete()
			raw := c.p.bytes(c, m)
			c.message(250, m, raw, a)
			c.message(250, m, raw, b, a)
			c.expect(a, envelopeIn)
			c.expect(b, envelopeIn)
			c.told(taken(a), taken(b), delivered(a), delivered(b))
			c.logged(received(a, b), charged(a), charged(b), filed(a), filed(b))
		}},
		{"recipient certified as ordinary", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{to: []string{a}, ordinary: map[string]bool{a: true}})
			c.expect(a, envelopeIn)
			c.logged(received(a), filed(a), "!charge.taken")
		}},
		{"one certified, one ordinary recipient", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{to: []string{a, b}, ordinary: map[string]bool{b: true}})
			c.expect(a, envelopeIn)
			c.expect(b, envelopeIn)
			c.told(taken(a), delivered(a))
			c.logged(received(a, b), charged(a), filed(a), filed(b))
		}},
		{"unknown mailbox", func(c *incomingRun) {
			a := "nessuno" + fmt.Sprint(c.p.boxes) + "@" + c.p.demo.get(c, "ALFA_DOMAIN")
			c.envelope(250, peerMessage{to: []string{a}})
			c.told(taken(a), failed(a, "no-dest 5.1.1"))
			c.logged(received(a), charged(a), unfiled(a), "!delivery.inbound")
		}},
		{"disabled mailbox", func(c *incomingRun) {
			a := c.blocked()
			c.envelope(250, peerMessage{to: []string{a}})
			c.told(taken(a), failed(a, "altro 5.2.1"))
			c.logged(received(a), charged(a), unfiled(a), "!delivery.inbound")
		}},
		{"one good and one unknown mailbox", func(c *incomingRun) {
			a, b := c.box(), "nessuno@"+c.p.demo.get(c, "ALFA_DOMAIN")
			c.envelope(250, peerMessage{to: []string{a, b}})
			c.expect(a, envelopeIn)
			c.told(taken(a, b), delivered(a), failed(b, "no-dest 5.1.1"))
			c.logged(received(a, b), charged(a, b), filed(a), unfiled(b))
		}},
		{"S4-037 mailbox closed to ordinary mail", func(c *incomingRun) {
			a := c.closed()
			c.envelope(250, peerMessage{to: []string{a}})
			c.expect(a, envelopeIn)
			c.told(taken(a), delivered(a))
			c.logged(received(a), charged(a), filed(a), "!ordinary.refused")
		}},
		{"secondary environment: its own service mailbox is told", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{to: []string{a}, from: "ugo@" + unitDomain, service: "posta-certificata@" + unitDomain, signer: "unit"})
			c.expect(a, envelopeIn)
			c.told("presa-in-carico "+unitReceipt+" "+a, "avvenuta-consegna ugo@"+unitDomain+" "+a)
			c.logged(received(a), charged(a), filed(a))
		}},
	}
}

// ordinaryAnomaly sends what is not certified, whatever it claims: it arrives in
// an anomaly envelope, and nobody is told.
func ordinaryAnomaly(m peerMessage) func(*incomingRun) {
	return func(c *incomingRun) {
		a := c.box()
		m := m
		m.to = []string{a}
		c.envelope(250, m)
		c.expect(a, anomalyIn)
		c.logged(wrapped("", a)...)
	}
}

// ordinaryRefused is ordinaryAnomaly for a mailbox closed to ordinary mail.
func ordinaryRefused(m peerMessage) func(*incomingRun) {
	return func(c *incomingRun) {
		m := m
		m.to = []string{c.closed()}
		c.envelope(550, m)
		c.logged(turnedAway("", m.to...)...)
	}
}

// signatureCases: tests 1 to 3 of the table fail.
func signatureCases() []incomingCase {
	altered := func(b []byte) []byte { return bytes.Replace(b, []byte("Testo."), []byte("Altro."), 1) }
	return []incomingCase{
		{"unknown signer", ordinaryAnomaly(peerMessage{signer: "unlisted"})},
		{"unknown signer, mailbox closed to ordinary mail", ordinaryRefused(peerMessage{signer: "unlisted"})},
		{"revoked certificate", ordinaryAnomaly(peerMessage{signer: "revoked"})},
		{"revoked certificate, mailbox closed to ordinary mail", ordinaryRefused(peerMessage{signer: "revoked"})},
		{"expired certificate", ordinaryAnomaly(peerMessage{signer: "expired"})},
		{"certificate in the index, of an unknown authority", ordinaryAnomaly(peerMessage{signer: "unchained"})},
		{"certificate for another address than From: a matter of form", malformedCase(peerMessage{signer: "other"})},
		{"altered after signing", ordinaryAnomaly(peerMessage{change: altered})},
		{"altered after signing, mailbox closed to ordinary mail", ordinaryRefused(peerMessage{change: altered})},
		{"signature missing", ordinaryAnomaly(peerMessage{without: "signature"})},
		{"signature cut short", ordinaryAnomaly(peerMessage{change: func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("smime.p7s\"\r\n\r\n")) + len("smime.p7s\"\r\n\r\n")
			return append(bytes.Clone(b[:at+60]), "\r\n--firma--\r\n"...)
		}})},
	}
}

// malformedCase is a message of a real provider that is neither envelope nor
// receipt: it must be propagated, whatever the mailbox thinks of ordinary mail.
func malformedCase(m peerMessage) func(*incomingRun) {
	return func(c *incomingRun) {
		a, b := c.box(), c.closed()
		for _, to := range []string{a, b} {
			m := m
			m.to = []string{to}
			c.envelope(250, m)
			c.expect(to, anomalyIn)
			c.logged(wrapped(peerName, to)...)
		}
	}
}

// formCases: test 4 of the table fails.
func formCases() []incomingCase {
	return []incomingCase{
		{"malformed: no daticert.xml", malformedCase(peerMessage{without: "daticert"})},
		{"malformed: no postacert.eml", malformedCase(peerMessage{without: "postacert"})},
		{"malformed: unknown X-Trasporto", malformedCase(peerMessage{kind: "boh", tipo: "posta-certificata"})},
		{"malformed: daticert.xml of a receipt", malformedCase(peerMessage{tipo: "accettazione"})},
		{"malformed: both envelope and receipt", malformedCase(peerMessage{headers: []string{"X-Ricevuta: avvenuta-consegna"}})},
		{"anomaly envelope of another provider", malformedCase(peerMessage{kind: "errore"})},
		{"malformed: SMTP recipient not among the certified ones", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{to: []string{a}}, a, b)
			c.expect(a, anomalyIn)
			c.expect(b, anomalyIn)
			c.logged(wrapped(peerName, a, b)...)
		}},
		{"envelope in the name of one of our holders", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{from: a, to: []string{b}})
			c.expect(b, anomalyIn)
			c.logged(wrapped(peerName, b)...)
		}},
		{"malformed and nobody there", func(c *incomingRun) {
			a := "nessuno@" + c.p.demo.get(c, "ALFA_DOMAIN")
			c.envelope(550, peerMessage{without: "daticert", to: []string{a}})
			c.logged(turnedAway(peerName, a)...)
		}},
		{"envelope with NUL", func(c *incomingRun) {
			a := c.box()
			c.envelope(550, peerMessage{to: []string{a}, content: "Subject: Prova\r\n\r\nTe\x00sto.\r\n"})
			c.logged(turnedAway(peerName, a)...)
		}},
		{"malformed, with NUL", func(c *incomingRun) {
			a := c.box()
			c.envelope(550, peerMessage{to: []string{a}, without: "daticert", content: "Subject: Prova\r\n\r\nTe\x00sto.\r\n"})
			c.logged(turnedAway(peerName, a)...)
		}},
	}
}
