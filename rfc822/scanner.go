// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"encoding/binary"
)

const (
	maxBoundary  = 512  // longest boundary looked for; RFC 2046 §5.1.1 allows 70
	maxDelimiter = 1024 // longest line that can be a boundary line
)

// Scanner finds the MIME tree of a message that is written to it. It sees every
// byte once, keeps header blocks and nothing else, and gives the same result
// however the message is split into writes.
type Scanner struct {
	lim Limits
	msg Message

	stack      []frame        // open parts, the root first
	inHeader   bool           // the top of the stack is in its header
	attached   int            // message frames on the stack
	boundaries map[string]int // what the open frames wait for, to their place on the stack

	parts        int
	headerBytes  int
	headerFields int
	defects      [DefectEmpty + 1]int

	hdr      []byte // complete header lines of the top part, then the current line
	hdrMark  int    // where the current line starts in hdr
	hdrFull  bool   // a line of this header has been left out
	lineFull bool   // the current line does not fit

	line      []byte // first octets of a line that came in several writes
	lineStart int64  // offset of the current line
	lineLen   int64  // octets of it seen in earlier writes
	line8     bool   // of which some above 127
	lastCR    bool   // the last octet of the previous write was CR

	pos       int64
	lines     int64 // complete lines before the current one
	prevEOL   int64 // length of the line end before the current line
	prevEmpty bool  // the previous line was empty
	crs       int64
	crlfs     int64
	finished  bool
}

// frame is a part whose end has not been seen.
type frame struct {
	part      *Part
	boundary  string // of a multipart
	open      bool   // the boundary has not been closed
	isMessage bool   // the frame above is the message inside
	header8   bool   // octets above 127 in the header
	startLine int64  // lines before the header
	bodyLine  int64  // lines before the body
}

// NewScanner returns a scanner for one message.
func NewScanner(lim Limits) *Scanner {
	s := &Scanner{lim: lim.orDefault(), inHeader: true, parts: 1, boundaries: make(map[string]int)}
	s.msg.Root = &Part{}
	s.stack = append(s.stack, frame{part: s.msg.Root})
	return s
}

// Write takes the next bytes of the message. It never fails; bytes written
// after Finish are ignored.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	if s.finished || n == 0 {
		return n, nil
	}
	some8 := has8Bit(p)
	s.msg.Has8Bit = s.msg.Has8Bit || some8
	s.msg.HasNUL = s.msg.HasNUL || bytes.IndexByte(p, 0) >= 0
	s.crs += int64(bytes.Count(p, cr))
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.partial(p, some8)
			break
		}
		s.fullLine(p[:i+1], some8)
		p = p[i+1:]
	}
	s.pos += int64(n)
	return n, nil
}

var cr = []byte{'\r'}

