// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
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
		return &quotedPrintable{r: bufio.NewReader(r)}, true
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

// quotedPrintable decodes RFC 2045 §6.7.
type quotedPrintable struct{ r *bufio.Reader }

func (q *quotedPrintable) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		ch, err := q.r.ReadByte()
		if err != nil {
			if n > 0 {
				err = nil
			}
			return n, err
		}
		if ch == '=' {
			var soft bool
			if ch, soft = q.escape(); soft {
				continue
			}
		}
		p[n] = ch
		n++
	}
	return n, nil
}

// escape reads what follows "=": two hexadecimal digits or, as a soft line
// break, a line end that white space may precede. Anything else leaves "=".
func (q *quotedPrintable) escape() (ch byte, soft bool) {
	next, _ := q.r.Peek(2)
	if len(next) == 2 {
		hi, ok1 := hexDigit(next[0])
		lo, ok2 := hexDigit(next[1])
		if ok1 && ok2 {
			_, _ = q.r.Discard(2)
			return hi<<4 | lo, false
		}
	}
	const longest = 80 // octets of white space looked past
	next, _ = q.r.Peek(longest)
	for i, c := range next {
		switch c {
		case ' ', '\t', '\r':
			continue
		case '\n':
			_, _ = q.r.Discard(i + 1)
			return 0, true
		}
		return '=', false
	}
	if len(next) < longest {
		_, _ = q.r.Discard(len(next))
		return 0, true
	}
	return '=', false
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
