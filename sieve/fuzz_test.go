// SPDX-License-Identifier: EUPL-1.2

package sieve_test

import (
	"errors"
	"testing"

	"pecd/rfc822"
	"pecd/sieve"
)

// FuzzScript: no script and no message bring the program down or keep it busy,
// and a message always stays with its holder.
func FuzzScript(f *testing.F) {
	for _, s := range []string{
		all + `if allof (header :matches "subject" "*fattura?", not size :over 1M) { addflag "\\Seen"; fileinto :copy :create "A/B"; redirect "x@y.it"; stop; }`,
		all + `if address :domain :contains ["from", "to"] "beta" { fileinto :flags "$A" "B"; } elsif envelope :is "from" "" { keep; } else { setflag "c"; }`,
		"/* a */ if anyof (exists \"x-trasporto\", hasflag \"a\") { redirect text:\n..a@b.it\n.\n; }", "if not true { # \n }", "\"", "discard;", "if size :over 9G {}",
	} {
		f.Add(s, envelopeHeader)
	}
	f.Fuzz(func(t *testing.T, script, header string) {
		s, err := sieve.Compile(script)
		if err != nil {
			var e *sieve.Error
			if !errors.As(err, &e) || e.Line < 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		h, _ := rfc822.ParseHeader([]byte(header), rfc822.DefaultLimits()) // of one that is too large, the first part
		a, err := s.Run(sieve.Message{Header: h, Size: int64(len(header)), From: "a@b.it", To: "c@d.it"})
		if err != nil && !a.Plain() {
			t.Fatalf("%v, and %s", err, told(a))
		}
		if len(a.File) == 0 || len(a.File) > sieve.MaxFolders || len(a.Forward) > sieve.MaxForwards {
			t.Fatalf("%s", told(a))
		}
		for _, to := range a.Forward {
			if !rfc822.ValidAddress(to) {
				t.Fatalf("forward to %q", to)
			}
		}
		for _, f := range a.File {
			if f.Folder == "" || len(f.Folder) > 255 {
				t.Fatalf("folder %q", f.Folder)
			}
		}
	})
}
