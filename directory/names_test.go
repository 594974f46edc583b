// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"strings"
	"testing"

	"pecd/fault"
)

func TestCanonicalDomain(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"alfa.example":         "alfa.example",
		"PEC.Alfa.Example":     "pec.alfa.example",
		"alfa.example.":        "alfa.example",
		"a-b.c-1.it":           "a-b.c-1.it",
		"città.example":        "xn--citt-3na.example",
		"CITTÀ.example":        "xn--citt-3na.example",
		"citta\u0300.example":  "xn--citt-3na.example", // decomposed
		"XN--CITT-3NA.example": "xn--citt-3na.example",
		"bücher.example":       "xn--bcher-kva.example",
		"faß.example":          "xn--fa-hia.example",
		"ليهمابتكلموشعربي.example":       "",                                     // right to left: only as an A-label
		"他们为什么不说中文.example":              "xn--ihqwcrb4cv8a8dqg056pqjye.example", // RFC 3492 §7.1 B
		"Pročprostěnemluvíčesky.example": "xn--proprostnemluvesky-uyb24dma41a.example",
		"ｆｕｌｌ.example":                   "full.example",
		long + ".it":                     long + ".it",

		"":                                 "",
		".":                                "",
		"localhost":                        "",
		"alfa..example":                    "",
		".alfa.example":                    "",
		"alfa.example..":                   "",
		"-alfa.example":                    "",
		"alfa-.example":                    "",
		"al_fa.example":                    "",
		"al fa.example":                    "",
		"alfa.example\r\nX: y":             "",
		"alfa.exam\x00ple":                 "",
		"192.0.2.1":                        "",
		"[192.0.2.1]":                      "",
		long + "a.it":                      "",
		strings.Repeat("a.", 126) + "it.":  "",
		"\xff.example":                     "",
		"a\u200db.example":                 "", // joiner: context rule
		"a\u2044b.example":                 "",
		"\u0301a.example":                  "",
		"-è.example":                       "",
		"ab--è.example":                    "",
		strings.Repeat("èàòù", 30) + ".it": "", // too long as an A-label
	} {
		got, err := CanonicalDomain(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: kind %v", in, fault.KindOf(err))
		}
	}
}

func TestCanonicalAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Mario.Rossi@PEC.Alfa.example":            "mario.rossi@pec.alfa.example",
		"ufficio+atti@città.example":              "ufficio+atti@xn--citt-3na.example",
		strings.Repeat("a", 64) + "@alfa.example": strings.Repeat("a", 64) + "@alfa.example",
		"":                           "",
		"mario":                      "",
		"@alfa.example":              "",
		"mario@":                     "",
		"mario@alfa":                 "",
		"mario@alfa.example.":        "",
		".mario@alfa.example":        "",
		"mario.@alfa.example":        "",
		"ma..rio@alfa.example":       "",
		`"mario rossi"@alfa.example`: "",
		"mario rossi@alfa.example":   "",
		"mario@rossi@alfa.example":   "",
		"<mario@alfa.example>":       "",
		"màrio@alfa.example":         "",
		"mario@alfa.example\r\nBcc: x@beta.example": "",
		"mario(x)@alfa.example":                     "",
		strings.Repeat("a", 65) + "@alfa.example":   "",
	} {
		got, err := CanonicalAddress(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestCanonicalLogin(t *testing.T) {
	for in, want := range map[string]string{
		"Mario@Alfa.example": "mario@alfa.example", "mario.rossi": "mario.rossi", "MARIO": "mario",
		"": "", "mario rossi": "", "a\x00b": "", strings.Repeat("a", 65): "", "x@y": "",
	} {
		if got, ok := canonicalLogin(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
}

func FuzzCanonicalAddress(f *testing.F) {
	f.Add("Mario@città.example")
	f.Add("a@xn--citt-3na.example")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := CanonicalAddress(in)
		if err != nil {
			return
		}
		if again, err := CanonicalAddress(got); err != nil || again != got {
			t.Fatalf("%q → %q → %q, %v", in, got, again, err)
		}
		if !plainLower(got) || len(got) > maxAddress || strings.Count(got, "@") != 1 || strings.ContainsAny(got, "\r\n \x00<>") {
			t.Fatalf("%q → %q", in, got)
		}
	})
}
