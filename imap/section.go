// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"strings"

	"pecd/rfc822"
)

// extent is a range of octets of a message.
type extent struct{ off, n int64 }

// locate finds the part that part numbers name (RFC 9051 §6.4.5.1). A message
// that is no multipart has one part, number 1: its body. nil: no such part.
func locate(root *rfc822.Part, path []int) *rfc822.Part {
	cur, isMessage := root, true
	for _, n := range path {
		if !isMessage {
			switch {
			case cur.Message != nil: // the numbers go on inside the attached message
				cur = cur.Message
			case !cur.IsMultipart():
				return nil
			}
		}
		isMessage = false
		switch {
		case cur.IsMultipart():
			if n > len(cur.Children) {
				return nil
			}
			cur = cur.Children[n-1]
		case n != 1:
			return nil
		}
	}
	return cur
}

// sectionOf returns the octets of BODY[path.spec]; none where the message has no
// such section. Of a HEADER.FIELDS it is the header that they are chosen from.
func sectionOf(root *rfc822.Part, it *fetchItem) []extent {
	p := locate(root, it.part)
	if p == nil {
		return nil
	}
	switch it.spec {
	case specAll:
		return []extent{{p.BodyOffset, p.End - p.BodyOffset}}
	case specMIME:
		return []extent{{p.Offset, p.BodyOffset - p.Offset}}
	}
	m := p.Message // HEADER and TEXT are those of an attached message
	if m == nil {
		return nil
	}
	if it.spec == specText {
		return []extent{{m.BodyOffset, m.End - m.BodyOffset}}
	}
	return []extent{{m.Offset, m.BodyOffset - m.Offset}}
}

// headerFields returns where in the message the chosen fields of a header block
// lie, with the blank line that ends it. raw starts at offset. Lines that are no
// field have no name: HEADER.FIELDS never returns them, HEADER.FIELDS.NOT does.
func headerFields(raw []byte, offset int64, it *fetchItem) []extent {
	var out []extent
	for pos := 0; pos < len(raw); {
		end := fieldEnd(raw, pos)
		line := raw[pos:end]
		blank := len(bytes.TrimRight(line, "\r\n")) == 0
		if blank || hasField(line, it.fields) == (it.spec == specFields) {
			out = appendExtent(out, extent{offset + int64(pos), int64(end - pos)})
		}
		if blank {
			break
		}
		pos = end
	}
	return out
}

// fieldEnd returns the end of the field that starts at pos, folds included.
func fieldEnd(raw []byte, pos int) int {
	first := true
	for pos < len(raw) {
		if !first && raw[pos] != ' ' && raw[pos] != '\t' {
			return pos
		}
		n := bytes.IndexByte(raw[pos:], '\n')
		if n < 0 {
			return len(raw)
		}
		if first && len(bytes.TrimRight(raw[pos:pos+n], "\r")) == 0 {
			return pos + n + 1 // the blank line; what looks like a fold is body
		}
		pos += n + 1
		first = false
	}
	return pos
}

func hasField(line []byte, names []string) bool {
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return false
	}
	name = bytes.TrimRight(name, " \t")
	for _, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, string(name)) {
			return true
		}
	}
	return false
}

// appendExtent joins adjacent ranges.
func appendExtent(out []extent, e extent) []extent {
	if n := len(out); n > 0 && out[n-1].off+out[n-1].n == e.off {
		out[n-1].n += e.n
		return out
	}
	return append(out, e)
}

// clip applies <offset.length> to ranges.
func clip(in []extent, it *fetchItem) []extent {
	if !it.partial {
		return in
	}
	skip, left := it.off, it.n
	var out []extent
	for _, e := range in {
		if skip >= e.n {
			skip -= e.n
			continue
		}
		e.off, e.n, skip = e.off+skip, e.n-skip, 0
		e.n = min(e.n, left)
		left -= e.n
		if e.n > 0 {
			out = append(out, e)
		}
	}
	return out
}

func total(in []extent) int64 {
	var n int64
	for _, e := range in {
		n += e.n
	}
	return n
}
