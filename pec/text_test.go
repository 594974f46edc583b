// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"strings"
	"testing"
)

func TestWritePlain(t *testing.T) {
	for in, want := range map[string]string{
		"perché è così":   "perch\xe9 \xe8 cos\xec",
		"“a” ‘b’ – — … •": "\"a\" 'b' - - ... *",
		"5 €, Œuvre, œ":   "5 EUR, OEuvre, oe",
		"Šibenik Łódź":    "Sibenik L\xf3dz",
		"ąćęłńśźż ĳ ŉ ș":  "acelnszz ij n s",
		"e\u0300":         "e",
		"日本 👍🏽":           "?? ??",
		"a\u202Eb":        "a?b",
		"a\u200Bb\u2003c": "ab c",
		"\uFFFD":          "?",
	} {
		var b bytes.Buffer
		writePlain(&b, in)
		if b.String() != want {
			t.Errorf("%q became %q, want %q", in, b.String(), want)
		}
	}
}

func TestWriteHTML(t *testing.T) {
	for in, want := range map[string]string{
		"perché":             "perch\xe9",
		`<a href="x">&'`:     "&lt;a href=&#34;x&#34;&gt;&amp;&#39;",
		"5 € 👍":              "5 &#8364; &#128077;",
		"a\u202Eb\u2066c":    "a&#65533;b&#65533;c",
		"&#60;script&#62;":   "&amp;#60;script&amp;#62;",
		"עברית":              "&#1506;&#1489;&#1512;&#1497;&#1514;",
		"\u200F\u200E\u061C": "&#65533;&#65533;&#65533;",
	} {
		var b bytes.Buffer
		writeHTML(&b, in)
		if b.String() != want {
			t.Errorf("%q became %q, want %q", in, b.String(), want)
		}
	}
}

func TestCleanLineIsIdempotent(t *testing.T) {
	for _, in := range []string{"", " a ", "a\r\nb", strings.Repeat("è", 20), strings.Repeat("a ", 20), "123456789 x", "\xff\xfe"} {
		once := cleanLine(in, 10)
		if twice := cleanLine(once, 10); twice != once {
			t.Errorf("%q: %q, then %q", in, once, twice)
		}
	}
}

func TestBoundaryLevels(t *testing.T) {
	seen := map[string]bool{}
	for _, level := range []string{"signed", "mixed", "alternative"} {
		for _, secret := range []string{"", "a"} {
			for _, id := range []string{"x", "y"} {
				b := boundary(level, []byte(secret), id)
				if seen[b] || len(b) > 70 {
					t.Errorf("%q", b)
				}
				seen[b] = true
			}
		}
	}
}
