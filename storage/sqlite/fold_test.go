// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func base64Lines(octets []byte, width int, eol string) string {
	s := base64.StdEncoding.EncodeToString(octets)
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + eol)
	}
	return b.String() + s + eol
}

// TestFold_Exact: whatever is folded comes back byte for byte.
func TestFold_Exact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(
			rapid.StringMatching(`[ -~\r\n]{0,200}`),
			rapid.Custom(func(t *rapid.T) string {
				octets := rapid.SliceOfN(rapid.Byte(), 0, 900).Draw(t, "octets")
				return base64Lines(octets, rapid.SampledFrom([]int{72, 76, 80}).Draw(t, "width"), rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "eol"))
			}),
		)
		b := []byte(strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), ""))
		f := fold(b)
		if len(f) > len(b)+maxFoldOverhead {
			t.Fatalf("folding %d bytes took %d", len(b), len(f))
		}
		got, err := unfold(f, len(b))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("unfold: %v, %d bytes of %d", err, len(got), len(b))
		}
	})
}

func TestFold_Refusals(t *testing.T) {
	b := []byte("x\r\n" + base64Lines(bytes.Repeat([]byte{1}, 600), 76, "\r\n"))
	f := fold(b)
	if len(f) >= len(b) {
		t.Error("nothing was folded")
	}
	for name, c := range map[string]struct {
		f    []byte
		size int
	}{
		"cut": {f[:len(f)-2], len(b)}, "shorter": {f, len(b) - 1}, "longer": {f, len(b) + 1}, "huge length": {[]byte{0xff, 0xff, 0xff, 0x7f}, 4},
	} {
		if _, err := unfold(c.f, c.size); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
