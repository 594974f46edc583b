// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// syncRound is how long the round under strace lasts.
const syncRound = 3 * time.Second

// countSyncs is the fsyncs and fdatasyncs a message, from a round of its own:
// strace stops the process at each of them, so that its rate is no figure.
func (b *bench) countSyncs(ctx context.Context, name string, l load) (perMessage float64, err error) {
	s, err := b.plan.copyTo(filepath.Join(b.dir, name), nil)
	if err != nil {
		return 0, err
	}
	defer b.discard(s)
	traces := []string{filepath.Join(s.dir, "alfa.trace"), filepath.Join(s.dir, "beta.trace")}
	daemons, err := s.serveAll(ctx, l, traces)
	if err != nil {
		return 0, err
	}
	p, err := b.tracedRound(ctx, l, s)
	if err := errors.Join(err, stopAll(daemons)); err != nil {
		return 0, err
	}
	total := 0
	for i := range daemons {
		n, err := syncsWithin(traces[i], p.began, p.ended)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / float64(p.accepted), nil
}

func (b *bench) tracedRound(ctx context.Context, l load, s *site) (*pass, error) {
	c, err := gather(b, l, s)
	if err != nil {
		return nil, err
	}
	defer c.dismiss()
	return c.round(ctx, min(syncRound, b.duration()), b.Messages, b.Patience)
}

// syncsWithin counts the calls that a trace of strace -f -ttt holds between two
// instants: lines "PID SECONDS.MICROS fsync(…) = 0". A call that another thread
// broke into has a second line, "resumed", which does not count.
func syncsWithin(trace string, from, to time.Time) (n int, err error) {
	f, err := os.Open(trace)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || !strings.HasPrefix(fields[2], "fsync(") && !strings.HasPrefix(fields[2], "fdatasync(") {
			continue
		}
		at, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return 0, fmt.Errorf("strace: %q", lines.Text())
		}
		if t := time.UnixMicro(int64(at * 1e6)); !t.Before(from) && !t.After(to) {
			n++
		}
	}
	return n, lines.Err()
}
