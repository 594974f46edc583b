// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"time"

	"pecd/fault"
)

// maxElements bounds the elements of a CMS structure. A content sent in chunks
// of 1 kB reaches it at 256 MB.
const maxElements = 1 << 18

var errNotOpaque = errors.New("CMS: signed data without content")

// Opened is what was in an opaque SignedData, and who signed it.
type Opened struct {
	Content  []byte
	By       *x509.Certificate // known also where the signature does not hold
	SignedAt time.Time         // as the signer claims, zero without a claim
}

// OpenSigned reads an opaque CMS SignedData, such as the .ldif.p7m of the
// provider index (RFC 6109 §4.5.6), and returns its content and who signed it
// once value, chain, validity at the time and revocation hold.
// Whether that signer may speak for the content is the caller's decision.
//
// p7m is DER or BER, also with the content in chunks, or the same in PEM or as
// an S/MIME entity in base64. The content is at most limit octets long.
//
// Errors: TooLarge; Invalid when the structure is unreadable; Denied when the
// signature does not hold; Temporary when the policy wants a revocation list
// that is missing or out of date. The text says why in Italian and English.
func (v *Verifier) OpenSigned(p7m []byte, limit int, at time.Time) (Opened, error) {
	const op = "signer.OpenSigned"
	if len(p7m)/2 > limit+maxSignatureBytes {
		return Opened{}, fault.New(op, fault.TooLarge, nil)
	}
	ber, err := unwrapCMS(p7m)
	if err != nil {
		return Opened{}, invalidCMS(op, err)
	}
	sd, err := readSignedData(ber, berLimits{bytes: len(ber), depth: maxDepth, elements: maxElements})
	if err != nil {
		return Opened{}, invalidCMS(op, err)
	}
	if sd.content == nil || len(sd.signers) == 0 {
		return Opened{}, invalidCMS(op, errNotOpaque)
	}
	if len(sd.content) > limit {
		return Opened{}, fault.New(op, fault.TooLarge, nil)
	}
	o, err := v.openedBy(op, sd, bytes.NewReader(sd.content), at)
	if err == nil {
		o.Content = sd.content
	}
	return o, err
}

// openedBy tells who signed an opaque content, with an error when the signature
// does not hold.
func (v *Verifier) openedBy(op string, sd *signedData, content io.Reader, at time.Time) (o Opened, err error) {
	inner := &Verifier{cfg: v.cfg}
	inner.cfg.Origins = nil // an index is signed by whoever the caller trusts for it
	var verdict Verdict
	si := inner.pick(sd, &verdict)
	if verdict.Certificate == nil {
		return o, invalidCMS(op, errElementMissing)
	}
	o.By, o.SignedAt = verdict.Certificate, si.signingTime()
	verdict = inner.value(verdict, sd, si, content)
	switch verdict.Failed {
	case StepOK:
	case StepRead:
		return o, fault.New(op, fault.Temporary, verdict.Err)
	default:
		return o, denied(op, because(verdict.Reason, verdict.ReasonEN))
	}
	switch step, why := inner.certificate(verdict.Certificate, sd.certificates, at, x509.ExtKeyUsageAny); step {
	case StepOK:
		return o, nil
	case StepUnknownRevocation: // which is no verdict: a list may come
		return o, &fault.Error{Op: op, Kind: fault.Temporary, Err: why, Text: why.text()}
	default:
		return o, denied(op, why)
	}
}

// invalidCMS is the error for a structure that cannot be read.
func invalidCMS(op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.Invalid, Err: err, Text: "il file firmato non è leggibile / the signed file is unreadable"}
}

// denied is the error for a signature that does not hold.
func denied(op string, why reason) error {
	return &fault.Error{Op: op, Kind: fault.Denied, Err: why, Text: why.text()}
}

// unwrapCMS returns the binary structure inside PEM or base64 text.
func unwrapCMS(in []byte) ([]byte, error) {
	text := bytes.TrimLeft(in, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, errBERTruncated
	case in[0] == tagSequence: // base64 of the same starts with "M"
		return in, nil
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("PEM: unreadable")
		}
		return block.Bytes, nil
	}
	if bytes.IndexByte(firstLine(text), ':') > 0 { // MIME header: the body follows a blank line
		for len(text) > 0 {
			line := firstLine(text)
			text = text[len(line):]
			if len(bytes.TrimSpace(line)) == 0 {
				break
			}
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, bytes.TrimSpace(text)) // line ends are skipped
	return out[:n], err
}

// firstLine returns the first line of b with its line end.
func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1]
	}
	return b
}
