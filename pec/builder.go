// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"strings"
	"time"

	"pecd/rfc822"
)

// Provider is who certifies.
type Provider struct {
	Name           string // as in the index of providers and in gestore-emittente
	ServiceAddress string // posta-certificata@domain, the From of every message
	Domain         string // of the identifiers of receipts
}

// Message is the certified data of one accepted message: what all of its
// receipts and notices have in common. At the access point it comes from the
// SMTP transaction and the original; elsewhere from daticert.xml.
type Message struct {
	ID         string      // PEC msgid, without angle brackets
	MsgID      string      // the client's Message-ID, with angle brackets; "" none
	Sender     string      // reverse path
	Recipients []Recipient // forward paths, in their order
	ReplyTo    string      // Reply-To of the original; "" means Sender
	Subject    string      // decoded
	HasSubject bool
	Receipt    ReceiptType // in effect; "" means ReceiptComplete
	// ReceiptAsked says that the original carried X-TipoRicevuta, which the
	// transport envelope then copies (pec-rules §2.2).
	ReceiptAsked bool
}

// MessageOf returns the message that a daticert.xml is about. ReceiptAsked is
// false: it cannot be told from the data.
func MessageOf(c CertData) Message {
	return Message{ID: c.ID, MsgID: c.MsgID, Sender: c.Sender, Recipients: c.Recipients,
		ReplyTo: c.ReplyTo, Subject: c.Subject, HasSubject: c.HasSubject, Receipt: c.Receipt}
}

// Builder makes the messages of one provider. All of its methods are pure: the
// same arguments give the same bytes.
type Builder struct {
	Provider Provider
	// Location is the zone of dates and texts, Europe/Rome in service: the
	// legal time of RFC 6109 §4.2. nil leaves the zone of the given times.
	Location *time.Location
	// Secret goes into the delimiters of the MIME parts, so that whoever
	// chooses an identifier cannot foresee them and write them into the
	// original. It must be random, at least 16 octets; the same one gives the
	// same bytes again.
	Secret []byte
}

// local returns the instant of a message: in the builder's zone, in whole
// seconds (pec-rules §3.5).
func (b Builder) local(at time.Time) time.Time {
	if b.Location != nil {
		at = at.In(b.Location)
	}
	return wholeMinuteZone(at.Truncate(time.Second))
}

// job is what the builders of the families hand to build.
type job struct {
	kind         Kind
	messageID    string
	about        string // recipient or other key that makes delimiters distinct
	at           time.Time
	header       []byte
	text         prose
	data         *CertData // nil: no daticert.xml
	withOriginal bool
	eightBit     bool
}

// build assembles a draft (pec-rules §2.3).
func (b Builder) build(j job) Draft {
	key := func(level string) string {
		return boundary(level, b.Secret, j.messageID, j.kind.String(), j.about, j.at.UTC().Format(time.RFC3339))
	}
	mixed, alternative := key("mixed"), key("alternative")

	eightBit := j.eightBit && j.withOriginal
	encoding := "7bit"
	if eightBit {
		encoding = "8bit"
	}

	plain, html := j.text.plain(), j.text.html()
	var data []byte
	if j.data != nil {
		data = j.data.Encode()
	}
	var w bytes.Buffer
	w.Grow(1024 + 2*(len(plain)+len(html)+len(data)))
	w.WriteString("Content-Type: multipart/mixed;\r\n boundary=\"" + mixed + "\"\r\n" +
		"Content-Transfer-Encoding: " + encoding + "\r\n\r\n" +
		"--" + mixed + "\r\n" +
		"Content-Type: multipart/alternative;\r\n boundary=\"" + alternative + "\"\r\n" +
		"Content-Transfer-Encoding: 7bit\r\n\r\n")
	for _, form := range []struct {
		subtype string
		text    []byte
	}{{"plain", plain}, {"html", html}} {
		w.WriteString("--" + alternative + "\r\n" +
			"Content-Type: text/" + form.subtype + "; charset=\"iso-8859-1\"\r\n" +
			"Content-Transfer-Encoding: quoted-printable\r\n" +
			"Content-Disposition: inline\r\n\r\n")
		writeQuoted(&w, form.text)
		w.WriteString("\r\n")
	}
	w.WriteString("--" + alternative + "--\r\n")
	if j.data != nil {
		w.WriteString("\r\n--" + mixed + "\r\n" +
			"Content-Type: application/xml; name=\"daticert.xml\"\r\n" +
			"Content-Transfer-Encoding: base64\r\n" +
			"Content-Disposition: inline; filename=\"daticert.xml\"\r\n\r\n")
		writeBase64(&w, data)
	}
	if j.withOriginal {
		w.WriteString("\r\n--" + mixed + "\r\n" +
			"Content-Type: message/rfc822; name=\"postacert.eml\"\r\n" +
			"Content-Transfer-Encoding: " + encoding + "\r\n" +
			"Content-Disposition: inline; filename=\"postacert.eml\"\r\n\r\n")
	}

	return Draft{
		Kind:         j.kind,
		MessageID:    j.messageID,
		Outer:        j.header,
		Before:       w.Bytes(),
		WithOriginal: j.withOriginal,
		// Whether or not the original ends with a line break, this one is the
		// delimiter's (RFC 2046 §5.1.1).
		After:    []byte("\r\n--" + mixed + "--\r\n"),
		EightBit: eightBit,
		boundary: key("signed"),
	}
}

