// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"pecd/storage"
)

// BenchmarkRetr fetches a message of 1 MB by RETR, over TLS.
func BenchmarkRetr(b *testing.B) {
	f := newFixture(b)
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1<<20/78)
	f.deliver(text)
	s := f.login()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	answer := int64(len(fmt.Sprintf("+OK %d octets\r\n.\r\n", len(text))) + len(text))
	for b.Loop() {
		s.send("RETR 1\r\n")
		if _, err := io.CopyN(io.Discard, s.r, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPoll is what a program does that looks for mail in a large INBOX: log
// in, UIDL, QUIT. Most of it is the TLS handshake where the INBOX is small.
func BenchmarkPoll(b *testing.B) {
	for _, n := range []int{10, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFixture(b)
			fill(f, n)
			b.ReportAllocs()
			for b.Loop() {
				s := f.login()
				s.ok("UIDL")
				for range n {
					if _, err := s.r.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
				s.expect(`^\.$`)
				s.ok("QUIT")
				s.conn.Close()
			}
		})
	}
}

// fill puts n small messages into INBOX.
func fill(f *fixture, n int) {
	f.t.Helper()
	in := f.folder("INBOX")
	for done := 0; done < n; {
		step := new(storage.Step)
		for range min(1000, n-done) {
			body := &storage.NewBody{Head: fmt.Appendf(nil, "Subject: %d\r\n\r\nx\r\n", done)}
			step.Add(body, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: body}})
			done++
		}
		if err := f.store.Commit(context.Background(), step); err != nil {
			f.t.Fatal(err)
		}
	}
}
