// SPDX-License-Identifier: EUPL-1.2

package libcrypto_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pecd/signer/keysuite"
)

// BenchmarkSign compares, for each kind of key, Go's own, libcrypto's and what
// `openssl speed` says of the machine: signatures a second on one core, and with
// a goroutine (a process, for openssl) on each.
func BenchmarkSign(b *testing.B) {
	keys := keysuite.Keys(b)
	for _, c := range []struct{ name, algorithm string }{
		{"rsa2048", "rsa2048"}, {"rsa3072", "rsa3072"}, {"rsa4096", "rsa4096"}, {"p256", "ecdsap256"},
	} {
		for _, source := range []struct {
			name string
			key  crypto.Signer
		}{{"go", keys[c.name]}, {"libcrypto", newKey(b, keys[c.name])}} {
			b.Run(c.name+"/"+source.name+"/one", func(b *testing.B) {
				for b.Loop() {
					signOnce(b, source.key)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign/s")
			})
			b.Run(c.name+"/"+source.name+"/each", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						signOnce(b, source.key)
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign/s")
			})
		}
		b.Run(c.name+"/openssl/one", func(b *testing.B) { opensslSpeed(b, c.algorithm, 1) })
		b.Run(c.name+"/openssl/each", func(b *testing.B) { opensslSpeed(b, c.algorithm, runtime.GOMAXPROCS(0)) })
	}
}

func signOnce(b *testing.B, key crypto.Signer) {
	sum := sha256.Sum256([]byte("ciao"))
	if _, err := key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		b.Error(err)
	}
}

// opensslSpeed reports the rate of signatures that openssl measures in a second.
// The line it prints ends in two rates, of signing and of verifying.
func opensslSpeed(b *testing.B, algorithm string, processes int) {
	out, err := exec.Command("openssl", "speed", "-seconds", "1", "-multi", strconv.Itoa(processes), algorithm).Output()
	if err != nil {
		b.Fatalf("%v: apt-get install openssl", err)
	}
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 2 {
		b.Fatalf("openssl speed printed %q", out)
	}
	rate, err := strconv.ParseFloat(fields[len(fields)-2], 64)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate, "sign/s")
}
