// SPDX-License-Identifier: EUPL-1.2

package smtp

import "bytes"

// dataScan follows a message on the wire, still dot-stuffed, to the line that
// ends it (RFC 5321 §4.5.2). Only CRLF ends a line. A bare CR or LF becomes '?'
// and taints the message, so that no two parsers can disagree about where it
// ends: that disagreement is SMTP smuggling.
type dataScan struct {
	length  int  // octets of the current line so far, 2 stands for more
	dot     bool // its first octet is a dot
	tainted bool
}

// feed copies src to dst until either is used up or the message ends. A CR at
// the end of src stays there: the octet after it decides. dst holds two octets
// at least.
func (s *dataScan) feed(dst, src []byte) (wrote, read int, end bool) {
	for wrote < len(dst) && read < len(src) {
		window := src[read:]
		if room := len(dst) - wrote; len(window) > room {
			window = window[:room]
		}
		if n := lineEndIn(window); n > 0 {
			s.grow(window[0], n)
			copy(dst[wrote:], window[:n])
			wrote, read = wrote+n, read+n
			continue
		}
		switch {
		case src[read] == '\n':
			s.bare()
		case read+1 == len(src):
			return wrote, read, false
		case src[read+1] != '\n':
			s.bare()
		case len(dst)-wrote < 2:
			return wrote, read, false
		default:
			dst[wrote], dst[wrote+1] = '\r', '\n'
			wrote, read = wrote+2, read+2
			if s.length == 1 && s.dot {
				return wrote, read, true
			}
			s.length = 0
			continue
		}
		dst[wrote] = '?'
		wrote, read = wrote+1, read+1
	}
	return wrote, read, false
}

func (s *dataScan) bare() {
	s.tainted = true
	s.grow('?', 1)
}

func (s *dataScan) grow(first byte, n int) {
	if s.length == 0 {
		s.dot = first == '.'
	}
	s.length = min(s.length+n, 2)
}

// lineEndIn returns the index of the first CR or LF in b, len(b) without one.
func lineEndIn(b []byte) int {
	if i := bytes.IndexByte(b, '\r'); i >= 0 {
		b = b[:i]
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i
	}
	return len(b)
}
