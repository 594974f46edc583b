// SPDX-License-Identifier: EUPL-1.2

package main

import "testing"

// TestAvailableMemory: what the machine has is known, and a limit is never above it.
func TestAvailableMemory(t *testing.T) {
	all, n := machineMemory(), availableMemory()
	if all < 64<<20 || n <= 0 || n > all {
		t.Fatalf("%d of %d octets", n, all)
	}
}
