// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// NonAcceptanceVirus builds the avviso di non accettazione per virus (RFC 6109
// §3.1.3). virus names the content that the scanner found.
func (b Builder) NonAcceptanceVirus(m Message, at time.Time, virus string) Draft {
	m, at, virus = m.clean(), b.local(at), cleanLine(virus, maxReason)
	p := phrases{m, at}

	var t prose
	t.title(NonAcceptanceVirus.facts().heading)
	t.text(p.dayIT()+" nel messaggio", p.fromIT(), "ed indirizzato a:")
	t.list(addresses(m.Recipients)...)
	t.text("è stato rilevato un problema di sicurezza:", virus,
		"Il messaggio non è stato accettato.", p.idIT())
	t.rule()
	t.title(NonAcceptanceVirus.facts().headingEN)
	t.text(p.dayEN()+" in the message", p.fromEN(), listedEN,
		"a security problem was detected:", virus,
		"The message was not accepted.", p.idEN())

	data := b.certData(NonAcceptanceVirus, m, at)
	data.Error, data.ExtendedError = Virus, virus
	return b.build(b.notice(NonAcceptanceVirus, m, at, m.Sender, "", t, data))
}

// VirusDetection builds the avviso di rilevazione virus (RFC 6109 §3.2.3): one
// for each of our recipients, to the service mailbox of the sender's provider.
func (b Builder) VirusDetection(m Message, at time.Time, recipient, virus, to string) Draft {
	m, at, virus = m.clean(), b.local(at), cleanLine(virus, maxReason)
	who := cleanLine(recipient, maxAddress)
	p := phrases{m, at}

	var t prose
	t.title(VirusDetection.facts().heading)
	t.text(p.dayIT()+" nel messaggio", p.fromIT(), "ed indirizzato a "+quote(who),
		"è stato rilevato un problema di sicurezza:", virus,
		"Il messaggio non è stato consegnato.", p.idIT())
	t.rule()
	t.title(VirusDetection.facts().headingEN)
	t.text(p.dayEN()+" in the message", p.fromEN(), "and addressed to "+quote(who),
		"a security problem was detected:", virus,
		"The message was not delivered.", p.idEN())

	data := b.certData(VirusDetection, m, at)
	data.Error, data.Delivery, data.ExtendedError = Virus, who, virus
	return b.build(b.notice(VirusDetection, m, at, to, recipient, t, data, "X-Mittente", headerAddress(m.Sender)))
}

// NonDeliveryVirus builds the avviso di mancata consegna per virus (RFC 6109
// §3.2.4), which the sender's provider makes from a VirusDetection notice.
func (b Builder) NonDeliveryVirus(m Message, at time.Time, recipient, virus string) Draft {
	m, at, virus = m.clean(), b.local(at), cleanLine(virus, maxReason)
	who := cleanLine(recipient, maxAddress)
	p := phrases{m, at}

	var t prose
	t.title(NonDeliveryVirus.facts().heading)
	t.text(p.dayIT()+" nel messaggio", p.fromIT(), "destinato all'utente "+quote(who),
		"è stato rilevato un problema di sicurezza:", virus,
		"Il messaggio non è stato consegnato.", p.idIT())
	t.rule()
	t.title(NonDeliveryVirus.facts().headingEN)
	t.text(p.dayEN()+" in the message", p.fromEN(), "addressed to "+quote(who),
		"a security problem was detected:", virus,
		"The message was not delivered.", p.idEN())

	data := b.certData(NonDeliveryVirus, m, at)
	data.Error, data.Delivery, data.ExtendedError = Virus, who, virus
	return b.build(b.notice(NonDeliveryVirus, m, at, m.Sender, recipient, t, data))
}
