// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"strings"
)

// Part is a node of the MIME tree with byte offsets into the message.
//
// The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1), not
// to the part. Where that line end is also the blank line after the header, it
// counts as part of the header and the body is empty.
type Part struct {
	Offset     int64 // start of the header
	BodyOffset int64 // end of the header (its blank line included), start of the body
	End        int64 // end of the body

	HeaderLines int64 // lines in [Offset,BodyOffset)
	BodyLines   int64 // lines in [BodyOffset,End); an unfinished last line counts

	Header    Header
	MediaType string            // "multipart/mixed", lower case; RFC 2045 §5.2 default where absent or unreadable
	Params    map[string]string // parameters of Content-Type, keys in lower case, RFC 2231 decoded; nil for none
	Encoding  string            // Content-Transfer-Encoding in lower case, "7bit" by default

	Disposition       string            // "attachment", lower case; "" where absent
	DispositionParams map[string]string // as Params

	Children []*Part // parts of a multipart, in order; may be empty
	Message  *Part   // message inside a message/rfc822 or message/global that is not encoded

	Has8Bit   bool // the body contains octets above 127
	Truncated bool // a multipart without its closing boundary
}

// clamp keeps a part and what is in it from reaching beyond end.
func (p *Part) clamp(end int64) {
	p.Offset, p.End = min(p.Offset, end), min(p.End, end)
	if p.BodyOffset > end {
		p.BodyOffset, p.BodyLines = end, 0
		p.Header = p.Header.first(int(end - p.Offset))
		p.HeaderLines = int64(bytes.Count(p.Header.raw, []byte("\n")))
		if n := len(p.Header.raw); n > 0 && p.Header.raw[n-1] != '\n' {
			p.HeaderLines++
		}
	}
	for _, c := range p.Children {
		c.clamp(end)
	}
	if p.Message != nil {
		p.Message.clamp(end)
	}
}

// IsMultipart tells whether the part is of a multipart type.
func (p *Part) IsMultipart() bool { return strings.HasPrefix(p.MediaType, "multipart/") }

// IsMessage tells whether the part is an attached message (message/rfc822 or
// message/global), encoded or not.
func (p *Part) IsMessage() bool {
	return p.MediaType == "message/rfc822" || p.MediaType == "message/global"
}

// Name returns the file name of the part, decoded and safe to show: filename of
// Content-Disposition, else name of Content-Type. ok tells whether there is such
// a parameter at all, even an empty one (RFC 6109 §3.3.2.2 asks for that).
func (p *Part) Name() (name string, ok bool) {
	filename, ok1 := p.DispositionParams["filename"]
	if filename != "" {
		return DecodeText(filename), true
	}
	name, ok2 := p.Params["name"]
	return DecodeText(name), ok1 || ok2
}

// FileName returns the name of Name, "" where there is none.
func (p *Part) FileName() string {
	name, _ := p.Name()
	return name
}

// Walk calls f for p and every part below it, in the order of their offsets,
// until f returns false for a part: then what is below that part is left out.
func (p *Part) Walk(f func(*Part) bool) {
	if p == nil || !f(p) {
		return
	}
	p.Message.Walk(f)
	for _, c := range p.Children {
		c.Walk(f)
	}
}

// Message is what a Scanner found.
type Message struct {
	Root *Part // never nil
	Size int64 // octets

	Has8Bit bool // octets above 127 anywhere
	HasNUL  bool // NUL octets anywhere
	BareCR  bool // a CR without LF
	BareLF  bool // an LF without CR

	LongestLine  int // octets without the line end
	EndsWithCRLF bool
	Defects      []Defect
}

// Find returns the first defect of one of the kinds, nil for none.
func (m *Message) Find(kinds ...DefectKind) *Defect {
	for i := range m.Defects {
		for _, k := range kinds {
			if m.Defects[i].Kind == k {
				return &m.Defects[i]
			}
		}
	}
	return nil
}

// DefectKind is what is wrong with a message.
type DefectKind uint8

// The kinds of Defect. Those up to DefectHeaderFields mean that a limit was
// reached: the tree leaves something out.
const (
	DefectDepth        DefectKind = iota + 1 // parts nested too deep: not looked into
	DefectParts                              // too many parts: not recorded
	DefectHeaderSize                         // header too large: lines left out
	DefectHeaderFields                       // too many header fields: fields left out
	DefectHeaderLine                         // malformed header line
	DefectContentType                        // unreadable Content-Type, taken as text/plain
	DefectNoBoundary                         // multipart without a usable boundary: not looked into
	DefectUnclosed                           // multipart without its closing boundary
	DefectEmpty                              // multipart without any part
)

// IsLimit tells whether a limit was reached, so that the tree is not complete.
func (k DefectKind) IsLimit() bool { return k >= DefectDepth && k <= DefectHeaderFields }

// Defect is something wrong at one place of a message.
type Defect struct {
	Kind     DefectKind
	Offset   int64  // of the line or part concerned
	Attached bool   // inside an attached message
	Text     string // English
}

// maxDefects is how many defects of one kind are recorded; the kinds are
// bounded apart so that none can crowd out another.
const maxDefects = 16
