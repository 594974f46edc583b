// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"net/mail"
	"testing"
	"time"
)

// TestLetters: messages have the size that was asked for, differ in their
// bodies, and can be sent without looking for dots or line ends.
func TestLetters(t *testing.T) {
	for _, size := range []int{5000, 1 << 20} {
		l := newLetters("run", size, time.Unix(1e9, 0))
		seen := make(map[string]bool)
		for n := range 200 {
			raw := l.write(nil, n, "a@alfa.example", []string{"b@alfa.example", "c@alfa.example"})
			if len(raw) > size || len(raw) < size*97/100 {
				t.Fatalf("message %d has %d octets, not %d", n, len(raw), size)
			}
			if bytes.Contains(raw, []byte("\n.")) || !bytes.HasSuffix(raw, []byte("\r\n")) || bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
				t.Fatalf("message %d cannot be sent as it is", n)
			}
			m, err := mail.ReadMessage(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := l.number(m.Header.Get("Message-ID")); got != n {
				t.Errorf("message %d has the number %d", n, got)
			}
			_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
			if seen[string(body)] {
				t.Errorf("message %d has the body of another", n)
			}
			seen[string(body)] = true
			if size > 5000 && n == 20 {
				break
			}
		}
	}
	if l := newLetters("run", 5000, time.Unix(1e9, 0)); l.number("<other.1@bench.example>") >= 0 {
		t.Error("takes another run's message for its own")
	}
}
