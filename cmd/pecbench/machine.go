// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// syncProbes is how many syncs tell what one costs.
const syncProbes = 200

// describeMachine is what figures depend on: processor, kernel, and what a sync
// costs on the disk that holds dir.
func describeMachine(dir string) (string, error) {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	p50, p99, err := syncLatency(dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d × %s, Linux %s; append of 4 KiB and fsync: p50 %.2f ms, p99 %.2f ms",
		cores(), model, strings.TrimSpace(string(kernel)), p50, p99), nil
}

func syncLatency(dir string) (p50, p99 float64, err error) {
	f, err := os.Create(filepath.Join(dir, "sync-probe"))
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page, times := make([]byte, 4096), make([]time.Duration, syncProbes)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return percentile(times, 50), percentile(times, 99), nil
}
