// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"pecd/clock"
)

// Messages stream, so that the live heap is small, a dozen megabytes, and what
// each message leaves behind is large beside it: at the usual setting a busy
// node would collect a hundred times a second. The collector is given spareHeap
// to fill before it runs, or mostGC of what is live where that is less; from
// there on half of what is live.
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

// memoryShare is the part, in tenths, of the memory there is that the collector
// keeps the heap below if it can: the rest is for the database engine's caches,
// stacks, and the system.
const memoryShare = 7

// boundMemory tells the collector how much memory there is: that of the machine,
// or the limit of the control group that a service manager or a container sets.
// An operator's GOMEMLIMIT counts.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if n := availableMemory(); n > 0 {
		debug.SetMemoryLimit(n / 10 * memoryShare)
	}
}

// availableMemory returns the octets of memory there are for this process, 0
// where that is not known.
func availableMemory() int64 {
	least := machineMemory()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range bytes.Lines(own) {
		path, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::/") // version 2
		if !ok {
			continue
		}
		// Every group above may set a limit as well.
		for dir := "/sys/fs/cgroup/" + path; len(dir) >= len("/sys/fs/cgroup"); dir = dir[:max(strings.LastIndexByte(dir, '/'), 0)] {
			b, err := os.ReadFile(dir + "/memory.max")
			if n, nerr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && nerr == nil && n > 0 && (least == 0 || n < least) {
				least = n
			}
		}
	}
	return least
}

// machineMemory reads /proc/meminfo.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) >= 2 && f[0] == "MemTotal:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
