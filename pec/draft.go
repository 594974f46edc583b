// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
)

// Draft is a message of certified mail without its signature. The signed
// entity, whose digest goes to the signer, is Before, then the original when
// WithOriginal, then After, octet for octet (WriteEntity streams it).
type Draft struct {
	Kind      Kind
	MessageID string // without angle brackets
	// Outer is the message's header fields, each ended by CRLF, without
	// MIME-Version and Content-Type, which Seal adds.
	Outer        []byte
	Before       []byte
	WithOriginal bool
	After        []byte
	// EightBit says that the original has octets above 127, so that the
	// message travels only where 8BITMIME is offered.
	EightBit bool

	boundary string // of the multipart/signed
}

// WriteEntity writes the signed entity. original is read only when
// WithOriginal is set, and may be nil otherwise.
func (d Draft) WriteEntity(w io.Writer, original io.Reader) error {
	if _, err := w.Write(d.Before); err != nil {
		return err
	}
	if d.WithOriginal {
		if _, err := io.Copy(w, original); err != nil {
			return err
		}
	}
	_, err := w.Write(d.After)
	return err
}

// Seal puts the detached signature p7s (DER) on the draft: the complete
// message is head, then the original when WithOriginal, then tail. mic is the
// name of the digest as micalg has it, such as "sha-256" (RFC 5751 §3.4.3.2).
func (d Draft) Seal(p7s []byte, mic string) (head, tail []byte) {
	var h bytes.Buffer
	h.Grow(len(d.Outer) + len(d.Before) + 512)
	h.Write(d.Outer)
	h.WriteString("MIME-Version: 1.0\r\n")
	if d.EightBit {
		h.WriteString("Content-Transfer-Encoding: 8bit\r\n")
	}
	h.WriteString("Content-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\";\r\n" +
		" micalg=" + mic + ";\r\n boundary=\"" + d.boundary + "\"\r\n\r\n" +
		"This is an S/MIME signed message\r\n\r\n--" + d.boundary + "\r\n")
	h.Write(d.Before)

	var t bytes.Buffer
	t.Grow(len(d.After) + len(p7s)*3/2 + 512)
	t.Write(d.After)
	// The line break before the delimiter belongs to the delimiter: it is not
	// signed (RFC 1847 §2.1, RFC 2046 §5.1.1).
	t.WriteString("\r\n--" + d.boundary + "\r\n" +
		"Content-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n")
	writeBase64(&t, p7s)
	t.WriteString("\r\n--" + d.boundary + "--\r\n")
	return h.Bytes(), t.Bytes()
}

// writeBase64 writes lines of 76 columns, each ended by CRLF.
func writeBase64(b *bytes.Buffer, data []byte) {
	const perLine = 57
	for len(data) > 0 {
		n := min(perLine, len(data))
		b.Write(base64.StdEncoding.AppendEncode(b.AvailableBuffer(), data[:n]))
		b.WriteString("\r\n")
		data = data[n:]
	}
}

// boundary makes the delimiter of one level of a message. It holds "=_", which
// no quoted-printable or base64 body can. Levels have delimiters of one length
// with different digests, so that none is the beginning of another.
func boundary(level string, secret []byte, about ...string) string {
	sum := digest(append([]string{"boundary", level, string(secret)}, about...)...)
	return "----=_pecd_" + hex.EncodeToString(sum[:20])
}
