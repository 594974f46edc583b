// SPDX-License-Identifier: EUPL-1.2

// Package notice composes what the provider tells people by mail: that a forward
// was stopped, that a mailbox fills up, that something arrived ("avviso del
// gestore"). These are ordinary messages, no PEC notices (RFC 6109 §3): they are
// not signed, certify nothing, and are never answered. The package does no I/O.
package notice

import (
	"bytes"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode"

	"pecd/rfc822"
)

// Text is one text in the two languages in which people are told something.
type Text struct{ Italian, English string }

// Message is one informational message, before it is composed.
type Message struct {
	ID      string    // unique: the local part of the Message-ID; letters, digits, dots and hyphens
	From    string    // the provider's address for notices, whose domain ends the Message-ID
	To      string    // one address
	At      time.Time // Date, in its own zone
	Subject Text      // one line each; cut at 150 characters
	Body    Text      // lines ended by LF; cut at 8,000 characters
}

// Bounds of what is written, in characters: a subject may quote what somebody
// else chose.
const (
	maxSubject = 150
	maxBody    = 8000
)

// name is what mail clients show as the sender.
const name = "Avvisi"

// Marker is the header field that every notice carries, so that one which comes
// back is known.
const Marker = "X-Avviso-Gestore"

// Compose returns the message, complete and in lines ended by CRLF, of ASCII
// alone: text/plain in UTF-8, Italian first. It is marked as generated (RFC 3834
// §5), so that no program answers it. Nothing in the texts can start another
// header field: controls become spaces. It fails for an address that no envelope
// can carry (rfc822.ValidAddress) and for an identifier with other characters.
func Compose(m Message) ([]byte, error) {
	for _, a := range []string{m.From, m.To} {
		if !rfc822.ValidAddress(a) {
			return nil, fmt.Errorf("notice: %q is no address", a)
		}
	}
	if m.ID == "" || strings.ContainsFunc(m.ID, notOfID) {
		return nil, fmt.Errorf("notice: %q is no identifier", m.ID)
	}
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("Date", m.At.Format(time.RFC1123Z))
	field("From", name+" <"+m.From+">")
	field("To", m.To)
	b.Write(rfc822.EncodeText("Subject", cut(m.Subject.Italian, maxSubject)+" / "+cut(m.Subject.English, maxSubject)))
	field("Message-ID", "<"+m.ID+m.From[strings.LastIndexByte(m.From, '@'):]+">")
	field("Auto-Submitted", "auto-generated")
	field("X-Auto-Response-Suppress", "All")
	field(Marker, "1")
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	field("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	// A bytes.Buffer takes everything.
	_, _ = w.Write([]byte(lines(m.Body.Italian) + "\r\n\r\n* * *\r\n\r\n" + lines(m.Body.English) + "\r\n"))
	_ = w.Close()
	return b.Bytes(), nil
}

// Quote makes text that somebody else chose safe to stand within a line of a
// notice: no controls, no marks that turn the direction of writing, at most max
// characters.
func Quote(s string, max int) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, s), max)
}

func notOfID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-')
}

// cut shortens s to max characters, visibly.
func cut(s string, max int) string {
	n := 0
	for i := range s {
		if n++; n > max {
			return s[:i] + "…"
		}
	}
	return s
}

// lines has the line ends of a message, and no controls but them.
func lines(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.ReplaceAll(strings.Trim(cut(s, maxBody), "\n"), "\n", "\r\n")
}
