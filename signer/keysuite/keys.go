// SPDX-License-Identifier: EUPL-1.2

package keysuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
)

// Keys makes a key of each kind that a provider may sign with, by name.
func Keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all := make(map[string]crypto.Signer)
	for name, bits := range map[string]int{"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		must(t, err)
		all[name] = key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	all["p256"] = key
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
