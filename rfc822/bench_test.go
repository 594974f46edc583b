// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"strings"
	"testing"
)

func base64Message(size int) []byte {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	var b bytes.Buffer
	b.WriteString(crlf(mixed) + "--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for b.Len() < size {
		b.WriteString(line)
	}
	b.WriteString("--b--\r\n")
	return b.Bytes()
}

// BenchmarkScanner measures the scan of an attachment, in the writes of a copy
// loop; BenchmarkScanner/8bit that of text with octets above 127 on every line.
func BenchmarkScanner(b *testing.B) {
	plain := base64Message(10 << 20)
	for _, bb := range []struct {
		name string
		data []byte
	}{
		{"base64", plain},
		{"8bit", bytes.ReplaceAll(plain, []byte("QUJDQUJD"), []byte("QUJ\xe0QUJD"))},
		{"deep", nest(60)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.data)))
			b.ReportAllocs()
			for b.Loop() {
				scan(bb.data, Limits{}, 32<<10)
			}
		})
	}
}
