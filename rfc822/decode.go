// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bufio"
	"bytes"
	"io"
)

// Base64Reader takes base64 off what it reads (RFC 2045 §6.8), as the most
// tolerant mail reader does: what is not of the alphabet is skipped, a pad ends
// its group of four wherever it is, and the data go on after it. Nothing in the
// text is an error; those of the reader underneath are passed on.
type Base64Reader struct {
	r       io.Reader
	in      []byte
	out     []byte // decoded, not yet read
	rest    []byte // all of out's room
	group   uint32 // bits of the current group
	digits  int    // of it
	foreign bool
	err     error
}

// decodeBuffer is how many octets of encoded text are read at once.
const decodeBuffer = 8 << 10

// NewBase64Reader returns a reader of what the base64 text of r stands for.
func NewBase64Reader(r io.Reader) *Base64Reader {
	return &Base64Reader{r: r, in: make([]byte, decodeBuffer), rest: make([]byte, 0, decodeBuffer)}
}

// Foreign reports whether octets have been skipped that are neither of the
// alphabet nor white space: then the text may be something else than base64.
func (b *Base64Reader) Foreign() bool { return b.foreign }

// Read implements io.Reader.
func (b *Base64Reader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		n, err := b.r.Read(b.in)
		b.out = b.rest
		for _, c := range b.in[:n] {
			b.take(c)
		}
		if err != nil {
			b.endGroup()
			b.err = err
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// take decodes one octet of the text.
func (b *Base64Reader) take(c byte) {
	v, ok := base64Digit(c)
	switch {
	case ok:
		b.group = b.group<<6 | v
		if b.digits++; b.digits == 4 {
			b.out = append(b.out, byte(b.group>>16), byte(b.group>>8), byte(b.group))
			b.group, b.digits = 0, 0
		}
	case c == '=':
		b.endGroup()
	case c != ' ' && c != '\t' && c != '\r' && c != '\n':
		b.foreign = true
	}
}

// endGroup gives out the whole octets of an unfinished group.
func (b *Base64Reader) endGroup() {
	switch b.digits {
	case 2:
		b.out = append(b.out, byte(b.group>>4))
	case 3:
		b.out = append(b.out, byte(b.group>>10), byte(b.group>>2))
	}
	b.group, b.digits = 0, 0
}

func base64Digit(c byte) (uint32, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}

// NewQuotedPrintableReader returns a reader of what the quoted-printable text of
// r stands for (RFC 2045 §6.7). An equals sign that begins neither an octet nor
// a soft line break stands for itself; white space at the end of a line stays, as
// many mail readers have it. The only errors are those of r.
func NewQuotedPrintableReader(r io.Reader) io.Reader {
	return &quotedPrintable{r: bufio.NewReaderSize(r, decodeBuffer)}
}

// NewTrimmingQuotedPrintableReader is NewQuotedPrintableReader without the white
// space at the end of a line, up to 1,000 octets of it: something else has put it
// there (RFC 2045 §6.7, rule 3).
func NewTrimmingQuotedPrintableReader(r io.Reader) io.Reader {
	return &quotedPrintable{r: bufio.NewReaderSize(r, decodeBuffer), trims: true}
}

type quotedPrintable struct {
	r     *bufio.Reader
	trims bool
	white int // octets of white space to come that are known to stay
}

// Read implements io.Reader.
func (q *quotedPrintable) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		c, err := q.r.ReadByte()
		if err != nil {
			if n > 0 {
				err = nil // it comes again
			}
			return n, err
		}
		if q.trims && (c == ' ' || c == '\t') && q.trailing() {
			continue
		}
		if c == '=' {
			var soft bool
			if c, soft = q.escape(); soft {
				continue
			}
		}
		p[n] = c
		n++
	}
	return len(p), nil
}

// trailing tells whether the white space just read ends its line, and reads past
// the rest of it if so.
func (q *quotedPrintable) trailing() bool {
	if q.white > 0 {
		q.white--
		return false
	}
	const longest = 1000
	next, _ := q.r.Peek(longest + 2) // with a line end
	n := 0
	for n < len(next) && (next[n] == ' ' || next[n] == '\t') {
		n++
	}
	rest := next[n:]
	if n <= longest && (len(rest) == 0 || rest[0] == '\n' || bytes.HasPrefix(rest, []byte("\r\n"))) {
		_, _ = q.r.Discard(n)
		return true
	}
	q.white = n
	return false
}

// escape reads what follows an equals sign: two digits, or a line end that white
// space may precede, or what leaves the sign as it is.
func (q *quotedPrintable) escape() (c byte, soft bool) {
	next, _ := q.r.Peek(2)
	if len(next) == 2 {
		hi, ok1 := unhex(next[0])
		lo, ok2 := unhex(next[1])
		if ok1 && ok2 {
			_, _ = q.r.Discard(2) // they are in the buffer
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
	if len(next) < longest { // the text ends here
		_, _ = q.r.Discard(len(next))
		return 0, true
	}
	return '=', false
}
