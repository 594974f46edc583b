// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bufio"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/net/html"
)

const (
	previewChars   = 200 // RFC 8970 §3.2
	previewParts   = 4   // parts looked at for one that has text
	previewOctets  = 16 << 10
	previewMarkup  = 128 << 10 // octets of HTML: much stands before its text
	previewElement = 32 << 10  // octets of one tag, text or comment of HTML
)

// PreviewParts returns the parts, first to last, in which the beginning of the
// text of a message is to be looked for: texts that are no attachments. Of a
// transport envelope or a receipt that is what the provider says, not what is
// enclosed.
func PreviewParts(root *Part) []*Part {
	var parts []*Part
	root.Walk(func(p *Part) bool {
		if p.IsMessage() || p.Disposition == "attachment" || len(parts) == previewParts {
			return false
		}
		if p.MediaType == "text/plain" || p.MediaType == "text/html" {
			parts = append(parts, p)
		}
		return true
	})
	return parts
}

// Preview returns the beginning of the text of a part as one line that is safe to
// show: at most 200 characters, white space as single spaces, no markup, no
// controls nor characters that direct how others are shown. content is the body
// of the part without its transfer encoding; what cannot be read of it ends the
// text.
func (p *Part) Preview(content io.Reader) string {
	if name := p.Params["charset"]; name != "" && !strings.EqualFold(name, "utf-8") {
		if decoded, err := charset.Reader(name, content); err == nil {
			content = decoded
		}
	}
	var l previewLine
	if p.MediaType == "text/html" {
		l.markup(io.LimitReader(content, previewMarkup))
	} else {
		l.plain(io.LimitReader(content, previewOctets))
	}
	return l.text.String()
}

// previewLine is a preview in the making.
type previewLine struct {
	text  strings.Builder
	chars int
	space bool // white space since the last character
}

func (l *previewLine) full() bool { return l.chars >= previewChars }

// add takes a character up.
func (l *previewLine) add(r rune) {
	const graphemeJoiner = '\u034f' // invisible, and used to fill previews
	switch {
	case unicode.IsSpace(r):
		l.space = true
		return
	case r == utf8.RuneError || r == graphemeJoiner || unicode.In(r, unicode.Cc, unicode.Cf):
		return
	}
	if l.space && l.chars > 0 {
		if l.chars++; l.full() {
			return // no space at the end
		}
		l.text.WriteByte(' ')
	}
	l.space = false
	l.text.WriteRune(r)
	l.chars++
}

func (l *previewLine) plain(r io.Reader) {
	in := bufio.NewReader(r)
	for !l.full() {
		c, _, err := in.ReadRune()
		if err != nil {
			return
		}
		l.add(c)
	}
}

// markup takes up the text of HTML.
func (l *previewLine) markup(r io.Reader) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(previewElement)
	hidden := "" // the element whose contents are not shown
	for !l.full() {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if hidden != "" {
				continue
			}
			for _, c := range string(z.Text()) {
				if l.add(c); l.full() {
					return
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			switch string(name) {
			case "head", "script", "style", "title", "template":
				if hidden == "" {
					hidden = string(name)
				}
			case "body":
				hidden = ""
			}
			l.space = l.space || !inline(name)
		case html.EndTagToken:
			name, _ := z.TagName()
			if string(name) == hidden {
				hidden = ""
			}
			l.space = l.space || !inline(name)
		}
	}
}

// inline tells whether an element may stand in the middle of a word.
func inline(name []byte) bool {
	switch string(name) {
	case "a", "b", "i", "u", "s", "em", "strong", "span", "font", "small", "big", "sub", "sup", "mark", "code", "abbr", "wbr":
		return true
	}
	return false
}
