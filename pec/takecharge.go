// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"strings"
	"time"
)

// TakeCharge builds the ricevuta di presa in carico (RFC 6109 §3.2.1) for the
// recipients of ours, own, of one SMTP transaction. to is the service mailbox
// of the sender's provider, mailReceipt in the index of providers.
func (b Builder) TakeCharge(m Message, at time.Time, own []string, to string) Draft {
	m, at = m.clean(), b.local(at)
	ours := cleanAll(own)
	p := phrases{m, at}

	var t prose
	t.title(TakeCharge.facts().heading)
	t.text(p.dayIT()+" il messaggio", p.fromIT(), "ed indirizzato a:")
	t.list(ours...)
	t.text("è stato accettato dal sistema.", p.idIT())
	t.rule()
	t.title(TakeCharge.facts().headingEN)
	t.text(p.dayEN()+" the message", p.fromEN(), listedEN, "was accepted by the system.", p.idEN())

	data := b.certData(TakeCharge, m, at)
	data.Receptions = ours
	return b.build(b.notice(TakeCharge, m, at, to, TakeChargeKey(own), t, data))
}

// TakeChargeKey is the recipient argument that makes the identifier of a
// take-charge receipt with ReceiptID: several receipts of one message, for
// different recipients, are different messages.
func TakeChargeKey(own []string) string { return strings.Join(own, "\n") }
