// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"runtime/debug"
)

// boundMemory makes the collector run at half the live heap instead of the
// whole: messages stream, so the heap is small, and what many short jobs leave
// behind should not double it. An operator's GOGC counts.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
