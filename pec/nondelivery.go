// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// NonDelivery builds the avviso di mancata consegna for one recipient (RFC 6109
// §3.3.3). extended is what ExtendedError makes: "5.1.1 - Provider - indirizzo
// non valido" (pec-rules §3.3).
func (b Builder) NonDelivery(m Message, at time.Time, recipient string, code ErrorCode, extended string) Draft {
	m, at, extended = m.clean(), b.local(at), cleanLine(extended, maxReason)
	if !code.valid() || code == NoError {
		code = OtherError
	}
	who := cleanLine(recipient, maxAddress)
	p := phrases{m, at}

	var t prose
	t.title(NonDelivery.facts().heading)
	t.text(p.dayIT()+" nel messaggio", p.fromIT(), "e destinato all'utente "+quote(who),
		"è stato rilevato un errore:", extended,
		"Il messaggio è stato rifiutato dal sistema.", p.idIT())
	t.rule()
	t.title(NonDelivery.facts().headingEN)
	t.text(p.dayEN()+" in the message", p.fromEN(), "and addressed to "+quote(who),
		"an error was detected:", extended,
		"The message was refused by the system.", p.idEN())

	data := b.certData(NonDelivery, m, at)
	data.Error, data.Delivery, data.ExtendedError = code, who, extended
	return b.build(b.notice(NonDelivery, m, at, m.Sender, recipient, t, data))
}

// ExtendedError is the form of errore-esteso in notices of non-delivery:
// "<enhanced status code> - <provider> - <reason>" (pec-rules §3.3). status is
// of RFC 3463, such as "5.1.1".
func ExtendedError(status, provider, reason string) string {
	return status + " - " + provider + " - " + reason
}
