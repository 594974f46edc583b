// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What is kept of a message stays far below what one in flight may take,
// whatever it is made of.
func TestMemoryIsBounded(t *testing.T) {
	var params strings.Builder
	params.WriteString("--b\r\nContent-Type: multipart/x; boundary=q")
	for i := range 30 {
		fmt.Fprintf(&params, ";%c%c=1", 'a'+i%26, 'a'+i/26)
	}
	params.WriteString("\r\nContent-Disposition: x")
	for i := range 30 {
		fmt.Fprintf(&params, ";%c%c*0=1", 'a'+i%26, 'a'+i/26)
	}
	params.WriteString("\r\n\r\nx\r\n")
	for name, part := range map[string]string{
		"parameters":  params.String(),
		"short lines": "--b\r\n" + strings.Repeat("a:\r\n", 1999) + "\r\nx\r\n",
		"large":       "--b\r\nA: " + strings.Repeat("x", 400_000) + "\r\n\r\nx\r\n",
		"empty parts": "--b\r\n",
		"malformed":   "--b\r\n" + strings.Repeat("junk\r\n", 100) + "\r\n",
	} {
		data := []byte(crlf(mixed))
		data = append(append(data, bytes.Repeat([]byte(part), 8<<20/len(part))...), "--b--\r\n"...)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := scan(data, Limits{}, 32<<10)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 24<<20 {
			t.Errorf("%s: %d octets kept of a message of %d", name, kept, len(data))
		} else {
			t.Logf("%s: %d KiB kept", name, kept>>10)
		}
		runtime.KeepAlive(m)
		runtime.KeepAlive(data)
	}
}
