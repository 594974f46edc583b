// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		subject, base string
		reply         bool
	}{
		{"", "", false}, {"  ", "", false}, {"Preventivo", "Preventivo", false},
		{"Re: Preventivo", "Preventivo", true}, {"RE:RE : re:  Preventivo", "Preventivo", true},
		{"Fw: x", "x", true}, {"fwd: x", "x", true}, {"fwdd: x", "fwdd: x", false}, {"Rex: x", "Rex: x", false},
		{"Re[2]: x", "x", true}, {"re [lista] : x", "x", true}, {"[lista] Re: [altra] x", "x", true},
		{"[a][b] x", "x", false}, {"[a] [b]", "[b]", false}, {"[a]", "[a]", false}, {"re: [a]", "[a]", true},
		{"[a [b] x", "[a [b] x", false}, {"[a]b] x", "b] x", false}, {"x (fwd)", "x", true}, {"x(FWD) (fwd) ", "x", true},
		{"(fwd)", "", true}, {"re:", "", true}, {"Re: (fwd)", "", true},
		{"[fwd: x]", "x", true}, {"[FWD: re: [fwd: x (fwd)]]", "x", true}, {"[fwd: x] y", "y", false}, {"[fwd:]", "", true}, {"[fwd:", "[fwd:", false},
		{"a\tb\t\tc  d", "a b c d", false}, {"Re:\tx", "x", true},
		{"x re: y", "x re: y", false}, {"Re: [fwd: [a] Re: [b] x (fwd)] (fwd)", "x", true},
		// What PEC adds is no reply: envelopes and receipts keep their prefix.
		{"POSTA CERTIFICATA: Re: x", "POSTA CERTIFICATA: Re: x", false}, {"CONSEGNA: x", "CONSEGNA: x", false},
		{"Re: POSTA CERTIFICATA: x", "POSTA CERTIFICATA: x", true},
		{"R: x", "R: x", false}, {"I: x", "I: x", false}, // RFC 5256 knows English alone
		{"Re: citt\u00e0 \U0001f600", "citt\u00e0 \U0001f600", true},
	} {
		if base, reply := baseSubject(c.subject); base != c.base || reply != c.reply {
			t.Errorf("%q: %q %v, want %q %v", c.subject, base, reply, c.base, c.reply)
		}
	}
}

// TestBaseSubjectTime: subjects made to be read again and again.
func TestBaseSubjectTime(t *testing.T) {
	const n = 200_000
	start := time.Now()
	for _, s := range []string{"[a]", "[fwd:", "re:", "[", "re[", "[a] re: ", "(fwd)", "re [", " ", "[fwd: re: [a] ", "]"} {
		baseSubject(strings.Repeat(s, n/len(s)))
		baseSubject("[fwd: " + strings.Repeat(s, n/len(s)) + strings.Repeat("]", n))
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%v", d)
	}
}

// naiveBaseSubject follows the steps of RFC 5256 §2.1 by the letter.
func naiveBaseSubject(s string) string {
	const blob = `\[[^\[\]]*\] *`
	trailer := regexp.MustCompile(`(?i)(?:\(fwd\)| )$`)
	leader := regexp.MustCompile(`(?i)^(?:(?:` + blob + `)*(?:re|fwd?) *(?:` + blob + `)?:| )`)
	oneBlob := regexp.MustCompile(`^` + blob)
	forward := regexp.MustCompile(`(?i)^\[fwd:(.*)\]$`)
	s = regexp.MustCompile(`[ \t\r\n]+`).ReplaceAllString(s, " ")
	for {
		for trailer.MatchString(s) {
			s = trailer.ReplaceAllString(s, "")
		}
		for again := true; again; {
			again = false
			for leader.MatchString(s) {
				s, again = s[len(leader.FindString(s)):], true
			}
			if b := oneBlob.FindString(s); b != "" && b != s {
				s, again = s[len(b):], true
			}
		}
		m := forward.FindStringSubmatch(s)
		if m == nil {
			return s
		}
		s = m[1]
	}
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"Re: [a] x (fwd)", "[fwd: re[2]: [a][b]] (FWD)", "[a] [b] ", "re [x]: fw : [fwd: [fwd: y]]", "\t re:\r\n x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		base, reply := baseSubject(s)
		if want := naiveBaseSubject(s); base != want {
			t.Fatalf("%q: %q, by the letter %q", s, base, want)
		}
		if again, still := baseSubject(base); again != base || still {
			t.Fatalf("%q: %q again is %q", s, base, again)
		}
		if !reply && len(strings.ReplaceAll(s, " ", "")) > 0 && base == "" && strings.Trim(s, " \t\r\n") != "" {
			t.Fatalf("%q: nothing left, and no reply", s)
		}
	})
}

func TestCollate(t *testing.T) {
	for _, equal := range [][]string{
		{"abc", "ABC", "aBc"}, {"citt\u00e0", "CITT\u00c0", "citta\u0300", "CITTA\u0300"}, {"\u1e9b\u0323", "\u1e60\u0323"},
		{"\u01c6", "\u01c4", "\u01c5"}, {"\u2460", "1"}, {"\u03c3", "\u03c2", "\u03a3"}, {""},
	} {
		for _, s := range equal {
			if collate(s) != collate(equal[0]) {
				t.Errorf("%q and %q: %q, %q", s, equal[0], collate(s), collate(equal[0]))
			}
		}
	}
	for _, ascending := range [][]string{{"", "a", "B", "c"}, {"a", "A B", "ab"}, {"Z", "\u00d8"}, {"e", "\u00e8", "f"}} {
		for i := 1; i < len(ascending); i++ {
			if collate(ascending[i-1]) >= collate(ascending[i]) {
				t.Errorf("%q does not come before %q", ascending[i-1], ascending[i])
			}
		}
	}
}
