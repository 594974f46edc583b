// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// CertData is the content of daticert.xml, the certification data that
// programs read (RFC 6109 §4.4). Every text is one line of UTF-8.
type CertData struct {
	Type       string      // postacert/@tipo, such as "avvenuta-consegna"
	Error      ErrorCode   // "" is written as NoError
	Sender     string      // mittente: reverse path of the original
	Recipients []Recipient // destinatari: forward paths, in their order
	ReplyTo    string      // risposte: Reply-To of the original, or its sender
	Subject    string      // oggetto, decoded
	HasSubject bool        // oggetto is absent when false
	Issuer     string      // gestore-emittente: name of the provider that certifies
	At         time.Time   // data: in its own zone, whole seconds
	ID         string      // identificativo: the PEC msgid, without angle brackets
	MsgID      string      // msgid: the client's Message-ID, with angle brackets; "" absent
	Receipt    ReceiptType // ricevuta/@tipo; "" absent
	Delivery   string      // consegna: the recipient delivered or tried; "" absent
	Receptions []string    // ricezione: the recipients of a take-charge receipt
	// ExtendedError is errore-esteso, a brief description; "" absent.
	ExtendedError string
}

// Encode writes the data as an XML document in UTF-8, with a declaration,
// without DOCTYPE, with LF line ends (pec-rules §3.1). It is valid against the
// DTD of RFC 6109 §4.4 when Type, Error and Receipt are from their lists.
// Without recipients it writes one empty destinatari, which the DTD asks for.
// Line breaks and tabs in a text become blanks; characters that XML cannot
// carry become U+FFFD.
func (c CertData) Encode() []byte {
	var b bytes.Buffer
	b.Grow(1024 + 96*(len(c.Recipients)+len(c.Receptions)))

	errorCode := c.Error
	if errorCode == "" {
		errorCode = NoError
	}
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<postacert tipo=\"")
	writeXML(&b, c.Type)
	b.WriteString("\" errore=\"")
	writeXML(&b, string(errorCode))
	b.WriteString("\">\n    <intestazione>\n")
	writeElement(&b, "mittente", c.Sender)
	if len(c.Recipients) == 0 {
		writeElement(&b, "destinatari", "")
	}
	for _, r := range c.Recipients {
		if r.External {
			b.WriteString("        <destinatari tipo=\"esterno\">")
		} else {
			b.WriteString("        <destinatari tipo=\"certificato\">")
		}
		writeXML(&b, r.Address)
		b.WriteString("</destinatari>\n")
	}
	writeElement(&b, "risposte", c.ReplyTo)
	if c.HasSubject {
		writeElement(&b, "oggetto", c.Subject)
	}
	b.WriteString("    </intestazione>\n    <dati>\n")
	writeElement(&b, "gestore-emittente", c.Issuer)

	at := wholeMinuteZone(c.At)
	b.WriteString("        <data zona=\"" + at.Format("-0700") + "\">\n            <giorno>" +
		at.Format("02/01/2006") + "</giorno>\n            <ora>" + at.Format("15:04:05") +
		"</ora>\n        </data>\n")

	writeElement(&b, "identificativo", c.ID)
	if c.MsgID != "" {
		writeElement(&b, "msgid", c.MsgID)
	}
	if c.Receipt != "" {
		b.WriteString("        <ricevuta tipo=\"")
		writeXML(&b, string(c.Receipt))
		b.WriteString("\"/>\n")
	}
	if c.Delivery != "" {
		writeElement(&b, "consegna", c.Delivery)
	}
	for _, r := range c.Receptions {
		writeElement(&b, "ricezione", r)
	}
	if c.ExtendedError != "" {
		writeElement(&b, "errore-esteso", c.ExtendedError)
	}
	b.WriteString("    </dati>\n</postacert>\n")
	return b.Bytes()
}

// wholeMinuteZone returns t in its own zone, cut to whole minutes of offset:
// the zone attribute has no room for the seconds of the local mean times of
// old, and day and hour must agree with it.
func wholeMinuteZone(t time.Time) time.Time {
	if _, offset := t.Zone(); offset%60 != 0 {
		return t.In(time.FixedZone("", offset-offset%60))
	}
	return t
}

// writeElement writes an element of text on a line of its own.
func writeElement(b *bytes.Buffer, name, text string) {
	b.WriteString("        <" + name + ">")
	writeXML(b, text)
	b.WriteString("</" + name + ">\n")
}

// writeXML writes text so that it is safe as character data and as an
// attribute value. "]]>" cannot arise because ">" is always escaped.
func writeXML(b *bytes.Buffer, text string) {
	done := 0 // octets of text written
	for i, r := range text {
		safe := ""
		switch {
		case r == '&':
			safe = "&amp;"
		case r == '<':
			safe = "&lt;"
		case r == '>':
			safe = "&gt;"
		case r == '"':
			safe = "&quot;"
		case r == '\t', r == '\n', r == '\r':
			safe = " "
		case r < ' ', r == 0xFFFE, r == 0xFFFF, r == utf8.RuneError: // the last: also for an octet that is no UTF-8
			safe = "\uFFFD"
		default:
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(safe)
		_, size := utf8.DecodeRuneInString(text[i:])
		done = i + size
	}
	b.WriteString(text[done:])
}
