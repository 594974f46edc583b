// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"math"
	"strings"
	"unicode/utf8"
)

// kind is the kind of a token (RFC 5228 §8.1).
type kind uint8

const (
	end kind = iota
	identifier
	tag // with its colon
	number
	text
	mark // one of ( ) [ ] { } , ;
)

type token struct {
	kind  kind
	line  int
	value string // an identifier or tag in lower case, a text as it stands for, a mark
	n     int64  // of a number
}

// lexer cuts a script into tokens.
type lexer struct {
	src  string
	pos  int
	line int
}

// next returns the next token, of kind end where there is none.
func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	t := token{line: l.line}
	if l.pos == len(l.src) {
		return t, nil
	}
	switch c := l.src[l.pos]; {
	case strings.IndexByte("()[]{},;", c) >= 0:
		t.kind, t.value = mark, l.src[l.pos:l.pos+1]
		l.pos++
		return t, nil
	case c == '"':
		return l.quoted()
	case c >= '0' && c <= '9':
		return l.number()
	case c == ':':
		l.pos++
		if t.value = l.word(); t.value == "" {
			return t, wrong(l.line, "dopo i due punti manca un nome", "a name is missing after the colon")
		}
		t.kind, t.value = tag, ":"+t.value
		return t, nil
	case isLetter(c):
		t.kind, t.value = identifier, l.word()
		if t.value == "text" && strings.HasPrefix(l.src[l.pos:], ":") {
			l.pos++
			return l.multiline()
		}
		return t, nil
	}
	r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
	return t, wrongf(l.line, "carattere non previsto: %s", "unexpected character: %s", string(r))
}

// skip passes over white space and comments (RFC 5228 §2.2, §2.3).
func (l *lexer) skip() error {
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case rest[0] == '\n':
			l.line++
			l.pos++
		case rest[0] == ' ', rest[0] == '\t', rest[0] == '\r':
			l.pos++
		case rest[0] == '#':
			l.pos += upTo(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i := strings.Index(rest[2:], "*/")
			if i < 0 {
				return wrong(l.line, "commento non chiuso", "comment is not closed")
			}
			l.line += strings.Count(rest[:i+2], "\n")
			l.pos += i + 4
		default:
			return nil
		}
	}
	return nil
}

// upTo is the number of octets before stop, or all of them.
func upTo(s, stop string) int {
	if i := strings.Index(s, stop); i >= 0 {
		return i
	}
	return len(s)
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// word reads an identifier, in lower case.
func (l *lexer) word() string {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		if !isLetter(c) && (l.pos == start || c < '0' || c > '9') {
			break
		}
		l.pos++
	}
	return strings.ToLower(l.src[start:l.pos])
}

// number reads digits and a quantifier.
func (l *lexer) number() (token, error) {
	t := token{kind: number, line: l.line}
	tooLarge := wrong(l.line, "numero troppo grande", "number too large")
	for l.pos < len(l.src) && l.src[l.pos] >= '0' && l.src[l.pos] <= '9' {
		if t.n > math.MaxInt64/10-1 {
			return t, tooLarge
		}
		t.n = t.n*10 + int64(l.src[l.pos]-'0')
		l.pos++
	}
	shift := map[string]int{"": 0, "k": 10, "m": 20, "g": 30}
	unit := l.word()
	by, ok := shift[unit]
	switch {
	case !ok:
		return t, wrongf(l.line, "unità sconosciuta dopo il numero: %s (K, M, G)", "unknown unit after the number: %s (K, M, G)", unit)
	case t.n > math.MaxInt64>>by:
		return t, tooLarge
	}
	t.n <<= by
	return t, nil
}

// quoted reads a string in quotation marks (RFC 5228 §2.4.2).
func (l *lexer) quoted() (token, error) {
	t := token{kind: text, line: l.line}
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); i++ {
		switch c := l.src[i]; c {
		case '"':
			l.pos = i + 1
			t.value = b.String()
			return t, nil
		case '\\':
			if i++; i < len(l.src) {
				b.WriteByte(l.src[i])
			}
		default:
			b.WriteByte(c)
		}
		if i < len(l.src) && l.src[i] == '\n' {
			l.line++
		}
	}
	return t, wrong(t.line, "virgolette non chiuse", "string is not closed")
}

// multiline reads a string of lines behind "text:" up to a line with a dot alone.
func (l *lexer) multiline() (token, error) {
	t := token{kind: text, line: l.line}
	open := wrong(t.line, "testo su più righe non chiuso da un punto", "text: is not closed by a line with a dot")
	first := upTo(l.src[l.pos:], "\n")
	if s := strings.Trim(l.src[l.pos:l.pos+first], " \t\r"); s != "" && s[0] != '#' {
		return t, wrong(t.line, "dopo text: la riga deve finire", "the line must end after text:")
	}
	l.pos += first
	var b strings.Builder
	for l.pos < len(l.src) {
		l.pos++ // the line end
		l.line++
		n := upTo(l.src[l.pos:], "\n")
		s := l.src[l.pos : l.pos+n]
		closed := l.pos+n < len(l.src)
		l.pos += n
		switch strings.TrimSuffix(s, "\r") {
		case ".":
			t.value = b.String()
			return t, nil
		default:
			b.WriteString(strings.TrimPrefix(s, "."))
			b.WriteByte('\n')
		}
		if !closed {
			break
		}
	}
	return t, open
}
