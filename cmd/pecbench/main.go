// SPDX-License-Identifier: EUPL-1.2

// Command pecbench measures pecd: it runs the real binary as a child process,
// drives it over TLS, checks every copy and receipt by IMAP, and prints figures
// as ratios to what the machine can do. docs/performance.md says what each of
// them means.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Exit codes, as those of pecd.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// options is the command line.
type options struct {
	Cells      string        `default:"all" help:"Cells to measure, separated by commas: ${cells}; all."`
	Rounds     int           `default:"3" help:"Rounds of each cell; the median counts."`
	Seconds    float64       `default:"10" help:"How long messages are submitted in a round."`
	Messages   int           `help:"Messages of a round instead of a time."`
	Scale      float64       `default:"1" help:"Sizes of mailboxes and queues that are prepared, and recipients of the large message, as a part of what the table names; not 1: no targets."`
	Verify     string        `default:"50" placeholder:"N" help:"Signatures verified in each cell, or all."`
	Syncs      bool          `default:"true" negatable:"" help:"Count fsyncs, in a round of their own under strace."`
	Pipelining bool          `default:"true" negatable:"" help:"Send MAIL, RCPT and DATA in one write."`
	Peers      bool          `help:"Also measure plain mail on Postfix with Dovecot and maddy, in turn with pecd; those that are not installed are named. Needs root."`
	Profile    string        `type:"path" placeholder:"DIR" help:"Write the daemon's profiles there, taken in rounds of their own."`
	JSON       string        `name:"json" type:"path" placeholder:"FILE" help:"Write the figures there as well."`
	Pecd       string        `default:"bin/pecd" type:"path" help:"The binary that is measured."`
	Dir        string        `type:"path" placeholder:"DIR" help:"Where stores are made; the directory of temporary files otherwise. Its disk is what fsync is measured on."`
	Keep       bool          `help:"Leave the stores where they are."`
	Patience   time.Duration `default:"60s" help:"How long a round may take to its last receipt after the last submission."`
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var o options
	code := exitDone
	parser, err := kong.New(&o, kong.Name("pecbench"), kong.Description("Measures pecd over TLS and checks every receipt by IMAP."),
		kong.Vars{"cells": strings.Join(cellNames(), ", ")}, kong.Exit(func(c int) { code = c }), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(os.Stderr, "pecbench:", err)
		return exitFailed
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintln(os.Stderr, "pecbench:", err)
		return exitUsage
	}
	for _, a := range args {
		if a == "--help" || a == "-h" {
			return code
		}
	}
	cells, err := chosenCells(o.Cells)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pecbench:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, &o, cells); err != nil {
		fmt.Fprintln(os.Stderr, "pecbench:", err)
		return exitFailed
	}
	return exitDone
}

// measure runs the cells one after the other and prints what each found. A cell
// whose check fails does not keep the others from running.
func measure(ctx context.Context, o *options, cells []cell) (err error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r := newReport(os.Stdout, b.machine, o.Scale == 1)
	for _, c := range cells {
		r.begin(c)
		figures, err2 := c.run(ctx, b)
		r.add(c, figures, err2)
		if err2 != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, err2))
		}
		if ctx.Err() != nil {
			break
		}
	}
	r.summary()
	if o.JSON != "" {
		err = errors.Join(err, r.writeJSON(o.JSON))
	}
	return err
}
