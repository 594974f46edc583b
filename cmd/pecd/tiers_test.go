// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"math"
	"testing"
)

// TestFiguresTooLargeAreNotCut: a figure that its octets do not fit into is not
// taken for another one.
func TestFiguresTooLargeAreNotCut(t *testing.T) {
	for given, want := range map[int64]int64{3: 3 << 30, 0: 0, -1: -1 << 30, 1<<34 + 3: math.MaxInt64, -1 << 34: math.MaxInt64} {
		c, ok := figureFlags{QuotaGiB: &given}.change()
		if !ok || *c.QuotaBytes != want {
			t.Errorf("%d GiB: %d octets, want %d", given, *c.QuotaBytes, want)
		}
	}
}
