// SPDX-License-Identifier: EUPL-1.2

package imap

import "strings"

// baseSubject takes from a decoded subject what replies, forwards and mailing
// lists add to it (RFC 5256 §2.1). reply tells that the subject is one of a reply
// or a forward (§3, REFERENCES). The time is in proportion to the length.
func baseSubject(subject string) (base string, reply bool) {
	s := oneSpaced(subject)
	for {
		s, reply = cutTrailers(s, reply)
		s, reply = cutLeaders(s, reply)
		inner, ok := cutForward(s)
		if !ok {
			return s, reply
		}
		s, reply = inner, true
	}
}

// oneSpaced makes every run of white space one space.
func oneSpaced(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\t' || c == '\r' || c == '\n' {
			c = ' '
		}
		if c != ' ' || len(b) == 0 || b[len(b)-1] != ' ' {
			b = append(b, c)
		}
	}
	return string(b)
}

// cutTrailers removes each subj-trailer: "(fwd)" and white space.
func cutTrailers(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimRight(s, " ")
		const trailer = "(fwd)"
		n := len(s) - len(trailer)
		if n < 0 || !strings.EqualFold(s[n:], trailer) {
			return s, reply
		}
		s, reply = s[:n], true
	}
}

// cutLeaders removes each subj-leader, and each subj-blob in front unless nothing
// else is left.
//
// Where no "re:" follows a run of blobs, none follows when the run is shortened
// at its beginning; so the blobs go at once, and the text is read only once.
func cutLeaders(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimLeft(s, " ")
		after, last := s, s // behind the run of blobs; at the last one
		for {
			rest, ok := cutBlob(after)
			if !ok {
				break
			}
			last, after = after, rest
		}
		rest, ok := cutRefwd(after)
		switch {
		case ok:
			s, reply = rest, true
		case after == "":
			return last, reply
		default:
			return after, reply
		}
	}
}

// cutBlob removes a subj-blob: text in brackets, and the spaces behind it.
func cutBlob(s string) (rest string, ok bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}

// cutRefwd removes a subj-refwd: "re", "fw" or "fwd", perhaps a blob, a colon.
func cutRefwd(s string) (rest string, ok bool) {
	n := 0
	switch {
	case len(s) >= 3 && strings.EqualFold(s[:3], "fwd"):
		n = 3
	case len(s) >= 2 && (strings.EqualFold(s[:2], "re") || strings.EqualFold(s[:2], "fw")):
		n = 2
	default:
		return s, false
	}
	rest, _ = cutBlob(strings.TrimLeft(s[n:], " "))
	return strings.CutPrefix(rest, ":")
}

// cutForward removes "[fwd:" and "]" around the whole.
func cutForward(s string) (inner string, ok bool) {
	const head = "[fwd:"
	if len(s) <= len(head) || !strings.EqualFold(s[:len(head)], head) || s[len(s)-1] != ']' {
		return s, false
	}
	return s[len(head) : len(s)-1], true
}
