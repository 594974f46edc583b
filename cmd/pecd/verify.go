// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"pecd/storage"
)

// errProblems ends a verify that found something; it has been printed.
var errProblems = errors.New("problems found")

type verifyCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// findings is what verify prints.
type findings struct {
	Mailboxes    int       `json:"mailboxes"`
	Messages     int       `json:"messages"`
	Bodies       int       `json:"bodies"`
	Signatures   int       `json:"signatures"` // ours, verified
	Altered      int       `json:"altered"`    // holders' copies under our name that do not verify
	Transactions int       `json:"transactions"`
	Records      int       `json:"records"`
	Jobs         int       `json:"jobs"`
	Problems     []problem `json:"problems"`
}

type problem struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

func (f *findings) add(where, format string, args ...any) {
	f.Problems = append(f.Problems, problem{where, fmt.Sprintf(format, args...)})
}

// Run reads everything back: the store's own promises, the signatures of what
// this provider issued, and the invariants of pec-rules §1.7.
func (c *verifyCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "verify", c, openNode)
}

func (c *verifyCmd) do(ctx context.Context, k call) error {
	f, err := k.node.verifyLive(ctx)
	if err != nil {
		return err
	}
	if err := f.print(k.out, c.JSON); err != nil {
		return err
	}
	if len(f.Problems) > 0 {
		return errProblems
	}
	return nil
}

func (n *node) verify(ctx context.Context) (*findings, error) {
	f := &findings{Problems: []problem{}}
	for _, check := range []func(context.Context, *findings) error{n.verifyStore, n.verifyMessages, n.verifyTransactions} {
		if err := check(ctx, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// liveReadings is how often a running node is read before a finding counts, and
// livePause the time between.
const (
	liveReadings = 3
	livePause    = time.Second
)

// verifyLive verifies while mail moves. What one reading finds may be a message
// that was between two of its looks; what every reading finds is a problem.
func (n *node) verifyLive(ctx context.Context) (*findings, error) {
	f, err := n.verify(ctx)
	for range liveReadings - 1 {
		if err != nil || len(f.Problems) == 0 {
			return f, err
		}
		timer, stop := n.clock.After(livePause)
		select {
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		case <-timer:
		}
		before := make(map[problem]bool)
		for _, p := range f.Problems {
			before[p] = true
		}
		if f, err = n.verify(ctx); err == nil {
			f.Problems = slices.DeleteFunc(f.Problems, func(p problem) bool { return !before[p] })
		}
	}
	return f, err
}

func (n *node) verifyStore(ctx context.Context, f *findings) error {
	return n.store.Check(ctx, func(p storage.Problem) error {
		f.Problems = append(f.Problems, problem{p.Where, p.What})
		return nil
	})
}

func (f *findings) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(f)
	}
	for _, p := range f.Problems {
		fmt.Fprintf(w, "PROBLEMA %s: %s\n", p.Where, p.What)
	}
	verdict := "archivio integro / clean"
	if len(f.Problems) > 0 {
		verdict = fmt.Sprintf("%d problemi / problems", len(f.Problems))
	}
	_, err := fmt.Fprintf(w, "%d caselle, %d messaggi, %d corpi, %d firme verificate, %d transazioni, %d eventi, %d lavori in coda: %s\n",
		f.Mailboxes, f.Messages, f.Bodies, f.Signatures, f.Transactions, f.Records, f.Jobs, verdict)
	return err
}
