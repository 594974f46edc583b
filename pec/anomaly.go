// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"strings"
	"time"

	"pecd/rfc822"
)

// AnomalyInput is an incoming message that is delivered without being
// certified: ordinary mail, or PEC that breaks the form.
type AnomalyInput struct {
	Header     rfc822.Header // of the incoming message
	Sender     string        // reverse path; "" for the null one
	Recipients []string      // forward paths
	Reason     string        // why it is not certified: one brief line, in Italian
	ReasonEN   string        // the same in English; "" repeats Reason
	// FallbackID is a fresh identifier as NewID makes it. It is the
	// Message-ID when the incoming message has none, and always goes into the
	// delimiters of the parts.
	FallbackID string
	EightBit   bool // the incoming message has octets above 127
}

// Anomaly builds the busta di anomalia (RFC 6109 §3.2.2): a text and the whole
// incoming message, nothing else. It inherits Received, Return-Path, To, Cc,
// Message-ID and, where present, Reply-To. The header of the incoming message
// gives the sender when the reverse path is null.
func (b Builder) Anomaly(a AnomalyInput, at time.Time) Draft {
	at = b.local(at)
	subject := rfc822.DecodeText(a.Header.Get("Subject"))
	m := Message{Sender: a.sender(), Subject: subject}.clean()
	p := phrases{m, at}
	reason := cleanLine(a.Reason, maxReason)
	reasonEN := cleanLine(a.ReasonEN, maxReason)
	if reasonEN == "" {
		reasonEN = reason
	}

	var t prose
	t.title(AnomalyEnvelope.facts().heading)
	t.text(p.dayIT()+" è stato ricevuto il messaggio", p.fromIT(), "ed indirizzato a:")
	t.list(cleanAll(a.Recipients)...)
	t.text("Tali dati non sono stati certificati per il seguente errore:", reason,
		"Il messaggio originale è incluso in allegato.")
	t.rule()
	t.title(AnomalyEnvelope.facts().headingEN)
	t.text(p.dayEN()+" the message", p.fromEN(), listedEN, "was received.",
		"The data has not been certified due to the following error:", reasonEN,
		"The original message is included as an attachment.")

	var h fields
	h.inherit(a.Header, "Return-Path", "Received")
	h.add("X-Trasporto", AnomalyEnvelope.TransportHeader())
	h.add("Date", at.Format(mailDate))
	h.subject(AnomalyEnvelope, m.Subject)
	h.onBehalf(m.Sender, b.Provider.ServiceAddress)
	h.inherit(a.Header, "To", "Cc", "Reply-To")
	if !a.Header.Has("Reply-To") && rfc822.ValidAddress(m.Sender) {
		h.add("Reply-To", m.Sender)
	}
	id := h.inheritID(a.Header, a.FallbackID)

	return b.build(job{kind: AnomalyEnvelope, messageID: id, about: a.FallbackID, at: at, header: h.Bytes(),
		text: t, withOriginal: true, eightBit: a.EightBit})
}

// sender returns whom the envelope speaks for: the reverse path, or the first
// address in From, or words that say that there is none.
func (a AnomalyInput) sender() string {
	if s := strings.TrimSpace(a.Sender); s != "" {
		return s
	}
	if list, err := rfc822.ParseAddressList(a.Header.Get("From")); err == nil && len(list) > 0 {
		return list[0].Address
	}
	return "mittente sconosciuto"
}

// inheritID copies the first Message-ID as it is, or writes the fallback when
// there is none or an empty one. It returns the identifier without brackets.
func (f *fields) inheritID(from rfc822.Header, fallback string) string {
	for _, field := range from.Fields() {
		if !strings.EqualFold(field.Name, fieldMessageID) {
			continue
		}
		if id := cleanMsgID(field.Value()); id != "" {
			writeInherited(&f.Buffer, field.Raw)
			return id[1 : len(id)-1]
		}
	}
	f.add(fieldMessageID, "<"+fallback+">")
	return fallback
}
