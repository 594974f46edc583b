// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// Acceptance builds the ricevuta di accettazione (RFC 6109 §3.1.4), which goes
// to the sender and says of each recipient whether it is certified mail.
func (b Builder) Acceptance(m Message, at time.Time) Draft {
	m, at = m.clean(), b.local(at)
	p := phrases{m, at}
	tagged := addresses(m.Recipients)
	for i, r := range m.Recipients {
		if r.External {
			tagged[i] += ` ("posta ordinaria")`
		} else {
			tagged[i] += ` ("posta certificata")`
		}
	}

	var t prose
	t.title(Acceptance.facts().heading)
	t.text(p.dayIT()+" il messaggio", p.fromIT(), "ed indirizzato a:")
	t.list(tagged...)
	t.text("è stato accettato dal sistema ed inoltrato.", p.idIT())
	t.rule()
	t.title(Acceptance.facts().headingEN)
	t.text(p.dayEN()+" the message", p.fromEN(), listedEN,
		`("posta certificata": certified mail; "posta ordinaria": ordinary mail)`,
		"was accepted by the system and forwarded.", p.idEN())

	return b.build(b.notice(Acceptance, m, at, m.Sender, "", t, b.certData(Acceptance, m, at)))
}

// NonAcceptance builds the avviso di non accettazione for formal reasons (RFC
// 6109 §3.1.2). reason is one brief line, which also is errore-esteso.
func (b Builder) NonAcceptance(m Message, at time.Time, reason string) Draft {
	m, at, reason = m.clean(), b.local(at), cleanLine(reason, maxReason)
	p := phrases{m, at}

	var t prose
	t.title(NonAcceptance.facts().heading)
	t.text(p.dayIT()+" nel messaggio", p.fromIT(), "ed indirizzato a:")
	t.list(addresses(m.Recipients)...)
	t.text("è stato rilevato un problema che ne impedisce l'accettazione a causa di:", reason,
		"Il messaggio non è stato accettato.", p.idIT())
	t.rule()
	t.title(NonAcceptance.facts().headingEN)
	t.text(p.dayEN()+" in the message", p.fromEN(), listedEN,
		"a problem was detected that prevents its acceptance due to:", reason,
		"The message was not accepted.", p.idEN())

	data := b.certData(NonAcceptance, m, at)
	data.Error, data.ExtendedError = OtherError, reason
	return b.build(b.notice(NonAcceptance, m, at, m.Sender, "", t, data))
}
