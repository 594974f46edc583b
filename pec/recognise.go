// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"io"
	"strings"

	"pecd/rfc822"
)

// maxSignature is how large a decoded smime.p7s may be.
const maxSignature = 256 << 10

// Recognised is what a message is to certified mail, by its form alone: whether
// the signature is good is for the signer to say. The outer header is not
// covered by the signature; CertData and Original are.
type Recognised struct {
	// Kind is None where the message is no PEC message or breaks the form.
	Kind Kind
	// Reason says why Kind is None, in one line: Italian, and English.
	Reason   string
	ReasonEN string
	// Claimed is what the header says the message is, even where the form is
	// broken; None for ordinary mail.
	Claimed Kind

	Signed      *rfc822.Part // first part of multipart/signed: [Offset,End) is what the signature covers; nil: no S/MIME structure
	Signature   []byte       // smime.p7s decoded, at most 256 KiB; nil: none or not readable
	CertData    *CertData    // nil: none, or not readable
	CertDataXML []byte       // daticert.xml decoded, at most 4 MiB; nil: none
	Original    *rfc822.Part // the message/rfc822 part: [BodyOffset,End) is the original; nil: none

	From       string // address in From, "" where that is not exactly one
	ReceiptRef string // X-Riferimento-Message-ID, with its angle brackets
	Subject    string // decoded
}

// Recognise says what a message is (RFC 6109 §2.2.2, §4.3, pec-rules §1.5, §2.1
// to §2.3, §3.2). m is its scan, r gives its bytes. The tests go from the
// existence of a signature to the form of the kind claimed, and the first that
// fails is the Reason. The only errors are those of reading r.
//
// The two timeout notices have one form; both are recognised as Timeout12.
func Recognise(m *rfc822.Message, r io.ReaderAt) (*Recognised, error) {
	h := m.Root.Header
	out := &Recognised{
		ReceiptRef: h.Get(fieldReference),
		Subject:    rfc822.DecodeText(h.Get("Subject")),
	}
	if from, err := rfc822.ParseMailbox(strings.Join(h.Values("From"), ", ")); err == nil {
		out.From = from.Address
	}
	claim, claimFault := readClaim(h)
	out.Claimed = claim.kind

	signedFault, err := out.readSignature(m, r)
	if err != nil {
		return nil, err
	}
	if signedFault != nil {
		return out.refuse(signedFault), nil
	}
	if claimFault != nil {
		return out.refuse(claimFault), nil
	}
	formFault, err := out.readForm(claim, r)
	if err != nil {
		return nil, err
	}
	if formFault != nil {
		return out.refuse(formFault), nil
	}
	return out, nil
}

// fault says why a message is not what it claims.
type fault struct{ it, en string }

func (out *Recognised) refuse(f *fault) *Recognised {
	out.Kind, out.Reason, out.ReasonEN = None, f.it, f.en
	return out
}

// claim is what the header says.
type claim struct {
	kind  Kind
	virus bool // X-VerificaSicurezza: errore
}

// readClaim reads X-Ricevuta, X-Trasporto and X-VerificaSicurezza. Kinds that
// share X-Ricevuta are told apart by the last; see also claim.kindOf.
func readClaim(h rfc822.Header) (claim, *fault) {
	receipts, transports := h.Values("X-Ricevuta"), h.Values("X-Trasporto")
	c := claim{virus: is(h.Get("X-VerificaSicurezza"), "errore")}
	if len(receipts)+len(transports) == 0 {
		return c, &fault{"messaggio non di posta certificata: campi X-Ricevuta e X-Trasporto assenti",
			"not a certified mail message: fields X-Ricevuta and X-Trasporto absent"}
	}
	for k := Acceptance; k <= AnomalyEnvelope && c.kind == None; k++ {
		if len(transports) > 0 && k.TransportHeader() != "" && is(transports[0], k.TransportHeader()) ||
			len(receipts) > 0 && k.ReceiptHeader() != "" && is(receipts[0], k.ReceiptHeader()) {
			c.kind = k
		}
	}
	if c.virus {
		c.kind = c.kind.withVirus()
	}
	switch {
	case len(receipts)+len(transports) > 1:
		return c, &fault{"campi X-Ricevuta e X-Trasporto contraddittori o ripetuti",
			"fields X-Ricevuta and X-Trasporto contradict each other or are repeated"}
	case c.kind == None:
		return c, &fault{"valore di X-Ricevuta o X-Trasporto sconosciuto", "unknown value of X-Ricevuta or X-Trasporto"}
	}
	return c, nil
}

// withVirus returns the virus notice that shares its X-Ricevuta with k.
func (k Kind) withVirus() Kind {
	switch k {
	case NonAcceptance:
		return NonAcceptanceVirus
	case NonDelivery:
		return NonDeliveryVirus
	default:
		return k
	}
}

// is compares a header value with a literal of the rules, without regard to case.
func is(value, literal string) bool { return strings.EqualFold(strings.TrimSpace(value), literal) }

// readSignature looks for the S/MIME structure: multipart/signed of exactly two
// parts, the second a detached signature (RFC 6109 §2.2.2, RFC 8551 §3.5.3).
func (out *Recognised) readSignature(m *rfc822.Message, r io.ReaderAt) (*fault, error) {
	missing := &fault{"firma assente: il messaggio non ha una struttura S/MIME", "no signature: the message has no S/MIME structure"}
	root := m.Root
	if root.MediaType != "multipart/signed" || !isSignatureType(strings.ToLower(strings.TrimSpace(root.Params["protocol"]))) {
		return missing, nil
	}
	if root.Truncated || len(root.Children) != 2 || !isSignatureType(root.Children[1].MediaType) {
		return missing, nil
	}
	der, readable, err := decodePart(root.Children[1], r, maxSignature)
	if err != nil {
		return nil, err
	}
	out.Signed = root.Children[0]
	if !readable || len(der) == 0 {
		return &fault{"firma non leggibile o troppo grande", "signature not readable or too large"}, nil
	}
	out.Signature = der
	return nil, nil
}

func isSignatureType(media string) bool {
	return media == "application/pkcs7-signature" || media == "application/x-pkcs7-signature"
}
