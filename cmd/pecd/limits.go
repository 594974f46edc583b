// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"pecd/metrics"
	"pecd/pipeline"
	"pecd/ratelimit"
	"pecd/storage"
)

// sentFor is how long it stays on record when a mailbox sent: longer than any
// window, whatever the clock does.
const sentFor = 48 * time.Hour

// openLimits makes the node's send limits: counted in this process, or with the
// other nodes through Redis.
func (n *node) openLimits(ctx context.Context) error {
	beyond, err := n.users.Beyond(ctx)
	if err != nil {
		return err
	}
	if len(beyond) > 0 {
		n.log.Warn("limits.message_bytes or limits.recipients is below what tiers have: their mailboxes may send less than was sold", "tiers", strings.Join(beyond, " "))
	}
	n.limitCounts = metrics.NewSendLimits(n.redisFigures)
	n.limits = &pipeline.SendLimits{Limiter: n.localLimiter(), Metrics: n.limitCounts}
	if n.redis == nil {
		return nil
	}
	id, err := n.store.Identity(ctx)
	if err != nil {
		return err
	}
	// A copy of a store that runs at the same time is another node.
	name := sha256.Sum256([]byte(n.cfg.Node))
	c := n.cfg.Redis
	n.sharedLimits = ratelimit.NewShared(ratelimit.SharedConfig{
		Config: ratelimit.Config{Clock: n.clock, Location: n.zone, Record: sentRecord{n.store}},
		Client: n.redis, Prefix: c.Prefix, Store: fmt.Sprintf("%s-%x", id.ID, name[:4]), Nodes: n.cfg.RateLimit.Nodes, Timeout: c.Timeout, Logger: n.log,
	})
	n.limits.Limiter = n.sharedLimits
	return nil
}

func (n *node) localLimiter() ratelimit.Limiter {
	return ratelimit.NewLocal(ratelimit.Config{Clock: n.clock, Location: n.zone, Record: sentRecord{n.store}})
}

// redisFigures are what the metrics tell of Redis: whether there is one, whether
// it answers, and whether the send limits are counted through it.
func (n *node) redisFigures() (configured, up, shared bool) {
	if n.redis == nil {
		return false, false, false
	}
	return true, n.redisUp.Load(), n.sharedLimits.InUse()
}

// sentRecord shows what the store has on record to the limiter, which knows
// mailboxes by their addresses.
type sentRecord struct{ store storage.Store }

// Sent implements ratelimit.Record.
func (r sentRecord) Sent(ctx context.Context, key string, from time.Time) ([]ratelimit.Entry, error) {
	box, err := r.store.Mailbox(ctx, key)
	if err != nil {
		return nil, err
	}
	counts, err := r.store.Sent(ctx, box.ID, from)
	if err != nil {
		return nil, err
	}
	entries := make([]ratelimit.Entry, len(counts))
	for i, c := range counts {
		entries[i] = ratelimit.Entry{At: c.At, Count: ratelimit.Count{Messages: c.Messages, Recipients: c.Recipients}}
	}
	return entries, nil
}

// Senders implements ratelimit.Record.
func (r sentRecord) Senders(ctx context.Context, from time.Time, fn func(key string) error) error {
	return r.store.SentTotals(ctx, from, func(t storage.SentTotal) error { return fn(t.Address) })
}

// purgeSent removes from the record what no window reaches any more.
func (n *node) purgeSent(ctx context.Context) {
	for {
		if err := n.purgeSentOnce(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("record of sending not purged", "error", err)
		}
		if !n.pause(ctx, purgeEvery) {
			return
		}
	}
}

func (n *node) purgeSentOnce(ctx context.Context) error {
	if n.clockDoubtful() {
		return nil // a wrong clock must not open a limit
	}
	before := n.clock.Now().Add(-sentFor)
	var old []storage.MailboxID
	err := n.store.SentTotals(ctx, time.Time{}, func(t storage.SentTotal) error {
		if t.First.Before(before) {
			old = append(old, t.Mailbox)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range old {
		for op := (&storage.PurgeSent{Mailbox: m, Before: before, Purged: 1}); op.Purged > 0; {
			if err := n.store.Commit(ctx, new(storage.Step).Add(op)); err != nil {
				return err
			}
		}
	}
	return nil
}
