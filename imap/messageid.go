// SPDX-License-Identifier: EUPL-1.2

package imap

import "strings"

// messageIDs returns the identifiers in a value of References, at most the last
// limit of them. What differs only in quotes or
// white space is the same identifier (RFC 5256 §3); what has no "@" is none.
func messageIDs(v string, limit int) []string {
	var ids []string
	for v != "" {
		id, rest, ok := nextMessageID(v)
		if v = rest; ok {
			ids = append(ids, id)
		}
	}
	return ids[max(0, len(ids)-limit):]
}

// firstMessageID returns the first identifier in a value of Message-ID or
// In-Reply-To, if there is one.
func firstMessageID(v string) []string {
	for v != "" {
		id, rest, ok := nextMessageID(v)
		if ok {
			return []string{id}
		}
		v = rest
	}
	return nil
}

// nextMessageID reads up to the end of the next text in angle brackets.
func nextMessageID(v string) (id, rest string, ok bool) {
	start := strings.IndexByte(v, '<')
	if start < 0 {
		return "", "", false
	}
	v = v[start+1:]
	plain := strings.IndexAny(v, `>"\ <`+"\t\r\n")
	if plain < 0 {
		return "", "", false
	}
	if v[plain] == '>' {
		id, rest = v[:plain], v[plain+1:]
	} else {
		id, rest = unquotedID(v)
	}
	at := strings.LastIndexByte(id, '@')
	return id, rest, at > 0 && at < len(id)-1
}

// unquotedID reads up to the closing bracket, or to where another identifier
// begins, and leaves out what does not count.
func unquotedID(v string) (id, rest string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && quoted && i+1 < len(v):
			i++
			b.WriteByte(v[i])
		case c == '"':
			quoted = !quoted
		case quoted:
			b.WriteByte(c)
		case c == '>':
			return b.String(), v[i+1:]
		case c == '<':
			return "", v[i:]
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			b.WriteByte(c)
		}
	}
	return "", ""
}
