// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Errors of ParseHeader. The Header returned with them holds what lies within
// the limits.
var (
	ErrHeaderSize   = errors.New("rfc822: header block too large")
	ErrHeaderFields = errors.New("rfc822: too many header fields")
)

// maxHeaderDefects is how many malformed lines of one header are described.
const maxHeaderDefects = 16

// Field is one header field exactly as received (RFC 5322 §2.2).
type Field struct {
	// Name is the field name as spelled. It is empty for a line that is no
	// field at all, so that the Raw of all fields joined is the header block.
	Name string
	// Raw is name, colon, value and folds with the final line end; the last
	// field of a message that stops within its header may lack that.
	Raw []byte
}

// Value returns the text after the colon, unfolded (RFC 5322 §2.2.3) and
// trimmed, with nothing decoded. It holds no CR and no LF; a stray one becomes
// a space.
func (f Field) Value() string {
	if f.Name == "" {
		return ""
	}
	i := bytes.IndexByte(f.Raw, ':')
	if i < 0 {
		return ""
	}
	return unfold(f.Raw[i+1:])
}

func unfold(b []byte) string {
	b = bytes.Trim(b, " \t\r\n")
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\r' && i+2 < len(b) && b[i+1] == '\n' && isWSP(b[i+2]):
			i++ // the line end of a fold goes, its white space stays
		case c == '\n' && i+1 < len(b) && isWSP(b[i+1]):
		case c == '\r' || c == '\n':
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

// span is where a field lies in the raw block. Offsets instead of slices keep a
// header of very many short lines small.
type span struct{ start, colon, end uint32 } // colon == start: not a field

type headerDefect struct {
	offset int
	text   string
}

// Header is a header block: its fields in order, over the bytes received. The
// zero value is an empty header.
type Header struct {
	raw     []byte
	spans   []span
	defects []headerDefect
}

// ParseHeader reads a header block, with or without the blank line that ends it;
// bytes after the blank line are left out. It keeps raw, which the caller must
// not change afterwards. Lines end in CRLF or LF. Malformed lines are kept as
// fields without a name and described by Defects. The only errors are
// ErrHeaderSize and ErrHeaderFields.
func ParseHeader(raw []byte, lim Limits) (Header, error) {
	lim = lim.orDefault()
	var h Header
	var err error
	pos := 0
	for pos < len(raw) {
		end := len(raw)
		if i := bytes.IndexByte(raw[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if end > lim.HeaderBytes {
			err = ErrHeaderSize
			break
		}
		line := raw[pos:end]
		if isBlank(line) {
			pos = end
			break
		}
		if isWSP(line[0]) && len(h.spans) > 0 {
			h.spans[len(h.spans)-1].end = uint32(end)
			pos = end
			continue
		}
		if len(h.spans) == lim.HeaderFields {
			err = ErrHeaderFields
			break
		}
		colon, ok := fieldColon(line)
		if !ok {
			h.note(pos, line)
		}
		h.spans = append(h.spans, span{uint32(pos), uint32(pos + colon), uint32(end)})
		pos = end
	}
	h.raw = raw[:pos:pos]
	return h, err
}

// isBlank tells whether line is a line end alone.
func isBlank(line []byte) bool {
	return len(line) > 0 && (line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n')
}

// fieldColon finds the colon after a field name. It returns 0 where there is no
// name; ok is false for anything RFC 5322 §2.2 does not allow, which includes
// the obsolete white space before the colon.
func fieldColon(line []byte) (colon int, ok bool) {
	colon = bytes.IndexByte(line, ':')
	if colon <= 0 {
		return 0, false
	}
	name := bytes.TrimRight(line[:colon], " \t")
	if len(name) == 0 {
		return 0, false
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return 0, false
		}
	}
	return colon, len(name) == colon
}

func (h *Header) note(offset int, line []byte) {
	if len(h.defects) == maxHeaderDefects {
		return
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) > 40 {
		line = line[:40]
	}
	h.defects = append(h.defects, headerDefect{offset, fmt.Sprintf("malformed header line %q", line)})
}

func (h Header) name(s span) []byte {
	return bytes.TrimRight(h.raw[s.start:s.colon], " \t")
}

// first is the header cut to its first n octets.
func (h Header) first(n int) Header {
	h.raw = h.raw[:min(n, len(h.raw))]
	spans := h.spans
	h.spans = nil
	for _, s := range spans {
		s.end = min(s.end, uint32(len(h.raw)))
		if s.start < s.end {
			s.colon = min(s.colon, s.end)
			h.spans = append(h.spans, s)
		}
	}
	return h
}

// Len returns the number of fields, malformed lines included.
func (h Header) Len() int { return len(h.spans) }

// Fields returns the fields in order. The slice is made anew by every call.
func (h Header) Fields() []Field {
	fields := make([]Field, len(h.spans))
	for i, s := range h.spans {
		fields[i] = Field{Name: string(h.name(s)), Raw: h.raw[s.start:s.end:s.end]}
	}
	return fields
}

// Get returns the value (as Field.Value) of the first field of that name, in any
// case of letters, and "" where there is none.
func (h Header) Get(name string) string {
	for _, s := range h.spans {
		if equalFold(h.name(s), name) {
			return unfold(h.raw[s.colon+1 : s.end])
		}
	}
	return ""
}

// Has tells whether a field of that name is there, even an empty one.
func (h Header) Has(name string) bool {
	for _, s := range h.spans {
		if equalFold(h.name(s), name) {
			return true
		}
	}
	return false
}

// Values returns the values of all fields of that name in order.
func (h Header) Values(name string) []string {
	var values []string
	for _, s := range h.spans {
		if equalFold(h.name(s), name) {
			values = append(values, unfold(h.raw[s.colon+1:s.end]))
		}
	}
	return values
}

// Raw returns the block as received, with the blank line where it was there.
// The caller must not change it.
func (h Header) Raw() []byte { return h.raw }

// Defects describes malformed lines, in English, at most 16 of them.
func (h Header) Defects() []string {
	var texts []string
	for _, d := range h.defects {
		texts = append(texts, d.text)
	}
	return texts
}

// equalFold compares ASCII without regard to case. An empty name matches
// nothing: malformed lines have none.
func equalFold(b []byte, s string) bool {
	return len(b) > 0 && len(b) == len(s) && strings.EqualFold(string(b), s)
}