// has8Bit tells whether p has octets above 127, eight at a time.
func has8Bit(p []byte) bool {
	const high = 0x8080808080808080
	for len(p) >= 32 {
		if (binary.LittleEndian.Uint64(p)|binary.LittleEndian.Uint64(p[8:])|
			binary.LittleEndian.Uint64(p[16:])|binary.LittleEndian.Uint64(p[24:]))&high != 0 {
			return true
		}
		p = p[32:]
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// partial takes the beginning or the middle of a line.
func (s *Scanner) partial(p []byte, some8 bool) {
	if room := maxDelimiter + 1 - len(s.line); room > 0 {
		s.line = append(s.line, p[:min(room, len(p))]...)
	}
	if s.inHeader {
		s.keepHeader(p)
	}
	s.lineLen += int64(len(p))
	s.line8 = s.line8 || some8 && has8Bit(p)
	s.lastCR = p[len(p)-1] == '\r'
}

// fullLine takes a line up to its LF, or what is left of it.
func (s *Scanner) fullLine(p []byte, some8 bool) {
	length := s.lineLen + int64(len(p))
	eol := int64(1)
	if len(p) > 1 && p[len(p)-2] == '\r' || len(p) == 1 && s.lineLen > 0 && s.lastCR {
		eol = 2
		s.crlfs++
	} else {
		s.msg.BareLF = true
	}
	line8 := s.line8 || some8 && has8Bit(p)
	if s.inHeader {
		s.keepHeader(p)
	}
	line := p
	if s.lineLen > 0 {
		if room := maxDelimiter + 1 - len(s.line); room > 0 {
			s.line = append(s.line, p[:min(room, len(p))]...)
		}
		line = s.line
	}
	s.endLine(line, length, eol, line8)
	if s.lineLen > 0 {
		s.line = s.line[:0]
		s.lineLen, s.line8 = 0, false
	}
	s.lastCR = false
}

// endLine closes the current line: line holds its first octets (all of them, up
// to maxDelimiter), length and eol count its octets and those of its line end.
func (s *Scanner) endLine(line []byte, length, eol int64, line8 bool) {
	if n := int(length - eol); n > s.msg.LongestLine {
		s.msg.LongestLine = n
	}
	i, closing := -1, false
	if len(s.boundaries) > 0 && length <= maxDelimiter && len(line) > 2 && line[0] == '-' && line[1] == '-' {
		i, closing = s.match(line)
	}
	switch {
	case i >= 0:
		s.delimiter(i, closing, length, line8)
	case s.inHeader:
		s.headerLine(length, eol, line8)
	case line8:
		s.stack[len(s.stack)-1].part.Has8Bit = true
	}
	s.hdrMark, s.lineFull = len(s.hdr), false
	s.lineStart += length
	s.lines++
	s.prevEOL, s.prevEmpty = eol, length == eol
}

// match finds the open multipart whose boundary line this is. The whole line must
// match: a boundary may be the beginning of another. Of two that match, the outer
// one is meant: what is inside a part is read after the part has been cut out.
func (s *Scanner) match(line []byte) (frame int, closing bool) {
	text := bytes.TrimRight(line[2:], " \t\r\n")
	frame = -1
	if i, ok := s.boundaries[string(text)]; ok {
		frame = i
	}
	if before, ok := bytes.CutSuffix(text, []byte("--")); ok {
		if i, ok := s.boundaries[string(before)]; ok && (frame < 0 || i < frame) {
			return i, true
		}
	}
	return frame, false
}

// expect makes frame i wait for its boundary, unless an outer one waits for the
// same.
func (s *Scanner) expect(i int) {
	f := &s.stack[i]
	f.open = true
	if _, taken := s.boundaries[f.boundary]; !taken {
		s.boundaries[f.boundary] = i
	}
}

// forget ends the waiting of frame i.
func (s *Scanner) forget(i int) {
	f := &s.stack[i]
	f.open = false
	if j, ok := s.boundaries[f.boundary]; ok && i == j {
		delete(s.boundaries, f.boundary)
	}
}

// delimiter handles a boundary line of frame i.
func (s *Scanner) delimiter(i int, closing bool, length int64, line8 bool) {
	s.closeAbove(i, s.lineStart-s.prevEOL, s.prevEmpty)
	f := &s.stack[i]
	f.part.Has8Bit = f.part.Has8Bit || line8
	if closing {
		s.forget(i)
		return
	}
	s.push(i, s.lineStart+length)
}

// push opens a part below frame i, at offset, unless there are too many.
func (s *Scanner) push(i int, offset int64) {
	limit := s.lim.Parts
	if len(s.stack) <= shallowDepth {
		limit += shallowParts
	}
	if s.parts >= limit {
		s.defect(DefectParts, s.lineStart, "too many parts")
		return
	}
	s.parts++
	parent := &s.stack[i]
	part := &Part{Offset: offset, BodyOffset: offset, End: offset}
	if parent.isMessage {
		parent.part.Message = part
	} else {
		parent.part.Children = append(parent.part.Children, part)
	}
	s.stack = append(s.stack, frame{part: part, startLine: s.lines + 1})
	s.inHeader = true
	s.resetHeader()
}

// closeAbove closes every frame above frame i. end is where the bodies end, and
// afterEmpty tells that the line before is empty.
func (s *Scanner) closeAbove(i int, end int64, afterEmpty bool) {
	if s.inHeader && len(s.stack)-1 > i {
		s.endHeader(s.lineStart, s.lines, false)
	}
	lastEnd := int64(0)
	for top := len(s.stack) - 1; top > i; top-- {
		f := &s.stack[top]
		p := f.part
		p.End = max(end, p.BodyOffset, lastEnd)
		if f.isMessage && p.Message != nil && p.End > end {
			// The enclosed message has no blank line of its own; the line end
			// taken for it, or for its last header line, is the boundary's.
			p.End = max(end, p.BodyOffset)
			p.Message.clamp(p.End)
		}
		lastEnd = p.End // a part that is a header alone keeps its line end, and so does what it is in
		p.BodyLines = s.lines - f.bodyLine
		if p.BodyLines > 0 && p.End == end && afterEmpty {
			p.BodyLines-- // its line end belongs to the boundary
		}
		if f.isMessage {
			s.attached--
		}
		if f.open {
			s.forget(top)
			p.Truncated = true
			s.defect(DefectUnclosed, p.Offset, "multipart not closed")
		}
		if f.boundary != "" && len(p.Children) == 0 {
			s.defect(DefectEmpty, p.Offset, "multipart without parts")
		}
		if top > 0 && (p.Has8Bit || f.header8) {
			s.stack[top-1].part.Has8Bit = true
		}
		s.stack[top] = frame{}
	}
	s.stack = s.stack[:i+1]
	s.inHeader = false
}

// Finish ends the message and returns what was found. Called again it returns
// the same.
func (s *Scanner) Finish() *Message {
	if s.finished {
		return &s.msg
	}
	s.msg.EndsWithCRLF = s.lineLen == 0 && s.lines > 0 && s.prevEOL == 2
	if s.lineLen > 0 {
		s.endLine(s.line, s.lineLen, 0, s.line8)
		s.prevEmpty = false
	}
	s.finished = true
	s.closeAbove(-1, s.pos, false)
	s.msg.Size = s.pos
	s.msg.BareCR = s.crs > s.crlfs
	s.stack, s.boundaries, s.hdr, s.line = nil, nil, nil, nil
	return &s.msg
}

func (s *Scanner) defect(k DefectKind, offset int64, text string) {
	if s.defects[k] == maxDefects {
		return
	}
	s.defects[k]++
	s.msg.Defects = append(s.msg.Defects, Defect{Kind: k, Offset: offset, Attached: s.attached > 0, Text: text})
}
