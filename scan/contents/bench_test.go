// SPDX-License-Identifier: EUPL-1.2

package contents_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"pecd/clock"
	"pecd/rfc822"
	"pecd/scan/contents"
	"pecd/scan/contents/contentstest"
)

// BenchmarkMessage is what looking into a message costs besides reading it.
func BenchmarkMessage(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"text 5 kB", text("text/plain", strings.Repeat("Si trasmette quanto in oggetto, https://www.comune.example/atti\r\n", 75))},
		{"html 5 kB", text("text/html", strings.Repeat("<p>Vedi <a href=\"https://www.comune.example/atti\">gli atti</a></p>\r\n", 75))},
		{"docx", attached("a.docx", contentstest.Docx(b))},
		{"picture 1 MB", attached("a.jpg", bytes.Repeat([]byte("\xff\xd8\xff\xe0"), 1<<18))},
		{"zip 1 MB", attached("a.zip", contentstest.Zip(b, file("a.bin", bytes.Repeat([]byte("testo qualsiasi"), 1<<16))))},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := rfc822.NewScanner(rfc822.DefaultLimits())
			s.Write(c.raw)
			tree := s.Finish()
			inspector := contents.New(contents.Config{Clock: clock.System{}})
			b.ReportAllocs()
			for b.Loop() {
				if err := inspector.Begin(scratch).Message(context.Background(), bytes.NewReader(c.raw), tree); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
