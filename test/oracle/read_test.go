// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// kind is what a message says it is: the headers of RFC 6109 §3.
type kind string

const (
	kAccept    kind = "accettazione"
	kRefuse    kind = "non-accettazione"
	kRefVirus  kind = "non-accettazione-virus"
	kEnvelope  kind = "posta-certificata"
	kTake      kind = "presa-in-carico"
	kDeliver   kind = "avvenuta-consegna"
	kFail      kind = "errore-consegna"
	kFailVirus kind = "errore-consegna-virus"
	kFirst     kind = "preavviso-12h"
	kSecond    kind = "preavviso-24h"
	kVirus     kind = "rilevazione-virus"
	kAnomaly   kind = "anomalia"
)

// prefixes are what stands before the subject of the original (pec-rules §2.1).
var prefixes = map[kind]string{
	kAccept: "ACCETTAZIONE: ", kRefuse: "AVVISO DI NON ACCETTAZIONE: ", kRefVirus: "AVVISO DI NON ACCETTAZIONE PER VIRUS: ",
	kEnvelope: "POSTA CERTIFICATA: ", kTake: "PRESA IN CARICO: ", kDeliver: "CONSEGNA: ", kFail: "AVVISO DI MANCATA CONSEGNA: ",
	kFailVirus: "AVVISO DI MANCATA CONSEGNA PER VIRUS: ", kFirst: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ",
	kSecond: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ", kVirus: "PROBLEMA DI SICUREZZA: ", kAnomaly: "ANOMALIA MESSAGGIO: ",
}

// pecMail is a message of certified mail taken apart.
type pecMail struct {
	kind      kind
	header    mail.Header
	subject   string
	messageID string // without angle brackets
	from      string
	to        string
	start     int // of the signed entity in the message
	end       int
	sum       [32]byte // SHA-256 of the signed entity
	p7s       []byte
	cert      *certData // nil for an anomaly envelope
	original  []byte    // the attached message, nil without one
	issuer    *node     // whose certificate signed it
}

// readMail takes a message apart by its form alone: see authority.judge for the
// signature.
func readMail(raw []byte) (*pecMail, error) {
	top, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	m := &pecMail{header: top.Header, messageID: strings.Trim(top.Header.Get("Message-ID"), "<>")}
	mediaType, params, err := mime.ParseMediaType(top.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/signed" {
		return nil, fmt.Errorf("content type %q", top.Header.Get("Content-Type"))
	}
	parts, err := split(raw, params["boundary"])
	if err != nil {
		return nil, err
	}
	m.start, m.end = parts[0][0], parts[0][1]
	m.sum = sha256.Sum256(raw[m.start:m.end])
	sig, err := mail.ReadMessage(bytes.NewReader(raw[parts[1][0]:parts[1][1]]))
	if err != nil {
		return nil, fmt.Errorf("signature part: %w", err)
	}
	if m.p7s, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, sig.Body)); err != nil {
		return nil, fmt.Errorf("signature part: %w", err)
	}
	return m, m.readBody(raw[m.start:m.end])
}

// split finds the two parts of a multipart/signed body, to the octet.
func split(raw []byte, boundary string) (parts [2][2]int, err error) {
	delimiter := []byte("\r\n--" + boundary)
	at := 0
	for i := range 3 {
		n := bytes.Index(raw[at:], delimiter)
		if n < 0 {
			return parts, fmt.Errorf("%d delimiters", i)
		}
		at += n
		if i > 0 {
			parts[i-1][1] = at
		}
		at += len(delimiter)
		if i < 2 {
			eol := bytes.Index(raw[at:], []byte("\r\n"))
			if eol < 0 {
				return parts, errors.New("open delimiter")
			}
			at += eol + 2
			parts[i][0] = at
		}
	}
	if !bytes.HasPrefix(raw[at:], []byte("--")) {
		return parts, errors.New("a third part")
	}
	return parts, nil
}

func (m *pecMail) readBody(signed []byte) error {
	entity, err := mail.ReadMessage(bytes.NewReader(signed))
	if err != nil {
		return err
	}
	mediaType, params, err := mime.ParseMediaType(entity.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		return fmt.Errorf("signed entity is %q", entity.Header.Get("Content-Type"))
	}
	text, names := "", []string(nil)
	r := multipart.NewReader(entity.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		switch name := part.FileName(); name {
		case "daticert.xml":
			names = append(names, name)
			clear, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
			if err != nil {
				return err
			}
			if m.cert, err = readCert(clear); err != nil {
				return fmt.Errorf("daticert.xml: %w", err)
			}
		case "postacert.eml":
			names = append(names, name)
			m.original = body
		case "":
			if text != "" || len(names) > 0 {
				return errors.New("the text is not the first part, or not the only one")
			}
			clear, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
			if err != nil {
				return err
			}
			text = string(clear)
		default:
			return fmt.Errorf("unknown part %q", name)
		}
	}
	return m.name(text)
}

// name says which message it is, and that header and contents agree.
func (m *pecMail) name(text string) error {
	h := m.header
	receipt, transport, security := h.Get("X-Ricevuta"), h.Get("X-Trasporto"), h.Get("X-VerificaSicurezza")
	switch {
	case receipt != "" && transport != "":
		return errors.New("both X-Ricevuta and X-Trasporto")
	case transport == "errore":
		m.kind = kAnomaly
	case transport != "":
		m.kind = kind(transport)
	case receipt == "preavviso-errore-consegna" && strings.Contains(text, "ventiquattro"):
		m.kind = kSecond
	case receipt == "preavviso-errore-consegna" && strings.Contains(text, "dodici"):
		m.kind = kFirst
	case security == "errore":
		m.kind = kind(receipt + "-virus")
	default:
		m.kind = kind(receipt)
	}
	prefix, known := prefixes[m.kind]
	if !known {
		return fmt.Errorf("neither receipt nor envelope: X-Ricevuta %q, X-Trasporto %q", receipt, transport)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil {
		return err
	}
	var ok bool
	if m.subject, ok = strings.CutPrefix(subject, prefix); !ok {
		return fmt.Errorf("the subject of %s is %q", m.kind, subject)
	}
	if from, err := mail.ParseAddress(h.Get("From")); err != nil {
		return fmt.Errorf("From: %w", err)
	} else if m.from = from.Address; !strings.HasPrefix(m.from, "posta-certificata@") {
		return fmt.Errorf("From is %s", m.from)
	}
	if transport == "" {
		to, err := mail.ParseAddress(h.Get("To"))
		if err != nil {
			return fmt.Errorf("To: %w", err)
		}
		m.to = to.Address
	}
	switch {
	case m.kind == kAnomaly && (m.cert != nil || m.original == nil):
		return errors.New("an anomaly envelope holds a text and the message, nothing else")
	case m.kind != kAnomaly && m.cert == nil:
		return errors.New("no daticert.xml")
	case m.kind == kEnvelope && m.original == nil:
		return errors.New("an envelope without its message")
	case m.original != nil && m.kind != kEnvelope && m.kind != kAnomaly && m.kind != kDeliver:
		return fmt.Errorf("%s with the message inside", m.kind)
	case m.cert == nil:
		return nil
	}
	return m.cert.fits(m.kind)
}
