// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"io"
	"strings"

	"github.com/emersion/go-message/charset"
)

// badCharset is the response code for a charset that is not known, with those
// that clients are likely to use instead.
const badCharset = "BADCHARSET (UTF-8 US-ASCII ISO-8859-1 ISO-8859-15 WINDOWS-1252)"

var errCharset = no(badCharset, "charset non disponibile / unsupported charset")

// charset reads the charset in which the strings of a search are written. It
// returns its name where that is not known, and "" otherwise.
func (p *searchParser) charset() (unknown string) {
	name := p.astring()
	switch strings.ToUpper(name) {
	case "":
		p.fail()
		return ""
	case "UTF-8", "US-ASCII", "ASCII", "UTF8":
		return ""
	}
	const longest = 64
	if len(name) > longest || !charsetKnown(name) {
		return name
	}
	p.decode = func(s string) string { return decodeCharset(name, s) }
	return ""
}

func charsetKnown(name string) bool {
	_, err := charset.Reader(name, strings.NewReader(""))
	return err == nil
}

// decodeCharset turns s into UTF-8. Octets that the charset has no character for
// become U+FFFD.
func decodeCharset(name, s string) string {
	r, err := charset.Reader(name, strings.NewReader(s))
	if err != nil {
		return s
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return s
	}
	return string(text)
}
