// SPDX-License-Identifier: EUPL-1.2

package rfc822

import "strings"

const (
	maxRawParams = 32 // parameters read of one field, RFC 2231 sections counted
	maxParams    = 8  // parameters kept of one field
)

// parseParams reads "value; name=value; …" as in Content-Type and
// Content-Disposition (RFC 2045 §5.1) with the sections and charsets of RFC 2231.
// It takes what it can: the first of two equal names counts, comments are left
// out, an unquoted file name may hold blanks. params is nil where there are none.
func parseParams(v string) (value string, params map[string]string) {
	p := paramParser{s: v}
	p.skipSpace()
	value = p.until(";( \t")
	var sections []section
	for n := 0; n < maxRawParams && p.nextParam(); n++ {
		p.skipSpace()
		name := strings.ToLower(p.until("=;( \t"))
		p.skipSpace()
		if !p.take('=') || name == "" {
			continue
		}
		p.skipSpace()
		var text string
		if p.take('"') {
			text = p.quoted()
		} else if base, _, _ := strings.Cut(name, "*"); base == "name" || base == "filename" {
			text = strings.TrimRight(p.until(";"), " \t")
		} else {
			text = p.until(";( \t")
		}
		sections = append(sections, newSection(name, text))
	}
	return value, joinSections(sections)
}

type paramParser struct {
	s string
	i int
}

// skipSpace skips white space and comments, which may nest.
func (p *paramParser) skipSpace() {
	depth := 0
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			p.i++
		case depth == 0 && c != ' ' && c != '\t':
			return
		}
	}
	p.i = len(p.s)
}

// until takes everything before the first octet of stop.
func (p *paramParser) until(stop string) string {
	start := p.i
	if n := strings.IndexAny(p.s[start:], stop); n >= 0 {
		p.i = start + n
	} else {
		p.i = len(p.s)
	}
	return p.s[start:p.i]
}

func (p *paramParser) take(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// nextParam moves behind the next semicolon.
func (p *paramParser) nextParam() bool {
	for p.i < len(p.s) {
		p.skipSpace()
		if p.take(';') {
			return true
		}
		if p.take('"') {
			p.quoted()
			continue
		}
		p.until(";(\" \t")
	}
	return false
}

// quoted takes a quoted string whose opening quote is gone. A backslash escapes
// quotes and backslashes alone: some clients send paths of Windows.
func (p *paramParser) quoted() string {
	start, escaped := p.i, false
	for p.i < len(p.s) && p.s[p.i] != '"' {
		if p.s[p.i] == '\\' && p.i+1 < len(p.s) && (p.s[p.i+1] == '"' || p.s[p.i+1] == '\\') {
			escaped = true
			p.i++
		}
		p.i++
	}
	text := p.s[start:min(p.i, len(p.s))]
	p.i = min(p.i+1, len(p.s))
	if !escaped {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// section is one parameter as sent: name, name*, name*0 or name*0*.
type section struct {
	name    string
	text    string
	number  int // -1: not numbered
	encoded bool
}

func newSection(name, text string) section {
	s := section{name: name, text: text, number: -1}
	if base, ok := strings.CutSuffix(name, "*"); ok {
		s.name, s.encoded = base, true
	}
	if base, digits, ok := strings.Cut(s.name, "*"); ok && len(digits) > 0 && len(digits) <= 3 {
		n := 0
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return section{name: name, text: text, number: -1}
			}
			n = n*10 + int(c-'0')
		}
		s.name, s.number = base, n
	}
	return s
}

// joinSections makes parameters of sections. A parameter sent in the form of
// RFC 2231 wins over a plain one of the same name.
func joinSections(sections []section) map[string]string {
	if len(sections) == 0 {
		return nil
	}
	params := make(map[string]string, min(len(sections), maxParams))
	free := func(name string) bool {
		_, ok := params[name]
		return !ok && len(params) < maxParams
	}
	for _, s := range sections {
		switch {
		case !free(s.name):
		case s.number == 0:
			params[s.name] = joinNumbered(s.name, sections)
		case s.number < 0 && s.encoded:
			charset, raw := splitExtended(s.text)
			params[s.name] = safeText(decodeCharset(charset, unescapePercent(raw)))
		}
	}
	for _, s := range sections {
		if s.number < 0 && !s.encoded && free(s.name) {
			params[s.name] = s.text
		}
	}
	return params
}

func joinNumbered(name string, sections []section) string {
	var raw []byte
	charset, extended := "", false
	for n := 0; ; n++ {
		found := false
		for _, s := range sections {
			if s.name != name || s.number != n {
				continue
			}
			found = true
			text := s.text
			if s.encoded {
				if n == 0 {
					charset, text = splitExtended(text)
				}
				extended = true
				raw = append(raw, unescapePercent(text)...)
			} else {
				raw = append(raw, text...)
			}
			break
		}
		if !found {
			break
		}
	}
	if !extended {
		return string(raw)
	}
	return safeText(decodeCharset(charset, raw))
}

// splitExtended splits charset'language'text.
func splitExtended(s string) (charset, text string) {
	parts := strings.SplitN(s, "'", 3)
	if len(parts) < 3 {
		return "", s
	}
	return parts[0], parts[2]
}

func unescapePercent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// validMediaType tells whether s is type "/" subtype of RFC 2045 §5.1.
func validMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && isToken(major) && isToken(minor)
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}
