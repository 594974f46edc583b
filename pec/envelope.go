// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"time"

	"pecd/rfc822"
)

// TransportEnvelope builds the busta di trasporto (RFC 6109 §3.1.5). original
// is the header that RewriteOriginal made; its Received, Return-Path, To, Cc
// and Reply-To are inherited as they are. eightBit says that the original,
// header or body, has octets above 127.
func (b Builder) TransportEnvelope(m Message, at time.Time, original rfc822.Header, eightBit bool) Draft {
	m, at = m.clean(), b.local(at)
	p := phrases{m, at}

	var t prose
	t.title(TransportEnvelope.facts().heading)
	t.text(p.dayIT()+" il messaggio", p.subjectIT()+" è stato inviato da "+quote(m.Sender), "indirizzato a:")
	t.list(addresses(m.Recipients)...)
	t.text("Il messaggio originale è incluso in allegato.", p.idIT())
	t.rule()
	t.title(TransportEnvelope.facts().headingEN)
	t.text(p.dayEN()+" the message", p.subjectEN()+" was sent by "+quote(m.Sender), listedEN+".",
		"The original message is included as an attachment.", p.idEN())

	var h fields
	h.inherit(original, "Return-Path", "Received")
	h.add("X-Trasporto", TransportEnvelope.TransportHeader())
	h.add("Date", at.Format(mailDate))
	h.subject(TransportEnvelope, m.Subject)
	h.onBehalf(m.Sender, b.Provider.ServiceAddress)
	h.inherit(original, "To", "Cc", "Reply-To")
	if !original.Has("Reply-To") {
		h.add("Reply-To", headerAddress(m.Sender))
	}
	h.add(fieldMessageID, "<"+m.ID+">")
	if m.MsgID != "" {
		h.add(fieldReference, m.MsgID)
	}
	if m.ReceiptAsked {
		h.add("X-TipoRicevuta", string(m.Receipt))
	}

	data := b.certData(TransportEnvelope, m, at)
	data.Receipt = m.Receipt
	return b.build(job{kind: TransportEnvelope, messageID: m.ID, at: at, header: h.Bytes(),
		text: t, data: &data, withOriginal: true, eightBit: eightBit})
}
