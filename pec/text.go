// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"html"
	"mime/quotedprintable"
	"strconv"
	"strings"
)

// prose is the readable text of a message, from which both its plain and its
// HTML form are made, so that they say the same (RFC 6109 §4.3.1). All of it is
// hostile until it is rendered: nothing in it is markup.
type prose []block

// block is a title, a paragraph, a list of addresses or a rule between the
// two languages.
type block struct {
	kind  blockKind
	lines []string
}

type blockKind uint8

const (
	blockTitle blockKind = iota
	blockText
	blockList
	blockRule
)

func (p *prose) title(s string)         { *p = append(*p, block{blockTitle, []string{s}}) }
func (p *prose) text(lines ...string)   { *p = append(*p, block{blockText, lines}) }
func (p *prose) list(entries ...string) { *p = append(*p, block{blockList, entries}) }
func (p *prose) rule()                  { *p = append(*p, block{blockRule, nil}) }

// size is about what the text comes to, in octets.
func (p prose) size() int {
	const perBlock, perLine = 80, 8
	n := 256
	for _, block := range p {
		n += perBlock
		for _, l := range block.lines {
			n += perLine + len(l)
		}
	}
	return n
}

// plain renders the text part: ISO-8859-1, one LF a line.
func (p prose) plain() []byte {
	var b bytes.Buffer
	b.Grow(p.size())
	for i, block := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		switch block.kind {
		case blockTitle:
			b.WriteString("-- ")
			writePlain(&b, block.lines[0])
			b.WriteString(" --\n")
		case blockRule:
			b.WriteString(strings.Repeat("-", 70) + "\n")
		default:
			for _, l := range block.lines {
				writePlain(&b, l)
				b.WriteByte('\n')
			}
		}
	}
	return b.Bytes()
}

// html renders the HTML part: ISO-8859-1, one LF a line, without a reference
// to anything and without active content.
func (p prose) html() []byte {
	var b bytes.Buffer
	b.Grow(p.size() + p.size()/2)
	b.WriteString("<html>\n<head><title>")
	for _, block := range p {
		if block.kind == blockTitle {
			writeHTML(&b, block.lines[0])
			break
		}
	}
	b.WriteString("</title></head>\n<body>\n")
	for _, block := range p {
		switch block.kind {
		case blockTitle:
			b.WriteString("<h3>")
			writeHTML(&b, block.lines[0])
			b.WriteString("</h3>\n")
		case blockRule:
			b.WriteString("<hr>\n")
		case blockList:
			b.WriteString("<ul>\n")
			for _, l := range block.lines {
				b.WriteString("<li>")
				writeHTML(&b, l)
				b.WriteString("</li>\n")
			}
			b.WriteString("</ul>\n")
		default:
			b.WriteString("<p>")
			for i, l := range block.lines {
				if i > 0 {
					b.WriteString("<br>\n")
				}
				writeHTML(&b, l)
			}
			b.WriteString("</p>\n")
		}
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes()
}

// writePlain writes text in ISO-8859-1; what that cannot carry is written with
// its nearest letters, or a question mark.
func writePlain(b *bytes.Buffer, s string) {
	for _, r := range s {
		if r <= 0xFF {
			b.WriteByte(byte(r))
			continue
		}
		b.WriteString(nearest(r))
	}
}

// writeHTML writes text in ISO-8859-1 with HTML's own characters escaped; what
// ISO-8859-1 cannot carry becomes a numeric entity. Characters that turn the
// direction of the text around them are shown as U+FFFD: they could make a
// subject change what the sentence around it seems to say.
func writeHTML(b *bytes.Buffer, s string) {
	for _, r := range html.EscapeString(s) {
		if isDirectional(r) {
			r = '\uFFFD'
		}
		if r <= 0xFF {
			b.WriteByte(byte(r))
			continue
		}
		b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
	}
}

// isDirectional says whether r is a control of the bidirectional algorithm.
func isDirectional(r rune) bool {
	return r == '\u061C' || r == '\u200E' || r == '\u200F' || (r >= '\u202A' && r <= '\u202E') || (r >= '\u2066' && r <= '\u2069')
}

// nearest writes a character outside ISO-8859-1 with characters of it.
func nearest(r rune) string {
	switch r {
	case '\u2018', '\u2019', '\u201A', '\u201B', '\u2032', '\u02BC':
		return "'"
	case '\u201C', '\u201D', '\u201E', '\u201F', '\u2033':
		return `"`
	case '\u2039':
		return "<"
	case '\u203A':
		return ">"
	case '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2015', '\u2212':
		return "-"
	case '\u2022', '\u2023':
		return "*"
	case '\u2026':
		return "..."
	case '\u20AC':
		return "EUR"
	case '\u2122':
		return "(TM)"
	case '\u2116':
		return "N."
	case 'Œ':
		return "OE"
	case 'œ':
		return "oe"
	case 'Ĳ':
		return "IJ"
	case 'ĳ':
		return "ij"
	case 'ẞ':
		return "SS"
	case 'Ș':
		return "S"
	case 'ș':
		return "s"
	case 'Ț':
		return "T"
	case 'ț':
		return "t"
	}
	switch {
	case r >= 0x2000 && r <= 0x200A, r == 0x202F, r == 0x205F, r == 0x3000:
		return " "
	case r >= 0x200B && r <= 0x200D, r == 0xFEFF, r >= 0x0300 && r <= 0x036F, r >= 0xFE00 && r <= 0xFE0F:
		return "" // joins or modifies its neighbours
	case r >= 0x0100 && r <= 0x017F:
		return latinExtendedA[r-0x0100 : r-0x0100+1]
	}
	return "?"
}

// latinExtendedA has the base letter of each character from U+0100 to U+017F.
const latinExtendedA = "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi??JjKkkLlLlLlLlLlNnNnNnnNnOoOoOo??RrRrRr" +
	"SsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs"

// writeQuoted writes text in quoted-printable: CRLF, at most 76 columns. The
// stdlib writer fails only when the buffer does, which it cannot.
func writeQuoted(b *bytes.Buffer, text []byte) {
	w := quotedprintable.NewWriter(b)
	_, _ = w.Write(text)
	_ = w.Close()
}
