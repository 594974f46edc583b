// SPDX-License-Identifier: EUPL-1.2

package blackbox

import "strings"

// consegna is what a receipt about one recipient carries.
func consegna(rcpt string) string { return "<consegna>" + rcpt + "</consegna>" }

// heard is the record of a receipt of the scripted provider about recipients of
// a message of ours, passed the record of our notice that follows from it.
func heard(rcpts ...string) string { return record("receipt.received", "own", peerName, rcpts...) }
func passed(rcpts ...string) string {
	return record("receipt.emitted", "own", "Gestore Alfa S.p.A.", rcpts...)
}

func extended(status string) string {
	return "<errore-esteso>" + status + " - " + peerName + " - prova</errore-esteso>"
}

// receiptCases: receipts and notices of the scripted provider.
func receiptCases() []incomingCase {
	vera := "vera@" + peerDomain
	// answer turns a submission into the provider's receipt about it.
	answer := func(m peerMessage, kind, errore, extra string) peerMessage {
		m.kind, m.errore, m.extra = kind, errore, extra
		return m
	}
	takeCharge := func(m peerMessage, rcpts ...string) peerMessage {
		return answer(m, "presa-in-carico", "", "<ricezione>"+strings.Join(rcpts, "</ricezione><ricezione>")+"</ricezione>")
	}
	sendersOnly := func(kind, errore, extra string) func(*incomingRun) {
		return func(c *incomingRun) {
			a := c.box()
			c.envelope(250, answer(c.submitted(a, vera), kind, errore, extra), a)
			c.expect(a, anomalyIn)
			c.logged(wrapped(peerName, a)...)
		}
	}
	service := func(c *incomingRun) string { return "ricevute@" + c.p.demo.get(c, "ALFA_DOMAIN") }
	return []incomingCase{
		{"take-charge receipt: to the service mailbox, never to the holder", func(c *incomingRun) {
			a := c.box()
			m := c.submitted(a, vera)
			c.envelope(250, takeCharge(m, vera), service(c))
			c.logged(heard(vera), "!receipt.emitted")
		}},
		{"delivery receipt", func(c *incomingRun) {
			a := c.box()
			m := c.submitted(a, vera)
			c.envelope(250, answer(m, "avvenuta-consegna", "", consegna(vera)), a)
			c.expect(a, "avvenuta-consegna")
			c.logged(heard(vera), "!charge.taken", "!anomaly.created")
		}},
		{"the same delivery receipt twice", func(c *incomingRun) {
			a := c.box()
			m := answer(c.submitted(a, vera), "avvenuta-consegna", "", consegna(vera)).complete()
			raw := c.p.bytes(c, m)
			c.message(250, m, raw, a)
			c.message(250, m, raw, a)
			c.expect(a, "avvenuta-consegna")
			c.logged(heard(vera))
		}},
		{"non-delivery notice", func(c *incomingRun) {
			a := c.box()
			m := c.submitted(a, vera)
			c.envelope(250, answer(m, "errore-consegna", "no-dest", consegna(vera)+extended("5.1.1")), a)
			c.expect(a, "errore-consegna")
			c.logged(heard(vera), "!receipt.emitted", "!anomaly.created")
		}},
		{"virus detection: the holder learns of it", func(c *incomingRun) {
			a := c.box()
			m := c.submitted(a, vera)
			c.envelope(250, answer(m, "rilevazione-virus", "virus", consegna(vera)+extended("Eicar")), service(c))
			c.expect(a, "errore-consegna")
			c.logged(heard(vera), passed(vera))
		}},
		{"virus detection about a domain of another provider", func(c *incomingRun) {
			a := c.box()
			b := c.p.demo.standard(c, "BETA", 1).address
			m := c.submitted(a, vera)
			c.envelope(250, answer(m, "rilevazione-virus", "virus", consegna(b)+extended("Eicar")), service(c))
			c.logged(heard(b), "!receipt.emitted")
		}},
		{"receipt for a transaction we do not know", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{kind: "avvenuta-consegna", from: a, to: []string{vera}, extra: consegna(vera)}, a)
			c.expect(a, "avvenuta-consegna")
			c.logged(heard(vera))
		}},
		{"virus detection for a transaction we do not know", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{kind: "rilevazione-virus", errore: "virus", from: a, to: []string{vera}, extra: consegna(vera) + extended("Eicar")}, service(c))
			c.logged(heard(vera), "!receipt.emitted")
		}},
		{"receipt to somebody who is not its sender", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.envelope(250, peerMessage{kind: "avvenuta-consegna", from: a, to: []string{vera}, extra: consegna(vera)}, b)
			c.expect(b, anomalyIn)
			c.logged(wrapped(peerName, b)...)
		}},
		{"take-charge receipt to a holder", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, takeCharge(peerMessage{from: a, to: []string{vera}}, vera), a)
			c.expect(a, anomalyIn)
			c.logged(wrapped(peerName, a)...)
		}},
		{"altered receipt", func(c *incomingRun) {
			a := c.box()
			m := answer(c.submitted(a, vera), "avvenuta-consegna", "", consegna(vera))
			m.change = func(b []byte) []byte {
				return []byte(strings.Replace(string(b), "Messaggio del gestore", "Messaggio del  gestor", 1))
			}
			c.envelope(250, m, a)
			c.expect(a, anomalyIn)
			c.logged(wrapped("", a)...)
		}},
		{"receipt of an unknown signer to a mailbox closed to ordinary mail", func(c *incomingRun) {
			a := c.closed()
			m := answer(c.submitted(a, vera), "avvenuta-consegna", "", consegna(vera))
			m.signer = "unlisted"
			c.envelope(550, m, a)
			c.logged(turnedAway("", a)...)
		}},
		{"receipt without daticert.xml", func(c *incomingRun) {
			a := c.box()
			m := answer(c.submitted(a, vera), "avvenuta-consegna", "", consegna(vera))
			m.without = "daticert"
			c.envelope(250, m, a)
			c.expect(a, anomalyIn)
			c.logged(wrapped(peerName, a)...)
		}},
		{"receipt with NUL", func(c *incomingRun) {
			a := c.box()
			m := answer(c.submitted(a, vera), "avvenuta-consegna", "", consegna(vera))
			m.headers = []string{"X-Campo: a\x00b"}
			c.envelope(550, m, a)
			c.logged(turnedAway(peerName, a)...)
		}},
		// What the sender's provider alone can say.
		{"acceptance receipt from another provider", sendersOnly("accettazione", "", "")},
		{"non-acceptance notice from another provider", sendersOnly("non-accettazione", "altro", extended("5.6.0"))},
		{"notice of elapsed time from another provider", sendersOnly("preavviso-errore-consegna", "altro", consegna(vera)+extended("5.4.1"))},
		{"non-delivery for a virus from another provider", sendersOnly("errore-consegna", "virus", consegna(vera)+extended("Eicar"))},
	}
}

