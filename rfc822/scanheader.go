// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"errors"
	"strings"
)

// headerRoom returns how many octets the header of the top part may have.
func (s *Scanner) headerRoom() int {
	room := s.lim.TotalHeaderBytes - s.headerBytes
	if len(s.stack)-1 <= shallowDepth {
		room += shallowHeaderBytes
	}
	return min(room, s.lim.HeaderBytes)
}

// fieldRoom returns how many fields the header of the top part may have.
func (s *Scanner) fieldRoom() int {
	room := totalHeaderFields - s.headerFields
	if len(s.stack)-1 <= shallowDepth {
		room += shallowFields
	}
	return min(room, s.lim.HeaderFields)
}

func (s *Scanner) resetHeader() {
	s.hdr = s.hdr[:0]
	s.hdrMark, s.hdrFull, s.lineFull = 0, false, false
}

// keepHeader appends a piece of the current line to the header of the top part.
// Whether the line is a header line at all shows only at its end.
func (s *Scanner) keepHeader(p []byte) {
	if s.hdrFull || s.lineFull {
		return
	}
	if len(s.hdr)+len(p) > s.headerRoom() {
		s.hdr = s.hdr[:s.hdrMark]
		s.lineFull = true
		return
	}
	s.hdr = append(s.hdr, p...)
}

// headerLine closes a header line that keepHeader has seen.
func (s *Scanner) headerLine(length, eol int64, line8 bool) {
	top := &s.stack[len(s.stack)-1]
	top.header8 = top.header8 || line8
	s.hdrFull = s.hdrFull || s.lineFull
	if length == eol && eol > 0 {
		s.endHeader(s.lineStart+length, s.lines+1, true)
	}
}

// endHeader reads the header of the top part, which ends at bodyOffset after
// lines lines of the message, and opens what the part contains when there is a
// body.
func (s *Scanner) endHeader(bodyOffset, lines int64, body bool) {
	s.inHeader = false
	f := &s.stack[len(s.stack)-1]
	p := f.part
	p.BodyOffset, p.End = bodyOffset, bodyOffset
	p.HeaderLines = lines - f.startLine
	f.bodyLine = lines
	if !body {
		// The current line is the boundary or nothing: not of this header.
		s.hdr = s.hdr[:min(s.hdrMark, len(s.hdr))]
	}

	lim := s.lim
	lim.HeaderFields = s.fieldRoom()
	if lim.HeaderFields <= 0 {
		s.hdr, s.hdrFull = s.hdr[:0], true
	}
	h, err := ParseHeader(bytes.Clone(s.hdr), lim)
	p.Header = h
	s.headerBytes += len(h.raw)
	s.headerFields += len(h.spans)
	if s.hdrFull {
		s.defect(DefectHeaderSize, p.Offset, "header too large")
	}
	if errors.Is(err, ErrHeaderFields) {
		s.defect(DefectHeaderFields, p.Offset, "too many header fields")
	}
	for _, d := range h.defects {
		s.defect(DefectHeaderLine, p.Offset+int64(d.offset), d.text)
	}
	s.describe(p)
	s.descend(body)
}

// describe fills in what the header says about the part.
func (s *Scanner) describe(p *Part) {
	p.MediaType, p.Encoding = "text/plain", "7bit"
	if i := len(s.stack) - 2; i >= 0 && s.stack[i].part.MediaType == "multipart/digest" {
		p.MediaType = "message/rfc822"
	}
	media, ok := p.readParams()
	switch {
	case !ok:
		p.MediaType = "text/plain"
		s.defect(DefectContentType, p.Offset, "unreadable Content-Type")
	case media != "":
		p.MediaType = strings.ToLower(media)
	}
	if v := p.Header.Get("Content-Transfer-Encoding"); v != "" {
		if enc, _ := parseParams(v); enc != "" {
			p.Encoding = strings.ToLower(enc)
		}
	}
}

// readParams fills in the parameters and the disposition that the header tells.
// It returns the media type, "" where none is told; ok is false for one that
// cannot be read.
func (p *Part) readParams() (media string, ok bool) {
	if v := p.Header.Get("Content-Disposition"); v != "" {
		disposition, params := parseParams(v)
		p.Disposition, p.DispositionParams = strings.ToLower(disposition), params
	}
	v := p.Header.Get("Content-Type")
	if v == "" {
		return "", true
	}
	media, params := parseParams(v)
	if !validMediaType(media) {
		return "", false
	}
	p.Params = params
	return media, true
}

// descend prepares for the parts of a multipart or the message inside a message.
func (s *Scanner) descend(body bool) {
	i := len(s.stack) - 1
	f := &s.stack[i]
	p := f.part
	switch {
	case p.IsMultipart():
		// White space at the end of a boundary line means nothing, so none can be
		// told at the end of a boundary.
		boundary := strings.TrimRight(p.Params["boundary"], " \t")
		if boundary == "" || len(boundary) > maxBoundary {
			s.defect(DefectNoBoundary, p.Offset, "multipart without a usable boundary")
			return
		}
		if i >= s.lim.Depth {
			s.defect(DefectDepth, p.Offset, "parts nested too deep")
			return
		}
		f.boundary = boundary
		s.expect(i)
	case p.IsMessage() && isIdentity(p.Encoding) && body:
		if i >= s.lim.Depth {
			s.defect(DefectDepth, p.Offset, "messages nested too deep")
			return
		}
		f.isMessage = true
		s.attached++
		s.push(i, p.BodyOffset)
	}
}

// isIdentity tells whether an encoding leaves the octets as they are.
func isIdentity(encoding string) bool {
	return encoding == "7bit" || encoding == "8bit" || encoding == "binary"
}
