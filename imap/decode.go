// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"encoding/base64"
	"errors"
	"io"

	"pecd/rfc822"
	"pecd/storage"
)

// rawBody reads the body of a part as it was sent.
func rawBody(b storage.Body, p *rfc822.Part) io.Reader {
	return io.NewSectionReader(b, p.BodyOffset, p.End-p.BodyOffset)
}

// decodedBody reads the body of a part with its transfer encoding (RFC 2045 §6)
// taken off. Malformed input ends the data or stands for itself; it is no
// error. ok is false for an encoding that is not known.
func decodedBody(b storage.Body, p *rfc822.Part) (r io.Reader, ok bool) {
	r = rawBody(b, p)
	if p.IsMultipart() || p.Message != nil {
		return r, true
	}
	switch p.Encoding {
	case "7bit", "8bit", "binary":
		return r, true
	case "base64":
		return lenient{base64.NewDecoder(base64.StdEncoding, alphabet{r})}, true
	case "quoted-printable":
		return rfc822.NewTrimmingQuotedPrintableReader(r), true
	}
	return nil, false
}

// lenient takes a decoding error for the end.
type lenient struct{ r io.Reader }

func (l lenient) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// alphabet leaves out what base64 does not use.
type alphabet struct{ r io.Reader }

func (a alphabet) Read(p []byte) (int, error) {
	for {
		n, err := a.r.Read(p)
		k := 0
		for _, ch := range p[:n] {
			if ch >= 'A' && ch <= 'Z' || ch >= 'a' && ch <= 'z' || ch >= '0' && ch <= '9' || ch == '+' || ch == '/' || ch == '=' {
				p[k] = ch
				k++
			}
		}
		if k > 0 || err != nil {
			return k, err
		}
	}
}
