// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"strings"
	"unicode/utf8"

	"pecd/rfc822"
)

// Bounds of what a message may say about itself in the messages that we make.
const (
	maxSubject = 1000 // runes
	maxAddress = 320  // runes
	maxReason  = 1000 // runes
	// maxMsgID keeps the line of X-Riferimento-Message-ID within the 998
	// octets of RFC 5322 §2.1.1.
	maxMsgID = 900 // octets, angle brackets included
)

// cleanLine makes one bounded line of valid UTF-8 out of hostile text: control
// characters and line separators become blanks, octets that are no UTF-8
// become U+FFFD, and what is beyond max runes is cut, with "…" in its place.
func cleanLine(s string, max int) string {
	if len(s) <= max && isPrintableASCII(s) {
		return strings.TrimSpace(s) // nearly always
	}
	var b strings.Builder
	b.Grow(min(len(s), 4*max))
	n := 0
	for _, r := range s {
		if n == max {
			b.WriteRune('…')
			break
		}
		n++
		switch {
		case r < ' ', r >= 0x7F && r < 0xA0, r == '\u2028', r == '\u2029':
			b.WriteByte(' ')
		case r == 0xFFFE, r == 0xFFFF:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// isPrintableASCII says whether s is all of blank to tilde.
func isPrintableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanMsgID makes the client's Message-ID safe for a header and for XML. An
// identifier of the form <…> in printable ASCII stays as it is; of anything
// else, the usable characters are kept between angle brackets. "" when nothing
// is left.
func cleanMsgID(s string) string {
	if begin := strings.IndexByte(s, '<'); begin >= 0 {
		s = s[begin+1:]
		if end := strings.IndexByte(s, '>'); end >= 0 {
			s = s[:end]
		}
	}
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7F || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return ""
	}
	return "<" + s[:min(len(s), maxMsgID-2)] + ">"
}

// clean returns the message as every builder uses it: bounded, on one line
// each, with its defaults filled in.
func (m Message) clean() Message {
	m.ID = cleanLine(m.ID, maxMsgID)
	m.MsgID = cleanMsgID(m.MsgID)
	m.Sender = cleanLine(m.Sender, maxAddress)
	m.ReplyTo = cleanLine(m.ReplyTo, maxReason)
	if m.ReplyTo == "" {
		m.ReplyTo = m.Sender
	}
	m.Subject = cleanLine(m.Subject, maxSubject)
	if m.Receipt == "" {
		m.Receipt = ReceiptComplete
	}
	recipients := make([]Recipient, len(m.Recipients))
	for i, r := range m.Recipients {
		recipients[i] = Recipient{Address: cleanLine(r.Address, maxAddress), External: r.External}
	}
	m.Recipients = recipients
	return m
}

// Certified returns the data as daticert.xml carries it: what MessageOf finds
// in an envelope made of m.
func (m Message) Certified() Message { return m.clean() }

// cleanAll is cleanLine for a list of addresses.
func cleanAll(addresses []string) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = cleanLine(a, maxAddress)
	}
	return out
}

// headerAddress returns an address for a header field. One that is not valid
// becomes the name of an empty group: readable, and no address of anybody.
func headerAddress(address string) string {
	if rfc822.ValidAddress(address) {
		return address
	}
	return quotedASCII(cleanLine(address, maxAddress)) + ":;"
}

// quotedASCII returns a quoted string of RFC 5322 §3.2.4 in which everything
// but printable ASCII is a question mark.
func quotedASCII(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ', r >= 0x7F:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
