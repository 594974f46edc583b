// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"pecd/clock"
)

// Messages stream, so that the live heap is small, a dozen megabytes, and what
// each message leaves behind is large beside it: at the usual setting a busy
// node would collect a hundred times a second. The collector is given spareHeap
// to fill before it runs, whatever is live; from there on half of what is live.
const (
	spareHeap  = 64 << 20
	leastGC    = 50
	mostGC     = 400
	memoryTick = time.Second
)

// tuneCollector follows the live heap until ctx ends. An operator's GOGC counts.
func tuneCollector(ctx context.Context, clk clock.Clock) {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	set := 0
	for {
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindUint64 {
			live := max(sample[0].Value.Uint64(), 1)
			if percent := min(max(leastGC, int(spareHeap*100/live)), mostGC); percent != set {
				debug.SetGCPercent(percent)
				set = percent
			}
		}
		timer, stop := clk.After(memoryTick)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-timer:
		}
	}
}
