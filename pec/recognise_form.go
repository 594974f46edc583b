// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"errors"
	"io"
	"strings"

	"pecd/rfc822"
)

// File names of the parts, RFC 6109 §4.3 with pec-rules §0.1.
const (
	nameCertData = "daticert.xml"
	nameOriginal = "postacert.eml"
)

// readForm holds the signed part against the form of the kind claimed, and sets
// Kind where it fits.
func (out *Recognised) readForm(c claim, r io.ReaderAt) (*fault, error) {
	signed := out.Signed
	if signed.MediaType != "multipart/mixed" || signed.Truncated || len(signed.Children) == 0 {
		return &fault{"il contenuto firmato non è multipart/mixed", "the signed content is not multipart/mixed"}, nil
	}
	if first := signed.Children[0]; !strings.HasPrefix(first.MediaType, "text/") && !first.IsMultipart() {
		return &fault{"manca la parte di testo", "the text part is missing"}, nil
	}
	if f := out.findOriginal(c.kind, signed.Children[1:]); f != nil {
		return f, nil
	}
	if c.kind == AnomalyEnvelope {
		return out.readAnomaly(signed), nil
	}
	if f, err := out.readCertData(signed.Children[1:], r); f != nil || err != nil {
		return f, err
	}
	if out.From == "" {
		return &fault{"il campo From non contiene esattamente un indirizzo", "field From does not hold exactly one address"}, nil
	}
	kind, f := c.kindOf(*out.CertData)
	if f != nil {
		return f, nil
	}
	if f := checkCertData(kind, *out.CertData, out.Original != nil); f != nil {
		return f, nil
	}
	out.Kind = kind
	return nil, nil
}

// hasName tells whether name or filename of a part is the given one.
func hasName(p *rfc822.Part, name string) bool {
	return is(rfc822.DecodeText(p.Params["name"]), name) || is(rfc822.DecodeText(p.DispositionParams["filename"]), name)
}

// findOriginal looks for postacert.eml. Its octets must stand in the message as
// they are: RFC 2046 §5.2.1 allows no encoding of message/rfc822. An anomaly
// envelope has no other part, so there the name does not matter.
func (out *Recognised) findOriginal(k Kind, parts []*rfc822.Part) *fault {
	for _, p := range parts {
		if !hasName(p, nameOriginal) && (k != AnomalyEnvelope || !p.IsMessage()) {
			continue
		}
		switch {
		case out.Original != nil:
			return &fault{"più di un messaggio originale", "more than one original message"}
		case !p.IsMessage():
			return &fault{"postacert.eml non è di tipo message/rfc822", "postacert.eml is not message/rfc822"}
		case p.Encoding != "7bit" && p.Encoding != "8bit" && p.Encoding != "binary":
			return &fault{"postacert.eml con codifica non ammessa", "postacert.eml in an encoding that is not allowed"}
		}
		out.Original = p
	}
	return nil
}

// readAnomaly checks an anomaly envelope: a text and the whole message, nothing
// else (RFC 6109 §3.2.2).
func (out *Recognised) readAnomaly(signed *rfc822.Part) *fault {
	if len(signed.Children) != 2 || out.Original == nil {
		return &fault{"la busta di anomalia non contiene solo il testo e il messaggio", "the anomaly envelope holds other than the text and the message"}
	}
	if out.From == "" {
		return &fault{"il campo From non contiene esattamente un indirizzo", "field From does not hold exactly one address"}
	}
	out.Kind = AnomalyEnvelope
	return nil
}

