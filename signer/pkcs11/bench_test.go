// SPDX-License-Identifier: EUPL-1.2

package pkcs11_test

import (
	"crypto"
	"fmt"
	"testing"

	"pecd/signer/pkcs11"
)

// BenchmarkSessions says what SoftHSM makes with more and more sessions, of which
// those beyond its own parallelism gain nothing.
func BenchmarkSessions(b *testing.B) {
	h, key := newHSM(b), rsaKey(b)
	h.token("alfa", key)
	for _, n := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			token := at(softHSM, "alfa")
			token.Sessions = n
			cfg, _, _ := config(key.Public(), token)
			k, err := pkcs11.Open(cfg)
			must(b, err)
			defer k.Close()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := k.Sign(nil, digestOf("", 0), crypto.SHA256); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign/s")
		})
	}
}
