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

// OpenSigned reads an opaque CMS SignedData, such as the .ldif.p7m of the
// provider index (RFC 6109 §4.5.6), and returns its content and the signer's
// certificate once value, chain, validity at the time and revocation hold.
// Whether that signer may speak for the content is the caller's decision.
//
// p7m is DER or BER, also with the content in chunks, or the same in PEM or as
// an S/MIME entity in base64. The content is at most limit octets long.
//
// Errors: TooLarge; Invalid when the structure is unreadable; Denied when the
// signature does not hold. The text says why in Italian and English.
func (v *Verifier) OpenSigned(p7m []byte, limit int, at time.Time) (content []byte, by *x509.Certificate, err error) {
	const op = "signer.OpenSigned"
	if len(p7m)/2 > limit+maxSignatureBytes {
		return nil, nil, fault.New(op, fault.TooLarge, nil)
	}
	ber, err := unwrapCMS(p7m)
	if err != nil {
		return nil, nil, invalidCMS(op, err)
	}
	sd, err := readSignedData(ber, berLimits{bytes: len(ber), depth: maxDepth, elements: maxElements})
	if err != nil {
		return nil, nil, invalidCMS(op, err)
	}
	if sd.content == nil || len(sd.signers) == 0 {
		return nil, nil, invalidCMS(op, errNotOpaque)
	}
	if len(sd.content) > limit {
		return nil, nil, fault.New(op, fault.TooLarge, nil)
	}
	if by, err = v.openedBy(op, sd, bytes.NewReader(sd.content), at); err != nil {
		return nil, by, err
	}
	return sd.content, by, nil
}

// openedBy returns the certificate that signed an opaque content, and with it
// an error when the signature does not hold.
func (v *Verifier) openedBy(op string, sd *signedData, content io.Reader, at time.Time) (*x509.Certificate, error) {
	inner := &Verifier{cfg: v.cfg}
	inner.cfg.Origins = nil // an index is signed by whoever the caller trusts for it
	var verdict Verdict
	si := inner.pick(sd, &verdict)
	if verdict.Certificate == nil {
		return nil, invalidCMS(op, errElementMissing)
	}
	verdict = inner.value(verdict, sd, si, content)
	switch verdict.Failed {
	case StepOK:
	case StepRead:
		return verdict.Certificate, fault.New(op, fault.Temporary, verdict.Err)
	default:
		return verdict.Certificate, denied(op, because(verdict.Reason, verdict.ReasonEN))
	}
	if step, why := inner.certificate(verdict.Certificate, sd.certificates, at, x509.ExtKeyUsageAny); step != StepOK {
		return verdict.Certificate, denied(op, why)
	}
	return verdict.Certificate, nil
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
