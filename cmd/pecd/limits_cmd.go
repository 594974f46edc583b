// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"pecd/directory"
	"pecd/pipeline"
	"pecd/ratelimit"
)

type mailboxLimitsCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	JSON    bool   `help:"Print JSON."`
}

// Run tells what of a mailbox's send limits is used up.
func (c *mailboxLimitsCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox limits", c, openStore)
}

// limitView is one window as it is printed.
type limitView struct {
	Window ratelimit.Window `json:"window"`
	Used   int              `json:"used"`
	Limit  int              `json:"limit"`
	Opens  *time.Time       `json:"opens,omitempty"` // absent: it is open
}

func (c *mailboxLimitsCmd) do(ctx context.Context, k call) error {
	n := k.node
	box, err := n.users.MayMailbox(ctx, directory.SeeMailbox, c.Address)
	if err != nil {
		return err
	}
	f, err := n.users.Figures(ctx, box)
	if err != nil {
		return err
	}
	if box.Service {
		_, err := fmt.Fprintln(k.out, "casella di servizio: nessun limite di invio / service mailbox: no send limits")
		return err
	}
	limiter, err := n.limiter()
	if err != nil {
		return err
	}
	use, err := limiter.Use(ctx, box.Address, pipeline.Bounds(f))
	if err != nil {
		return err
	}
	var views []limitView
	for _, w := range use.Windows() {
		v := limitView{Window: w.Window, Used: w.Used, Limit: w.Limit}
		if !w.Opens.IsZero() {
			v.Opens = &w.Opens
		}
		views = append(views, v)
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(struct {
			Address string      `json:"address"`
			Reduced bool        `json:"reduced"`
			Windows []limitView `json:"windows"`
		}{box.Address, use.Reduced, views})
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	for _, v := range views {
		state := "aperto / open"
		if v.Opens != nil {
			state = "riapre / opens " + v.Opens.Format("2006-01-02 15:04:05.000")
		}
		if _, err := fmt.Fprintf(w, "%s\t%d / %d\t%s\n", v.Window, v.Used, v.Limit, state); err != nil {
			return err
		}
	}
	if use.Reduced {
		if _, err := fmt.Fprintln(w, "limiti ridotti: i nodi non si vedono / reduced: the nodes do not see each other"); err != nil {
			return err
		}
	}
	return w.Flush()
}

// limiter is that of the running node, or one that reads the record alone.
func (n *node) limiter() (ratelimit.Limiter, error) {
	if n.limits != nil {
		return n.limits.Limiter, nil
	}
	zone, err := time.LoadLocation(n.cfg.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	n.zone = zone
	return n.localLimiter(), nil
}
