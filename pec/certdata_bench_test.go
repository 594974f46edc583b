// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"testing"

	"pecd/pec"
)

func BenchmarkCertDataEncode1000(b *testing.B) {
	c := fullCertData()
	for len(c.Recipients) < 1000 {
		c.Recipients = append(c.Recipients, pec.Recipient{Address: "ufficio.protocollo.generale@pec.comune.example.it"})
	}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(c.Encode())))
	}
}

func BenchmarkReadCertData1000(b *testing.B) {
	c := fullCertData()
	for len(c.Recipients) < 1000 {
		c.Recipients = append(c.Recipients, pec.Recipient{Address: "ufficio.protocollo.generale@pec.comune.example.it"})
	}
	xml := c.Encode()
	b.SetBytes(int64(len(xml)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pec.ReadCertData(xml); err != nil {
			b.Fatal(err)
		}
	}
}
