// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"testing"

	"pecd/rfc822"
)

func TestSummarizes(t *testing.T) {
	const text = "Subject: uno\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nciao\r\n--b--\r\n"
	read := func(text string) *rfc822.Message {
		sc := rfc822.NewScanner(rfc822.DefaultLimits())
		_, _ = sc.Write([]byte(text))
		return sc.Finish()
	}
	m, other := read(text), read("Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nciao\r\n--b--\r\n")
	header, ok := rfc822.HeaderSummary([]byte(text))
	if !ok {
		t.Fatal("no header")
	}
	for _, b := range [][]byte{m.Summary(), header} {
		shown, err := rfc822.WithPreview(b, m.Size, "ciao")
		if err != nil {
			t.Fatal(err)
		}
		for _, kept := range [][]byte{b, shown} {
			if !summarizes(kept, m) {
				t.Errorf("%q does not summarize its message", kept)
			}
			if summarizes(kept, other) {
				t.Errorf("%q summarizes another message", kept)
			}
		}
	}
	if !summarizes(nil, m) || !summarizes([]byte("of a later version"), m) {
		t.Error("what is made anew is not at fault")
	}
}
