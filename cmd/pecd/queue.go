// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

type queueCmd struct {
	List    queueListCmd    `cmd:"" help:"List what waits. / Elenca la coda."`
	Hold    queueHoldCmd    `cmd:"" help:"Keep messages back; they are given up in time all the same. / Trattiene messaggi."`
	Release queueReleaseCmd `cmd:"" help:"End a hold. / Rilascia messaggi trattenuti."`
	Retry   queueRetryCmd   `cmd:"" help:"Try now, whatever the plan. / Ritenta ora."`
	Resume  queueResumeCmd  `cmd:"" help:"Do what was set aside when the store was put back from a copy. / Riprende ciò che il ripristino ha messo da parte."`
	Drop    queueDropCmd    `cmd:"" help:"End what was set aside and has been done since the copy. / Scarta ciò che il ripristino ha messo da parte."`
	Fail    queueFailCmd    `cmd:"" help:"Give messages up, with a signed notice to their senders. / Rinuncia, con avviso al mittente."`
}

// queueFilter selects queued messages.
type queueFilter struct {
	Destination string        `help:"Domain of the destination."`
	Mailbox     string        `help:"Sender, or own mailbox that a delivery waits for."`
	OlderThan   time.Duration `help:"Queued at least that long, such as 30m."`
	LastError   string        `help:"Part of the last error."`
	Kind        string        `help:"relay, deliver, forward or deadline; empty: the first two." enum:",relay,deliver,forward,deadline" default:""`
	Held        bool          `help:"Held ones only."`
	Restored    bool          `help:"What was set aside when the store was put back from a copy."`
}

func (f queueFilter) filter() pipeline.Filter {
	return pipeline.Filter{
		Kind: f.Kind, Destination: f.Destination, Mailbox: f.Mailbox, OlderThan: f.OlderThan, LastError: f.LastError, Held: f.Held, Restored: f.Restored,
	}
}

type queueListCmd struct {
	nodeFlag
	queueFilter
	JSON bool `help:"One JSON object a line."`
}

// Run lists the queue.
func (c *queueListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "queue list", c, openNode)
}

func (c *queueListCmd) do(ctx context.Context, k call) error {
	enc := json.NewEncoder(k.out)
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	now := k.node.clock.Now()
	err := k.node.queue.List(ctx, c.filter(), func(m pipeline.Entry) error {
		if c.JSON {
			return enc.Encode(m)
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%q\t%q\t%q\t%s\t%d\t%s\t%q\n", m.Job, m.Kind, m.Destination, m.ID, m.Sender,
			now.Sub(m.Created).Truncate(time.Second), m.Attempts, state(m, now), m.LastError)
		return err
	})
	return errors.Join(err, w.Flush())
}

// state says what a queued message waits for.
func state(m pipeline.Entry, now time.Time) string {
	switch {
	case m.Active:
		return "in corso/active"
	case m.Held:
		return "trattenuto/held"
	case m.Paused.After(now) && m.Paused.After(m.Due):
		return "pausa/paused " + m.Paused.Sub(now).Truncate(time.Second).String()
	case m.Due.After(now):
		return "fra/in " + m.Due.Sub(now).Truncate(time.Second).String()
	}
	return "pronto/due"
}

// queueAct names the messages that an act concerns: by number, or by a filter.
type queueAct struct {
	nodeFlag
	queueFilter
	Jobs []int64 `arg:"" optional:"" help:"Numbers, from the list."`
	All  bool    `help:"Whatever the filter selects, instead of numbers."`
	Yes  bool    `help:"Do not refuse an act on several messages."`
	// but is a kind that --all leaves out where none is named.
	but string
}

// check wants numbers or a filter, and a yes for several messages at once.
func (a queueAct) check() error {
	switch {
	case (len(a.Jobs) > 0) == a.All:
		return errors.New("numeri dei messaggi oppure --all con un filtro / numbers, or --all with a filter")
	case a.All && !a.Yes:
		return errors.New("--all vuole --yes / --all wants --yes")
	}
	return nil
}

