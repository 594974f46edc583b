// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// Delivery builds the ricevuta di avvenuta consegna for one recipient (RFC 6109
// §3.3.2). form says what it carries: FormComplete the original as it came out
// of the transport envelope, FormBrief the one that Brief wrote, FormConcise
// none. ricevuta in daticert.xml is the type that the sender asked for, title
// and text go by the form.
func (b Builder) Delivery(m Message, at time.Time, recipient string, form DeliveryForm, eightBit bool) Draft {
	m, at = m.clean(), b.local(at)
	who := cleanLine(recipient, maxAddress)
	p := phrases{m, at}

	contentIT, contentEN := "Questa ricevuta non contiene il messaggio originale.",
		"This receipt does not contain the original message."
	switch form {
	case FormComplete:
		contentIT, contentEN = "Il messaggio originale è incluso in allegato.",
			"The original message is included as an attachment."
	case FormBrief:
		contentIT, contentEN = "Il messaggio originale è incluso in allegato; i suoi allegati sono sostituiti dai rispettivi hash.",
			"The original message is included as an attachment; its own attachments are replaced by their hashes."
	}

	var t prose
	t.title(form.Title())
	t.text(p.dayIT()+" il messaggio", p.fromIT(), "ed indirizzato a "+quote(who),
		"è stato consegnato nella casella di destinazione.", contentIT, p.idIT())
	t.rule()
	t.title(form.titleEN())
	t.text(p.dayEN()+" the message", p.fromEN(), "and addressed to "+quote(who),
		"was placed in the destination's mailbox.", contentEN, p.idEN())

	data := b.certData(Delivery, m, at)
	data.Receipt, data.Delivery = m.Receipt, who
	j := b.notice(Delivery, m, at, m.Sender, recipient, t, data)
	j.withOriginal, j.eightBit = form != FormConcise, eightBit
	return b.build(j)
}
