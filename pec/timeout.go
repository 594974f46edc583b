// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// Timeout builds the avviso di mancata consegna per superamento dei tempi
// massimi for one recipient (RFC 6109 §3.1.6): after 12 hours without a
// take-charge or delivery receipt, or, when second, after 24 hours without a
// delivery receipt. Both have one header; errore is "altro" and errore-esteso
// begins with 5.4.1 (pec-rules §3.3, §11 #4). It goes to the sender, whatever
// the RFC's "original recipient" says (pec-rules §0.1).
func (b Builder) Timeout(m Message, at time.Time, recipient string, second bool) Draft {
	m, at = m.clean(), b.local(at)
	who := cleanLine(recipient, maxAddress)
	p := phrases{m, at}

	kind := Timeout12
	it := []string{
		"non è stato consegnato nelle prime dodici ore dal suo invio.",
		"Non escludendo che questo possa avvenire in seguito, si ritiene utile considerare " +
			"che l'invio potrebbe non andare a buon fine.",
		"Il sistema provvederà comunque a inviare un ulteriore avviso di mancata consegna se nelle prossime " +
			"dodici ore non vi sarà la conferma della ricezione da parte del destinatario.",
	}
	en := []string{
		"has not been delivered within the first 12 hours following its dispatch.",
		"Not excluding that the message might eventually be delivered, it is deemed useful to consider " +
			"that dispatch might not have a positive outcome.",
		"The system will see to sending another non-delivery notice if in the following twelve hours " +
			"no confirmation is received from the recipient.",
	}
	if second {
		kind = Timeout24
		it = []string{
			"non è stato consegnato nelle ventiquattro ore successive al suo invio.",
			"Si ritiene che la spedizione debba considerarsi non andata a buon fine.",
		}
		en = []string{
			"has not been delivered within 24 hours of its dispatch.",
			"The transaction is deemed to be considered terminated with a negative outcome.",
		}
	}

	var t prose
	t.title(kind.facts().heading)
	t.text(p.dayIT()+" il messaggio", p.fromIT(), "e destinato all'utente "+quote(who))
	t.text(it...)
	t.text(p.idIT())
	t.rule()
	t.title(kind.facts().headingEN)
	t.text(p.dayEN()+" the message", p.fromEN(), "and addressed to "+quote(who))
	t.text(en...)
	t.text(p.idEN())

	data := b.certData(kind, m, at)
	data.Error, data.Delivery = OtherError, who
	data.ExtendedError = b.TimeoutError(second)
	return b.build(b.notice(kind, m, at, m.Sender, recipient, t, data))
}

// TimeoutError is the errore-esteso of Timeout's notices.
func (b Builder) TimeoutError(second bool) string {
	reason := "nessuna conferma dal gestore del destinatario nelle prime 12 ore"
	if second {
		reason = "nessuna conferma di consegna nelle 24 ore successive all'invio"
	}
	return ExtendedError("5.4.1", b.Provider.Name, reason)
}
