// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pecd/alarm"
	"pecd/conduct"
	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// ConductConfig says what looks wrong in what a mailbox sends, and how far the
// node goes.
type ConductConfig struct {
	Act        string `toml:"act" doc:"How far the node goes by itself: alarm: it tells operators; throttle: it slows the mailbox down for an hour, to a tenth of its messages a minute; block: where that happens again within a day it may not send until pecd mailbox unblock."`
	RateFactor int    `toml:"rate_factor" doc:"How many times the busiest hour of the last 14 days is unusual. An alarm alone, and not for mass tiers."`
	RateFloor  int    `toml:"rate_floor" doc:"Messages of an hour that are unusual for nobody."`
	Unknown    int    `toml:"unknown" doc:"Recipients that do not exist, of the last 50. For mass tiers an alarm alone."`
	Intercepts int    `toml:"intercepts" doc:"Messages refused for what is in them, such as a virus, within an hour."`
	Burst      int    `toml:"burst" doc:"Messages within ten minutes by a login that succeeded from a new network after many wrong passwords, and more than twice as many as in the busiest hour."`
}

func defaultConduct() ConductConfig {
	l := conduct.DefaultLimits()
	return ConductConfig{string(l.Act), l.RateFactor, l.RateFloor, l.Unknown, l.Intercepts, l.Burst}
}

func (c ConductConfig) limits() conduct.Limits {
	return conduct.Limits{Act: conduct.Reach(c.Act), RateFactor: c.RateFactor, RateFloor: c.RateFloor, Unknown: c.Unknown, Intercepts: c.Intercepts, Burst: c.Burst}
}

func (c ConductConfig) check() error {
	switch {
	case !oneOf(c.Act, string(conduct.Watch), string(conduct.Slow), string(conduct.Blocking)):
		return fmt.Errorf("conduct.act: %q is none of alarm, throttle, block", c.Act)
	case c.RateFactor < 2 || c.RateFloor < 1 || c.Intercepts < 1 || c.Burst < 1:
		return errors.New("[conduct]: rate_factor at least 2, the others positive")
	case c.Unknown < 1 || c.Unknown > 50:
		return errors.New("conduct.unknown: 1 to 50, of the last 50 recipients")
	}
	return nil
}

// keeper carries out what the watcher of mailboxes decides.
func (n *node) keeper() conduct.Keeper {
	return conduct.Keeper{Watcher: n.conduct, Actions: conductActions{n}, Clock: n.clock, Logger: n.log}
}

// conductActions is what the keeper does with the node.
type conductActions struct{ n *node }

// Busiest implements conduct.Actions.
func (a conductActions) Busiest(ctx context.Context, mailbox string, from, to time.Time) (most int, err error) {
	hours := make(map[int64]int)
	q := storage.RecordQuery{Mailbox: mailbox, Event: string(ledger.SubmissionAccepted), From: from, To: to}
	err = a.n.store.FindRecords(ctx, q, func(r storage.Record) error {
		h := r.At.Truncate(time.Hour).Unix()
		hours[h]++
		most = max(most, hours[h])
		return nil
	})
	return most, err
}

// Throttled implements conduct.Actions.
func (a conductActions) Throttled(ctx context.Context, mailbox, reason string) error {
	a.n.log.Warn("mailbox slowed down", "mailbox", mailbox, "reason", reason)
	e := ledger.Event{At: a.n.clock.Now(), Kind: ledger.SendThrottled, Mailbox: mailbox, Detail: reason}
	return a.n.store.Commit(ctx, new(storage.Step).Add(recordOf(e)))
}

// Block implements conduct.Actions.
func (a conductActions) Block(ctx context.Context, mailbox, reason string) error {
	a.n.log.Warn("mailbox may not send any more", "mailbox", mailbox, "reason", reason)
	return a.n.users.BlockSending(ctx, mailbox, reason)
}

// Blocked implements conduct.Actions. What a person blocked is no alarm.
func (a conductActions) Blocked(ctx context.Context, of ...string) (map[string]string, error) {
	all := make(map[string]string)
	note := func(m storage.Mailbox) error {
		if m.Block.On() && m.Block.By == "" {
			all[m.Address] = m.Block.Reason
		}
		return nil
	}
	if len(of) == 0 {
		return all, a.n.store.Mailboxes(ctx, "", note)
	}
	for _, address := range of {
		m, err := a.n.store.Mailbox(ctx, address)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := note(m); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Alarm implements conduct.Actions.
func (a conductActions) Alarm(text string) {
	if text == "" {
		a.n.alarms.Clear(alarm.MailboxConduct)
		return
	}
	a.n.alarms.Raise(alarm.MailboxConduct, text)
}

type mailboxBlockCmd struct {
	nodeFlag
	Address string `arg:"" help:"Mailbox."`
	Reason  string `required:"" help:"Why, as its holder is told: Italian first."`
}

// Run keeps a mailbox from sending.
func (c *mailboxBlockCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox block", c, openStore)
}

func (c *mailboxBlockCmd) do(ctx context.Context, k call) error {
	return k.node.users.BlockSending(ctx, c.Address, c.Reason)
}

type mailboxUnblockCmd struct {
	nodeFlag
	Address string `arg:"" help:"Mailbox."`
}

// Run lets a mailbox send again.
func (c *mailboxUnblockCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox unblock", c, openStore)
}

func (c *mailboxUnblockCmd) do(ctx context.Context, k call) error {
	if err := k.node.users.UnblockSending(ctx, c.Address); err != nil {
		return err
	}
	if k.node.conduct != nil {
		k.node.conduct.Unblocked(directory.LoginKey(c.Address))
	}
	return nil
}
