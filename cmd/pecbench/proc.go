// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of CPU time in /proc: USER_HZ, 100 on every Linux.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time that a process and its descendants have used,
// those that have ended and were waited for among them.
func cpu(pid int) (time.Duration, error) {
	parents, used, err := processes()
	if err != nil {
		return 0, err
	}
	if _, ok := used[pid]; !ok {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	var sum time.Duration
	for p := range used {
		for up := p; up > 1; up = parents[up] {
			if up == pid {
				sum += used[p]
				break
			}
		}
	}
	return sum, nil
}

// processes reads of every process its parent and its CPU time.
func processes() (parents map[int]int, used map[int]time.Duration, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil, err
	}
	parents, used = make(map[int]int), make(map[int]time.Duration)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 15 {
			return nil, nil, errors.New("/proc/PID/stat: too few fields")
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		// utime, stime, and those of children that were waited for.
		for _, f := range fields[11:15] {
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, nil, err
			}
			used[pid] += time.Duration(ticks) * clockTick
		}
	}
	return parents, used, nil
}

// peakMemory is the largest resident set a process has had, in octets.
func peakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}

// ownCPU is what the load generator itself has used.
func ownCPU() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, err
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// diskUse is the octets in the blocks of the files below dir.
func diskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}