// ordinaryCases: mail that claims nothing.
func ordinaryCases() []incomingCase {
	plain := "Subject: Prova\r\n\r\nTesto.\r\n"
	from := "chiunque@mail.example"
	return []incomingCase{
		{"ordinary mail", func(c *incomingRun) {
			a := c.box()
			c.plain(250, from, plain, a)
			c.expect(a, anomalyIn)
			c.logged(wrapped("", a)...)
		}},
		{"ordinary mail to two mailboxes", func(c *incomingRun) {
			a, b := c.box(), c.box()
			c.plain(250, from, plain, a, b)
			c.expect(a, anomalyIn)
			c.expect(b, anomalyIn)
			c.logged(wrapped("", a, b)...)
		}},
		{"S4-037 ordinary mail to a closed mailbox", func(c *incomingRun) {
			a := c.closed()
			c.plain(550, from, plain, a)
			c.logged(turnedAway("", a)...)
		}},
		{"ordinary mail to an open and a closed mailbox", func(c *incomingRun) {
			a, b := c.box(), c.closed()
			c.plain(550, from, plain, a, b)
			c.logged(turnedAway("", a, b)...)
		}},
		{"ordinary mail to an unknown mailbox", func(c *incomingRun) {
			a := "nessuno@" + c.p.demo.get(c, "ALFA_DOMAIN")
			c.plain(550, from, plain, a)
			c.logged(turnedAway("", a)...)
		}},
		{"ordinary mail to a disabled mailbox", func(c *incomingRun) {
			a := c.blocked()
			c.plain(550, from, plain, a)
			c.logged(turnedAway("", a)...)
		}},
		{"delivery status of an ordinary server", func(c *incomingRun) {
			a := c.box()
			c.plain(250, "", "Subject: Undelivered\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"+
				"--b\r\n\r\nNon consegnato.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example\r\n\r\n"+
				"Final-Recipient: rfc822; x@mail.example\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n", a)
			c.expect(a, anomalyIn)
			c.logged(wrapped("", a)...)
		}},
		{"ordinary mail with NUL", func(c *incomingRun) {
			a := c.box()
			c.plain(550, from, "Subject: Prova\r\n\r\nTe\x00sto.\r\n", a)
			c.logged(turnedAway("", a)...)
		}},
		{"ordinary mail that went round in circles", func(c *incomingRun) {
			a := c.box()
			c.plain(550, from, strings.Repeat("Received: from a by b; Tue, 03 Mar 2026 10:15:05 +0100\r\n", 60)+plain, a)
			c.logged(turnedAway("", a)...)
		}},
		{"mail for a domain that is not ours", func(c *incomingRun) {
			c.plain(550, from, plain, "x@mail.example")
		}},
		{"ordinary mail that says it is certified", func(c *incomingRun) {
			a := c.box()
			c.plain(250, from, "X-Trasporto: posta-certificata\r\nX-Ricevuta: accettazione\r\n"+plain, a)
			c.expect(a, anomalyIn)
			c.logged(wrapped("", a)...)
		}},
	}
}
