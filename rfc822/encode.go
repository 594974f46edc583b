// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	maxLine   = 76 // RFC 2047 §2: longest line with an encoded word
	maxWord   = 75 // RFC 2047 §2: longest encoded word
	maxPlain  = 55 // longer words are encoded, which lets them be folded
	maxSpaces = 20 // longer runs of spaces are encoded, as folding could end in them
)

// EncodeText returns the header field "Name: text" with its final CRLF, for
// unstructured fields such as Subject. Words that are not ASCII become encoded
// words (RFC 2047, UTF-8), lines are folded at 76 columns. Controls, CR and LF
// among them, become spaces: nothing in text can start another field. Text is
// trimmed; DecodeText gives it back.
func EncodeText(fieldName, text string) []byte {
	f := folder{line: len(fieldName) + 1}
	f.b.WriteString(fieldToken(fieldName))
	f.b.WriteByte(':')
	f.text(strings.Trim(noControls(text), " "))
	f.b.WriteString("\r\n")
	return []byte(f.b.String())
}

// fieldToken leaves out what a field name cannot hold.
func fieldToken(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == ':' {
			return -1
		}
		return r
	}, name)
}

// noControls turns controls into spaces and makes s valid UTF-8.
func noControls(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// folder writes words and folds between them.
type folder struct {
	b    strings.Builder
	line int // columns of the current line
}

// put writes spaces blanks and word, on a new line where it does not fit.
func (f *folder) put(spaces int, word string) {
	if f.line+spaces+len(word) > maxLine && f.line > 0 {
		f.b.WriteString("\r\n")
		f.line = 0
	}
	f.b.WriteString(strings.Repeat(" ", spaces))
	f.b.WriteString(word)
	f.line += spaces + len(word)
}

// text writes words apart by spaces: those before the first and after the last
// word that has to be encoded as they are, everything between as encoded words.
func (f *folder) text(text string) {
	words := strings.Split(text, " ")
	first, last := len(words), -1
	run := 0
	for i, w := range words {
		if w == "" {
			run++
		} else {
			run = 0
		}
		if run > maxSpaces {
			first, last = 0, len(words)-1
			break
		}
		if mustEncode(w) {
			first, last = min(first, i), i
		}
	}
	spaces := 1
	plain := func(words []string) {
		for _, w := range words {
			if w == "" {
				spaces++
				continue
			}
			f.put(spaces, w)
			spaces = 1
		}
	}
	if last < 0 {
		plain(words)
		return
	}
	plain(words[:first])
	f.encoded(spaces, strings.Join(words[first:last+1], " "))
	spaces = 1
	plain(words[last+1:])
}

func mustEncode(word string) bool {
	if len(word) > maxPlain || strings.Contains(word, "=?") {
		return true
	}
	for i := 0; i < len(word); i++ {
		if word[i] >= 0x80 {
			return true
		}
	}
	return false
}

// encoded writes text as encoded words, each of whole characters.
func (f *folder) encoded(spaces int, text string) {
	enc := pickEncoding(text)
	for text != "" {
		room := min(maxLine-f.line-spaces, maxWord)
		if room < enc.overhead()+24 { // put folds
			room = min(maxLine-spaces, maxWord)
		}
		n := enc.fit(text, room-enc.overhead())
		f.put(spaces, enc.word(text[:n]))
		text, spaces = text[n:], 1
	}
}

// wordEncoding is Q or B of RFC 2047 §4.
type wordEncoding byte

// pickEncoding returns Q for text that stays readable in it, else B.
func pickEncoding(text string) wordEncoding {
	escaped := 0
	for i := 0; i < len(text); i++ {
		if qLen(text[i]) > 1 {
			escaped++
		}
	}
	if escaped > len(text)/2 {
		return 'B'
	}
	return 'Q'
}

func (e wordEncoding) overhead() int { return len("=?UTF-8?Q??=") }

// fit returns how many octets of text, whole characters and at least one, encode
// into room columns.
func (e wordEncoding) fit(text string, room int) int {
	n, used := 0, 0
	for n < len(text) {
		_, size := utf8.DecodeRuneInString(text[n:])
		if e == 'B' {
			used = base64.StdEncoding.EncodedLen(n + size)
		} else {
			for i := range size {
				used += qLen(text[n+i])
			}
		}
		if used > room && n > 0 {
			break
		}
		n += size
	}
	return n
}

func (e wordEncoding) word(text string) string {
	if e == 'B' {
		return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("=?UTF-8?Q?")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ' ':
			b.WriteByte('_')
		case qLen(c) == 1:
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	b.WriteString("?=")
	return b.String()
}

// qLen returns the columns of an octet in Q encoding, with the set RFC 2047 §5
// (3) allows in a display name, which is allowed everywhere.
func qLen(c byte) int {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ' ',
		c == '!', c == '*', c == '+', c == '-', c == '/':
		return 1
	}
	return 3
}
