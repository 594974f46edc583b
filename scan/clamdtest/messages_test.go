// SPDX-License-Identifier: EUPL-1.2

package clamdtest

import (
	"encoding/hex"
	"testing"
)

// TestZipKeys decrypts what Info-ZIP's zip -P parola encrypted.
func TestZipKeys(t *testing.T) {
	b, err := hex.DecodeString("19039da925a04b7a3891a44f5346c9e51707c569f31a939d3776")
	if err != nil {
		t.Fatal(err)
	}
	keys := zipKeys{0x12345678, 0x23456789, 0x34567890}
	for _, c := range []byte("parola") {
		keys.update(c)
	}
	for i := range b {
		b[i] ^= keys.next()
		keys.update(b[i])
	}
	if got := string(b[12:]); got != "testo segreto\n" {
		t.Errorf("%q", got)
	}
}