// fields collects the header of a message.
type fields struct{ bytes.Buffer }

// add writes a field whose value is known to be safe and short.
func (f *fields) add(name, value string) { f.WriteString(name + ": " + value + "\r\n") }

// subject writes Subject: the prefix of the kind, then the original's, which
// alone is encoded (pec-rules §2.1).
func (f *fields) subject(k Kind, original string) {
	f.Write(rfc822.EncodeText("Subject", strings.TrimSpace(k.SubjectPrefix()+original)))
}

// onBehalf writes the From of an envelope, RFC 6109 §3.1.5. sender is clean.
func (f *fields) onBehalf(sender, service string) {
	name := quotedASCII("Per conto di: " + sender)
	if len("From:  <>")+len(name)+len(service) > 76 {
		name += "\r\n"
	}
	f.add("From", name+" <"+service+">")
}

// inherit copies fields from another message as they stand there (RFC 6109
// §2.1.1.2), in its order. A well-formed field is copied octet for octet. In
// one that is not, NUL and lone CR become blanks and lone LF becomes CRLF,
// because another reader might see a field begin there.
func (f *fields) inherit(from rfc822.Header, names ...string) {
	for _, field := range from.Fields() {
		for _, name := range names {
			if strings.EqualFold(field.Name, name) {
				writeInherited(&f.Buffer, field.Raw)
			}
		}
	}
}

// writeInherited writes one raw field for inherit.
func writeInherited(b *bytes.Buffer, raw []byte) {
	raw = bytes.TrimRight(raw, "\r\n")
	for i, c := range raw {
		switch {
		case c == 0, c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n'):
			b.WriteByte(' ')
		case c == '\n' && (i == 0 || raw[i-1] != '\r'):
			b.WriteString("\r\n")
		default:
			b.WriteByte(c)
		}
	}
	b.WriteString("\r\n")
}

// mailDate is the form of the Date field, RFC 5322 §3.3.
const mailDate = "Mon, 02 Jan 2006 15:04:05 -0700"

// notice prepares a receipt or notice: everything but the two envelopes. to is
// where it goes, about the recipient that it is about, "" for all of them. more
// are further fields, as name and value in turn.
func (b Builder) notice(k Kind, m Message, at time.Time, to, about string, text prose, data CertData, more ...string) job {
	id := ReceiptID(m.ID, b.Provider.Domain, k, about)
	var h fields
	h.add("X-Ricevuta", k.ReceiptHeader())
	if v := k.SecurityHeader(); v != "" {
		h.add("X-VerificaSicurezza", v)
	}
	for i := 0; i+1 < len(more); i += 2 {
		h.add(more[i], more[i+1])
	}
	h.add("Date", at.Format(mailDate))
	h.subject(k, m.Subject)
	h.add("From", b.Provider.ServiceAddress)
	h.add("To", headerAddress(to))
	h.add(fieldMessageID, "<"+id+">")
	if m.MsgID != "" {
		h.add(fieldReference, m.MsgID)
	}
	return job{kind: k, messageID: id, about: about, at: at, header: h.Bytes(), text: text, data: &data}
}

// certData fills in what daticert.xml has in every kind (pec-rules §3.2). m is
// clean.
func (b Builder) certData(k Kind, m Message, at time.Time) CertData {
	return CertData{Type: k.CertType(), Error: NoError, Sender: m.Sender, Recipients: m.Recipients,
		ReplyTo: m.ReplyTo, Subject: m.Subject, HasSubject: m.HasSubject, Issuer: b.Provider.Name,
		At: at, ID: m.ID, MsgID: m.MsgID}
}
