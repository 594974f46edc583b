// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"runtime/debug"
)

// softMemory is where the collector starts to work harder. Messages stream, so
// the live heap is small; without a bound, garbage of many short jobs would
// still double the resident size.
const softMemory = 56 << 20

// boundMemory sets the soft limit unless the operator chose one.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(50)
		}
	}
}
