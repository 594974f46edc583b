// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

const (
	// sampledAtOnce is how many numbers of mailboxes one commit covers.
	sampledAtOnce = 500
	// sampleStart is how long after its start a node looks for samples that lack.
	sampleStart = 5 * time.Minute
	// sampleAfter is how long after midnight samples are taken.
	sampleAfter = time.Minute
	sampleRetry = 10 * time.Minute
	sampleLook  = time.Hour // at most, whatever the clock did meanwhile
)

// sampleUsage records once a day how much each mailbox holds.
func (n *node) sampleUsage(ctx context.Context) {
	done := ""
	for wait := sampleStart; n.pause(ctx, wait); {
		now := n.clock.Now().In(n.zone)
		day := now.Format(time.DateOnly)
		wait = untilSample(now)
		if day == done {
			continue
		}
		if err := n.takeSamples(ctx, now); err != nil {
			if ctx.Err() == nil {
				n.log.Error("samples of use not taken", "error", err)
			}
			wait = sampleRetry
			continue
		}
		done = day
	}
}

// untilSample is how long to wait before the next look.
func untilSample(now time.Time) time.Duration {
	y, m, d := now.Date()
	next := time.Date(y, m, d+1, 0, 0, 0, 0, now.Location()).Add(sampleAfter)
	return min(next.Sub(now), sampleLook)
}

// takeSamples records the samples of a day of legal time that are not there yet. A
// clock that is known to be off would put them into the wrong day: Temporary.
func (n *node) takeSamples(ctx context.Context, now time.Time) error {
	const op = "pecd.takeSamples"
	if slices.ContainsFunc(n.alarms.Raised(), func(a alarm.Alarm) bool { return a.Name == alarm.ClockDeviation }) {
		return fault.New(op, fault.Temporary, fmt.Errorf("the clock is off"))
	}
	tiers, err := n.store.Tiers(ctx)
	if err != nil {
		return err
	}
	day := now.Format(time.DateOnly)
	groups := make(map[storage.MailboxID][]storage.Op)
	err = n.store.Mailboxes(ctx, "", func(m storage.Mailbox) error {
		if m.State != storage.MailboxClosed {
			group := (m.ID - 1) / sampledAtOnce
			groups[group] = append(groups[group], recordOf(sampleOf(m, tiers, n.clock.Now())))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		// The claim is on the numbers, whose mailboxes do not change with what is created.
		claim := &storage.Once{Keys: []string{fmt.Sprintf("usage|%s|%d", day, g)}, At: now}
		step := &storage.Step{Ops: append([]storage.Op{claim}, groups[g]...)}
		if err := n.store.Commit(ctx, step); err != nil && !fault.Is(err, fault.Exists) {
			return err
		}
	}
	return nil
}

// sampleOf tells how much a mailbox holds, of how much.
func sampleOf(m storage.Mailbox, tiers []storage.Tier, at time.Time) ledger.Event {
	f, _ := storage.FiguresOf(tiers, m)
	return ledger.Event{
		At: at, Kind: ledger.UsageSample, Mailbox: m.Address, Domain: m.Domain, To: string(m.State),
		Size: m.Used, Messages: m.Messages, Detail: fmt.Sprintf("tier=%s quota=%d", m.Tier, f.QuotaBytes),
	}
}

// countedFor is how long counts of mailboxes are told again.
const countedFor = time.Minute

// population counts mailboxes for the metrics, at most once a minute.
type population struct {
	mu     sync.Mutex
	until  time.Time
	counts []storage.MailboxCount
}

// countMailboxes is how many mailboxes there are, at most a minute ago; the last
// that is known where the store cannot tell.
func (n *node) countMailboxes() []storage.MailboxCount {
	n.people.mu.Lock()
	defer n.people.mu.Unlock()
	if now := n.clock.Now(); !now.Before(n.people.until) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		counts, err := n.store.CountMailboxes(ctx)
		if err != nil {
			n.log.Warn("mailboxes not counted", "error", err)
			return n.people.counts
		}
		n.people.counts, n.people.until = counts, now.Add(countedFor)
	}
	return n.people.counts
}
