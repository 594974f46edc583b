// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestLargeLiterals: large messages arrive unaltered at more clients than there
// are large buffers, and so does what follows them.
func TestLargeLiterals(t *testing.T) {
	f := newFixture(t)
	var text strings.Builder
	text.WriteString(message("grande"))
	for i := 0; text.Len() < 3*largeBuffer+12345; i++ {
		fmt.Fprintf(&text, "riga %d di un messaggio grande\r\n", i)
	}
	f.deliver("INBOX", text.String())
	var wg sync.WaitGroup
	for range largeBuffers + 4 {
		s := f.open("INBOX")
		wg.Go(func() {
			for range 3 {
				if got := s.literal("FETCH 1 BODY.PEEK[]"); string(got) != text.String() {
					t.Errorf("%d octets, not the message's %d", len(got), text.Len())
				}
				off, n := largeBuffer-5, largeLiteral+1
				if got := s.literal("FETCH 1 BODY.PEEK[]<%d.%d>", off, n); string(got) != text.String()[off:off+n] {
					t.Errorf("%d octets of a range", len(got))
				}
			}
		})
	}
	wg.Wait()
	if n := len(f.server.large); n != largeBuffers {
		t.Errorf("%d of %d buffers are back", n, largeBuffers)
	}
}
