// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ldifLimits bounds what the LDIF reader accepts.
type ldifLimits struct {
	bytes int64 // of the whole file
	line  int   // octets of a logical line, unfolded
	attrs int   // attributes of one entry
}

func defaultLDIFLimits() ldifLimits {
	return ldifLimits{bytes: 256 << 20, line: 1 << 20, attrs: 1 << 20}
}

// ldifVisitor receives the entries of an LDIF file in order. Values are valid
// until the call returns. Lines count from 1; an entry's line is that of its dn.
type ldifVisitor interface {
	begin(line int, dn string) error
	// attr gets the attribute's type in lower case without options.
	attr(line int, name string, value []byte) error
	end() error
}

// readLDIF reads content records of RFC 2849 (no change records) and calls v.
// It folds lines, skips comments, decodes base64 values and never follows a URL.
// Beyond the RFC it accepts a byte order mark and a "dn:" that opens an entry
// without the blank line before it, as the examples of RFC 6109 §4.5.10 have it.
// Every error names the line it is about.
func readLDIF(r io.Reader, lim ldifLimits, v ldifVisitor) error {
	p := &ldifParser{in: bufio.NewReaderSize(io.LimitReader(r, lim.bytes+1), 64<<10), lim: lim, v: v}
	for {
		line, err := p.logical()
		if err == io.EOF {
			return p.close()
		}
		if err == nil {
			err = p.take(line)
		}
		if err != nil {
			return err
		}
	}
}

type ldifParser struct {
	in   *bufio.Reader
	lim  ldifLimits
	v    ldifVisitor
	read int64  // octets so far
	line int    // number of the last physical line read
	at   int    // number of the first physical line of the present logical line
	buf  []byte // the logical line
	out  []byte // decoded base64

	open    bool // within an entry
	attrs   int
	started bool // something other than comments and blank lines was seen
}

func (p *ldifParser) errorf(format string, args ...any) error {
	return lineError(p.at, format, args...)
}

func lineError(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// logical returns the next logical line without its line end; io.EOF at the end.
// A blank line is empty.
func (p *ldifParser) logical() ([]byte, error) {
	p.buf = p.buf[:0]
	p.at = p.line + 1
	if err := p.physical(); err != nil {
		return nil, err
	}
	if len(p.buf) == 0 {
		return p.buf, nil // what follows a blank line is no continuation of it
	}
	for {
		next, err := p.in.Peek(1)
		if err == io.EOF {
			return p.buf, nil
		}
		if err != nil {
			return nil, p.errorf("%w", err)
		}
		if next[0] != ' ' {
			return p.buf, nil
		}
		if _, err := p.in.Discard(1); err != nil {
			return nil, p.errorf("%w", err)
		}
		p.read++
		if err := p.physical(); err != nil && err != io.EOF {
			return nil, err
		}
	}
}

// physical appends one physical line without its line end to the buffer.
func (p *ldifParser) physical() error {
	p.line++
	start := len(p.buf)
	for {
		chunk, err := p.in.ReadSlice('\n')
		p.read += int64(len(chunk))
		if p.read > p.lim.bytes {
			return p.errorf("file longer than %d octets", p.lim.bytes)
		}
		if len(p.buf)+len(chunk) > p.lim.line+2 {
			return p.errorf("line longer than %d octets", p.lim.line)
		}
		p.buf = append(p.buf, chunk...)
		switch {
		case err == nil:
			p.buf = p.buf[:len(p.buf)-1]
			if n := len(p.buf); n > start && p.buf[n-1] == '\r' {
				p.buf = p.buf[:n-1]
			}
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			if len(p.buf) == start && len(chunk) == 0 {
				return io.EOF
			}
			return nil
		default:
			return p.errorf("%w", err)
		}
	}
}

// take handles one logical line.
func (p *ldifParser) take(line []byte) error {
	if p.at == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if len(line) == 0 {
		return p.close()
	}
	if line[0] == '#' {
		return nil
	}
	if line[0] == ' ' {
		return p.errorf("continuation of nothing")
	}
	if len(line) == 1 && line[0] == '-' {
		return p.errorf("change records are not content")
	}
	name, value, err := p.split(line)
	if err != nil {
		return err
	}
	first := !p.started
	p.started = true
	switch {
	case first && name == "version":
		if string(value) != "1" {
			return p.errorf("LDIF version %.20q is not 1", value)
		}
		return nil
	case name == "dn":
		if err := p.close(); err != nil {
			return err
		}
		p.open, p.attrs = true, 0
		return p.v.begin(p.at, string(value))
	case !p.open:
		return p.errorf("attribute %.40q outside an entry", name)
	case name == "changetype" || name == "control":
		return p.errorf("change records are not content")
	}
	if p.attrs++; p.attrs > p.lim.attrs {
		return p.errorf("entry with more than %d attributes", p.lim.attrs)
	}
	return p.v.attr(p.at, name, value)
}

func (p *ldifParser) close() error {
	if !p.open {
		return nil
	}
	p.open = false
	return p.v.end()
}

// split takes an attribute line apart and decodes its value.
func (p *ldifParser) split(line []byte) (name string, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return "", nil, p.errorf("no attribute name before a colon")
	}
	desc := line[:colon]
	if semi := bytes.IndexByte(desc, ';'); semi >= 0 {
		desc = desc[:semi]
	}
	if !isAttrType(desc) {
		return "", nil, p.errorf("malformed attribute name %.40q", desc)
	}
	name = attrType(desc)
	value = line[colon+1:]
	if len(value) == 0 || value[0] != ':' {
		if len(value) > 0 && value[0] == '<' {
			return "", nil, p.errorf("value of %s by URL is not followed", name)
		}
		value = bytes.TrimLeft(value, " ")
		if bytes.IndexByte(value, 0) >= 0 {
			return "", nil, p.errorf("NUL in the value of %s", name)
		}
		return name, value, nil
	}
	value = bytes.Trim(value[1:], " ")
	if n := base64.StdEncoding.DecodedLen(len(value)); cap(p.out) < n {
		p.out = make([]byte, n)
	}
	n, err := base64.StdEncoding.Decode(p.out[:cap(p.out)], value)
	if err != nil {
		return "", nil, p.errorf("value of %s is no base64", name)
	}
	return name, p.out[:n], nil
}

// isAttrType accepts a descriptor or a numeric OID, RFC 2849.
func isAttrType(b []byte) bool {
	for _, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 128
}

// attrType lower-cases an attribute type; the frequent one costs no allocation.
func attrType(b []byte) string {
	if string(b) == "managedDomains" {
		return attrDomains
	}
	return strings.ToLower(string(b))
}
