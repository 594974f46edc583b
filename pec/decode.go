// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
)

var errEncoding = errors.New("pec: unknown transfer encoding")

// decoder undoes a Content-Transfer-Encoding (RFC 2045 §6).
func decoder(encoding string, r io.Reader) io.Reader {
	switch encoding {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, base64Text{r})
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "7bit", "8bit", "binary":
		return r
	}
	return failing{}
}

// base64Text drops blanks, which RFC 2045 §6.8 says to ignore and the decoder of
// the standard library does not.
type base64Text struct{ r io.Reader }

// Read implements io.Reader.
func (t base64Text) Read(p []byte) (int, error) {
	for {
		n, err := t.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
				p[kept] = c
				kept++
			}
		}
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
}

// failing is the body in an encoding nobody knows.
type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, errEncoding }