// ids are the messages that the act concerns; left counts what --all leaves out.
func (a queueAct) ids(ctx context.Context, n *node) (ids []storage.JobID, left int, err error) {
	for _, id := range a.Jobs {
		ids = append(ids, storage.JobID(id))
	}
	if a.All {
		err = n.queue.List(ctx, a.filter(), func(m pipeline.Entry) error {
			if a.Kind == "" && a.but == m.Kind {
				left++
				return nil
			}
			ids = append(ids, m.Job)
			return nil
		})
	}
	return ids, left, err
}

// perform checks the act and does it.
func (a queueAct) act(e *env, name string, op operation) error {
	if err := a.check(); err != nil {
		return err
	}
	return a.perform(e, e.stdout, name, op, openNode)
}

// report does an act on the messages concerned and prints how many it was done to.
func (a queueAct) report(ctx context.Context, k call, act func(ids []storage.JobID) (int, error)) error {
	ids, left, err := a.ids(ctx, k.node)
	if err != nil {
		return err
	}
	done, err := act(ids)
	_, werr := fmt.Fprintf(k.out, "%d di / of %d\n", done, len(ids))
	if left > 0 && werr == nil {
		_, werr = fmt.Fprintf(k.out, "lasciati / left: %d, --kind %s\n", left, a.but)
	}
	return errors.Join(err, werr)
}

type queueHoldCmd struct{ queueAct }

// Run holds messages.
func (c *queueHoldCmd) Run(e *env) error { return c.act(e, "queue hold", c) }

func (c *queueHoldCmd) do(ctx context.Context, k call) error {
	return c.report(ctx, k, func(ids []storage.JobID) (int, error) { return k.node.queue.Hold(ctx, k.actor, ids...) })
}

type queueReleaseCmd struct{ queueAct }

// Run ends holds.
func (c *queueReleaseCmd) Run(e *env) error { return c.act(e, "queue release", c) }

func (c *queueReleaseCmd) do(ctx context.Context, k call) error {
	return c.report(ctx, k, func(ids []storage.JobID) (int, error) { return k.node.queue.Release(ctx, k.actor, ids...) })
}

type queueRetryCmd struct{ queueAct }

// Run has messages tried now.
func (c *queueRetryCmd) Run(e *env) error { return c.act(e, "queue retry", c) }

func (c *queueRetryCmd) do(ctx context.Context, k call) error {
	return c.report(ctx, k, func(ids []storage.JobID) (int, error) { return k.node.queue.RetryNow(ctx, k.actor, ids...) })
}

type queueResumeCmd struct{ queueAct }

// Run has jobs done that a restore set aside.
func (c *queueResumeCmd) Run(e *env) error {
	c.Restored = true
	return c.act(e, "queue resume", c)
}

func (c *queueResumeCmd) do(ctx context.Context, k call) error {
	// They come last: notices of elapsed time cannot be taken back.
	c.but = pipeline.JobDeadline
	err := c.report(ctx, k, func(ids []storage.JobID) (int, error) { return k.node.queue.Resume(ctx, k.actor, ids...) })
	return errors.Join(err, k.node.checkRestored(ctx))
}

type queueDropCmd struct{ queueAct }

// Run ends jobs that a restore set aside.
func (c *queueDropCmd) Run(e *env) error {
	c.Restored = true
	return c.act(e, "queue drop", c)
}

func (c *queueDropCmd) do(ctx context.Context, k call) error {
	err := c.report(ctx, k, func(ids []storage.JobID) (int, error) { return k.node.queue.Drop(ctx, k.actor, ids...) })
	return errors.Join(err, k.node.checkRestored(ctx))
}

type queueFailCmd struct {
	queueAct
	Reason string `required:"" help:"What the senders are told."`
}

// Run gives messages up.
func (c *queueFailCmd) Run(e *env) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("--reason è vuoto / is empty")
	}
	return c.act(e, "queue fail", c)
}

func (c *queueFailCmd) do(ctx context.Context, k call) error {
	return c.report(ctx, k, func(ids []storage.JobID) (int, error) {
		return k.node.queue.Fail(ctx, k.actor, c.Reason, ids...)
	})
}
