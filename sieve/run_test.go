// SPDX-License-Identifier: EUPL-1.2

package sieve_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/rfc822"
	"pecd/sieve"
)

// envelopeHeader is that of a transport envelope (RFC 6109 §3.1.3).
const envelopeHeader = "Return-Path: <mario.rossi@alfa.example>\r\n" +
	"X-Trasporto: posta-certificata\r\nX-Riferimento-Message-ID: <1@alfa.example>\r\n" +
	"From: \"Per conto di: mario.rossi@alfa.example\" <posta-certificata@alfa.example>\r\nReply-To: mario.rossi@alfa.example\r\n" +
	"To: <ufficio@beta.example>, \"Anna (la vice)\" <anna@beta.example>\r\nCc: gruppo: luca@beta.example;\r\n" +
	"Subject: =?UTF-8?Q?POSTA_CERTIFICATA:_Fattura_n=C2=B0_12?=\r\n =?UTF-8?Q?_del_2026?=\r\nX-Vuoto:\r\n\r\n"

func message(t testing.TB) sieve.Message {
	t.Helper()
	h, err := rfc822.ParseHeader([]byte(envelopeHeader), rfc822.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return sieve.Message{Header: h, Size: 5000, From: "mario.rossi@alfa.example", To: "ufficio@beta.example"}
}

// told writes actions shortly: folders with their flags, then addresses.
func told(a sieve.Actions) string {
	var all []string
	for _, f := range a.File {
		s := f.Folder
		if len(f.Flags) > 0 {
			s += fmt.Sprint(f.Flags)
		}
		all = append(all, s)
	}
	for _, to := range a.Forward {
		all = append(all, ">"+to)
	}
	return strings.Join(all, " ")
}

const all = `require ["fileinto", "copy", "envelope", "imap4flags", "mailbox"]; `

func TestS4_039_to_041_Actions(t *testing.T) {
	for script, want := range map[string]string{
		"":                          "INBOX",
		"keep;":                     "INBOX",
		"stop;":                     "INBOX",
		all + `fileinto "A";`:       "A",
		all + `fileinto :copy "A";`: "A INBOX",
		all + `fileinto "A"; keep;`: "A INBOX",
		all + `fileinto "A"; fileinto "A"; fileinto "B";`:                                                    "A B",
		all + `fileinto "inbox/Fornitori";`:                                                                  "INBOX/Fornitori",
		all + `fileinto "Perche` + "\u0301" + `";`:                                                           "Perché",
		`redirect "x@y.it";`:                                                                                 "INBOX >x@y.it", // the original is always kept
		all + `redirect :copy "x@y.it"; redirect "X@Y.it"; redirect "z@y.it";`:                               "INBOX >x@y.it >z@y.it",
		all + `fileinto "A"; redirect "x@y.it"; stop; fileinto "B";`:                                         "A >x@y.it",
		all + `if true { stop; } fileinto "B";`:                                                              "INBOX",
		all + `if false { fileinto "A"; } elsif true { fileinto "B"; } else { fileinto "C"; }`:               "B",
		all + `if false { fileinto "A"; } else { fileinto "C"; } fileinto "D";`:                              "C D",
		all + `addflag "\\Seen"; addflag ["$A \\flagged", "$a"]; keep;`:                                      `INBOX[\Seen $A \Flagged]`,
		all + `addflag "\\Seen";`:                                                                            `INBOX[\Seen]`,
		all + `addflag "\\Seen"; fileinto :flags "$B" "A"; removeflag "\\SEEN"; setflag "$C"; fileinto "B";`: "A[$B] B[$C]",
		all + `addflag "$A"; if hasflag :is "$a" { fileinto "A"; }`:                                          "A[$A]",
		all + `addflag "$A"; fileinto :flags "" "A";`:                                                        "A",
	} {
		s, err := sieve.Compile(script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got, err := s.Run(message(t))
		if err != nil || told(got) != want {
			t.Errorf("%s: %s (%v), want %s", script, told(got), err, want)
		}
	}
}

func TestTests(t *testing.T) {
	for test, want := range map[string]bool{
		`header :contains "subject" "fattura"`:                             true,
		`header :contains "subject" "n° 12 del"`:                           true, // decoded
		`header :is "Subject" "posta certificata: fattura n° 12 del 2026"`: true,
		`header :comparator "i;octet" :contains "subject" "fattura"`:       false,
		`header :matches "subject" "*FATTURA n? 12*"`:                      true, // a character, not an octet
		`header :matches "subject" "fattura*"`:                             false,
		`header :matches "subject" "posta*certificata*2026"`:               true,
		`header :matches "subject" "posta*certificata*202"`:                false,
		`header :matches "x-trasporto" "posta\\?certificata"`:              false,
		`header :is "x-trasporto" ["errore", "posta-certificata"]`:         true,
		`header :is ["x-ricevuta", "x-trasporto"] "posta-certificata"`:     true,
		`header :is "x-vuoto" ""`:                                          true,
		`header :contains "x-vuoto" ""`:                                    true,
		`header :contains "x-manca" ""`:                                    false,
		`header "from" "posta-certificata@alfa.example"`:                   false,
		`address "from" "posta-certificata@alfa.example"`:                  true,
		`address :localpart "from" "posta-certificata"`:                    true,
		`address :domain ["from", "to"] "BETA.example"`:                    true,
		`address :all :is "reply-to" "mario.rossi@alfa.example"`:           true,
		`address :is "to" "anna@beta.example"`:                             true,
		`address :is "cc" "luca@beta.example"`:                             true,
		`address :is "to" "luca@beta.example"`:                             false,
		`envelope "from" "MARIO.rossi@alfa.example"`:                       true,
		`envelope :domain :matches "from" "*.example"`:                     true,
		`envelope :localpart ["from", "to"] "ufficio"`:                     true,
		`envelope :is "from" ""`:                                           false,
		`exists ["from", "subject"]`:                                       true,
		`exists ["from", "x-ricevuta"]`:                                    false,
		`size :over 4999`:                                                  true,
		`size :over 5000`:                                                  false,
		`size :under 5K`:                                                   true,
		`size :under 5000`:                                                 false,
		`allof (true, not false, anyof (false, true))`:                     true,
		`anyof (false, allof (true, false))`:                               false,
	} {
		s, err := sieve.Compile(all + "if " + test + ` { fileinto "si"; }`)
		if err != nil {
			t.Errorf("%s: %v", test, err)
			continue
		}
		got, err := s.Run(message(t))
		if err != nil || (told(got) == "si") != want {
			t.Errorf("%s: %s (%v), want %t", test, told(got), err, want)
		}
	}
}

func TestNullReversePath(t *testing.T) {
	s, err := sieve.Compile(all + `if allof (envelope :is "from" "", envelope :domain :is "from" "", not envelope :contains "from" "@") { fileinto "si"; }`)
	if err != nil {
		t.Fatal(err)
	}
	m := message(t)
	m.From = ""
	if got, err := s.Run(m); err != nil || told(got) != "si" {
		t.Errorf("%s (%v)", told(got), err)
	}
}

// What goes beyond the bounds of a run is an error, and the message is kept.
func TestRunIsBounded(t *testing.T) {
	long := strings.Repeat("a", 200_000)
	h, err := rfc822.ParseHeader([]byte("Subject: "+long+"b\r\nTo: "+strings.Repeat("<x@y.it>,", 30_000)+"\r\n\r\n"), rfc822.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	m := sieve.Message{Header: h, From: "a@b.it", To: "c@d.it", Size: 1}
	var many strings.Builder
	for i := range 20 {
		fmt.Fprintf(&many, "fileinto \"F%d\"; ", i)
	}
	for script, want := range map[string]error{
		`if header :matches "subject" "` + "*" + strings.Repeat("a", 400) + `c*" {}`:  sieve.ErrWork,
		`if header :contains "subject" ["` + strings.Repeat(`z","`, 1000) + `z"] {}`:  sieve.ErrWork,
		strings.Repeat(`if address :is "to" "z@z.it" {} `, 800):                       sieve.ErrWork,
		strings.Repeat(`if header :is "subject" "z" {} `, 990):                        sieve.ErrWork,
		`redirect "a@b.it"; redirect "b@b.it"; redirect "c@b.it"; redirect "d@b.it";`: sieve.ErrForwards,
		many.String(): sieve.ErrFolders,
		`addflag "a b c d e f g h i j k l m n o"; addflag "1 2 3 4 5 6 7 8";`: sieve.ErrFlags,
	} {
		s, err := sieve.Compile(all + script)
		if err != nil {
			t.Fatalf("%.60s: %v", script, err)
		}
		began := time.Now()
		got, err := s.Run(m)
		if took := time.Since(began); took > 5*time.Second { // a tenth of a second on an idle machine
			t.Errorf("%.60s: %v", script, took)
		}
		if !errors.Is(err, want) || told(got) != "INBOX" || !got.Plain() {
			t.Errorf("%.60s: %s (%v), want %v", script, told(got), err, want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	s, err := sieve.Compile(all + `if header :contains "subject" "ordine" { fileinto "Ordini"; }
if address :domain "from" "gamma.example" { fileinto "Gamma"; }
if header :is "x-trasporto" "posta-certificata" { fileinto :copy "Buste"; }`)
	if err != nil {
		b.Fatal(err)
	}
	m := message(b)
	for b.Loop() {
		if _, err := s.Run(m); err != nil {
			b.Fatal(err)
		}
	}
}