// readCertData finds, decodes and reads daticert.xml.
func (out *Recognised) readCertData(parts []*rfc822.Part, r io.ReaderAt) (*fault, error) {
	var found *rfc822.Part
	for _, p := range parts {
		if !hasName(p, nameCertData) {
			continue
		}
		if found != nil {
			return &fault{"più di un file daticert.xml", "more than one daticert.xml"}, nil
		}
		found = p
	}
	if found == nil {
		return &fault{"manca il file daticert.xml", "daticert.xml is missing"}, nil
	}
	xml, readable, err := decodePart(found, r, maxCertDataBytes)
	if err != nil {
		return nil, err
	}
	if !readable || found.IsMultipart() || found.IsMessage() {
		return &fault{"daticert.xml non leggibile o troppo grande", "daticert.xml not readable or too large"}, nil
	}
	out.CertDataXML = xml
	data, err := ReadCertData(xml)
	if err != nil {
		f := &fault{"daticert.xml non conforme", "daticert.xml does not conform"}
		var why *CertDataError
		if errors.As(err, &why) {
			f.it += ": " + why.Reason
			f.en += ": " + why.ReasonEN
		}
		return f, nil
	}
	out.CertData = &data
	return nil, nil
}

// kindOf puts the header and the signed data together. The error "virus" makes
// a virus notice even without X-VerificaSicurezza, because the header is not
// signed; that header without an error contradicts the data.
func (c claim) kindOf(d CertData) (Kind, *fault) {
	if c.kind.CertType() != d.Type {
		return None, &fault{"il tipo in daticert.xml non corrisponde all'intestazione", "the type in daticert.xml differs from the header"}
	}
	if c.virus && d.Error == NoError {
		return None, &fault{"X-VerificaSicurezza in contraddizione con daticert.xml", "X-VerificaSicurezza contradicts daticert.xml"}
	}
	if d.Error == Virus {
		return c.kind.withVirus(), nil
	}
	return c.kind, nil
}

// checkCertData asks for what pec-rules §2.3 and §3.2 say a kind carries.
func checkCertData(k Kind, d CertData, withOriginal bool) *fault {
	lacks := func(what string) *fault {
		return &fault{"daticert.xml senza " + what, "daticert.xml without " + what}
	}
	switch k {
	case TransportEnvelope:
		if !withOriginal {
			return &fault{"manca il messaggio originale postacert.eml", "the original message postacert.eml is missing"}
		}
	case TakeCharge:
		if len(d.Receptions) == 0 {
			return lacks("ricezione")
		}
	case Delivery, NonDelivery, NonDeliveryVirus, Timeout12:
		if d.Delivery == "" {
			return lacks("consegna")
		}
	case VirusDetection:
		if d.Delivery == "" && len(d.Receptions) == 0 { // ricezione in older stacks
			return lacks("consegna")
		}
	default:
	}
	switch k {
	case Acceptance, TransportEnvelope, TakeCharge, Delivery:
		if d.Error != NoError {
			return &fault{"daticert.xml con errore in un messaggio di esito positivo", "daticert.xml with an error in a message of success"}
		}
	case NonAcceptance, NonAcceptanceVirus, Timeout12, VirusDetection:
		if withOriginal {
			return &fault{"messaggio originale presente dove non è ammesso", "original message where none is allowed"}
		}
	default:
	}
	return nil
}

// errTooLarge is what the decoding of a part that exceeds its limit ends with.
var errTooLarge = errors.New("pec: part too large")

// decodePart returns the decoded body of a part. readable is false where it is
// longer than limit or not in its encoding; err is an error of reading r.
func decodePart(p *rfc822.Part, r io.ReaderAt, limit int) (body []byte, readable bool, err error) {
	// Base64 takes a third more, quoted-printable three times as much, line ends
	// in addition.
	if p.End-p.BodyOffset > 4*int64(limit) {
		return nil, false, nil
	}
	source := &readFailure{r: io.NewSectionReader(r, p.BodyOffset, p.End-p.BodyOffset)}
	body, err = readLimited(decoder(p.Encoding, source), limit)
	switch {
	case source.err != nil:
		return nil, false, source.err
	case err != nil:
		return nil, false, nil
	}
	return body, true, nil
}

// readFailure remembers the error of reading, to tell it from one of decoding.
type readFailure struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (f *readFailure) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// readLimited reads at most limit octets and fails where there are more.
func readLimited(r io.Reader, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = errTooLarge
	}
	return b, err
}
