// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// bench is one run of the program: its options, its directory and the machine.
type bench struct {
	*options
	dir     string // holds everything that is written; removed at the end
	run     string // sets this run's messages apart
	machine string
	plan    *site // the demo that the stores of the cells are copied from
	peers   []peer
}

// newBench makes the directory and, with the real binary, the demo whose
// mailboxes are used.
func newBench(ctx context.Context, o *options) (*bench, error) {
	if _, err := os.Stat(o.Pecd); err != nil {
		return nil, fmt.Errorf("%w: build it with make build, or name it with --pecd", err)
	}
	if o.Rounds < 1 || o.Seconds <= 0 || o.Scale <= 0 {
		return nil, errors.New("--rounds, --seconds and --scale must be positive")
	}
	if _, err := o.sample(); err != nil {
		return nil, err
	}
	if err := needTools(o); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "pecbench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	if b.machine, err = describeMachine(dir); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if b.peers, err = b.findPeers(os.Stdout); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if b.plan, err = prepareSite(ctx, o.Pecd, filepath.Join(dir, "plan")); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// needTools names what is missing instead of leaving figures out.
func needTools(o *options) error {
	tools := map[string]string{"openssl": "openssl"}
	if o.Syncs {
		tools["strace"] = "strace"
	}
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: apt-get install %s (make packages)", tool, pkg)
		}
	}
	return nil
}

func (b *bench) close() error {
	if b.Keep {
		fmt.Fprintln(os.Stderr, "pecbench: stores are in", b.dir)
		return nil
	}
	return os.RemoveAll(b.dir)
}

// sample is how many signatures of a cell are verified, a negative number for all.
func (o *options) sample() (int, error) {
	if o.Verify == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(o.Verify)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--verify: %q is neither a positive number nor all", o.Verify)
	}
	return n, nil
}

// scaled is a size of the table, made smaller where that was asked for.
func (b *bench) scaled(n int) int { return max(1, int(float64(n)*b.Scale)) }

// discard removes the stores of a cell that is over, so that the next one finds
// the room.
func (b *bench) discard(s *site) {
	if !b.Keep {
		_ = os.RemoveAll(s.dir) // close tries again, and tells
	}
}

func (b *bench) duration() time.Duration { return time.Duration(b.Seconds * float64(time.Second)) }
