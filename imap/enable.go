// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"strings"
)

// enable answers ENABLE (RFC 5161, RFC 9051 §6.3.1) but for its tagged response,
// and returns the line by which the library gives that: it has to know of
// UTF8=ACCEPT for the names in APPEND. What is no list of atoms is the library's
// to refuse.
func (c *conn) enable(line, rest []byte) []byte {
	s := c.session
	words := strings.Fields(string(rest))
	for _, w := range words {
		if strings.ContainsFunc(w, func(r rune) bool { return r > '~' || !isAtomChar(byte(r)) }) {
			return line
		}
	}
	if len(words) == 0 {
		return []byte(c.now.tag + " ENABLE (")
	}
	out := c.lines()
	out.b = append(out.b, "* ENABLED"...)
	for _, w := range words {
		if w = strings.ToUpper(w); s.turnOn(w) {
			out.b = append(out.b, ' ')
			out.b = append(out.b, strings.Replace(w, "IMAP4REV2", "IMAP4rev2", 1)...)
		}
	}
	out.end()
	_ = out.done() // the library meets the same failure
	if !s.utf8names {
		return []byte(c.now.tag + " ENABLE")
	}
	return []byte(c.now.tag + " ENABLE UTF8=ACCEPT")
}

// turnOn enables an extension, if it is one that wants to be enabled.
func (s *session) turnOn(name string) bool {
	switch name {
	case "IMAP4REV2":
		s.rev2, s.utf8names = true, true
	case "UTF8=ACCEPT":
		s.utf8names = true
	case "CONDSTORE":
		s.knowsModSeqs()
	case "QRESYNC":
		s.knowsModSeqs()
		s.qresync = true
	default:
		return false
	}
	return true
}

// knowsModSeqs notes that the client has shown to know modseqs (RFC 7162 §3.1):
// it is told of them from here on, and first of that of an open folder, unless
// expunges below it are yet to be told.
func (s *session) knowsModSeqs() {
	if s.condstore {
		return
	}
	s.condstore = true
	if s.view != nil && len(s.view.gone) == 0 {
		out := s.c.lines()
		out.highest(s.view.modseq)
		_ = out.done() // the rest of the answer meets the same failure
	}
}

// libraryEnabled tells whether p is the library's list of what it has enabled.
func (c *conn) libraryEnabled(p []byte) bool {
	return c.now.verb == "ENABLE" && c.session != nil && c.session.open() && bytes.HasPrefix(p, []byte("* ENABLED"))
}
