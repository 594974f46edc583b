// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestPec_1_7_Invariants: the consistency rules of a transaction hold whatever
// happens on the way (pec-rules §1.7).
func TestPec_1_7_Invariants(t *testing.T) {
	a := newAuthority(t)
	worlds, steps := 20, 600
	if os.Getenv("PECD_LONG") != "" {
		worlds, steps = 200, 1000
	}
	first := uint64(1)
	if s := os.Getenv("PECD_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PECD_SEED: %v", err)
		}
		first, worlds = n, 1
	}
	for i := range worlds {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newWorld(t, a, seed).run(steps)
		})
	}
}
