// SPDX-License-Identifier: EUPL-1.2

package conduct

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"pecd/clock"
)

// Kind says what is to be done.
type Kind uint8

// The kinds.
const (
	Look      Kind = iota // find out how much the mailbox sends usually
	Throttled             // record that it is slowed down, which it is already
	Block                 // block it
)

// Act is something to be done about a mailbox.
type Act struct {
	Kind    Kind
	Mailbox string
	Pattern Pattern
}

func (w *Watcher) act(a Act) {
	w.acts = append(w.acts, a)
	w.wake()
}

// wake tells the Keeper that something changed. It is called with the lock held.
func (w *Watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Actions are what a Keeper does with the rest of the program.
type Actions interface {
	// Busiest returns the most messages that a mailbox had accepted in one hour
	// from an instant on and before another.
	Busiest(ctx context.Context, mailbox string, from, to time.Time) (int, error)
	// Throttled records that a mailbox is slowed down.
	Throttled(ctx context.Context, mailbox, reason string) error
	// Block keeps a mailbox from sending.
	Block(ctx context.Context, mailbox, reason string) error
	// Blocked lists the mailboxes that were blocked so, with the reason; of all, or
	// of those that are named.
	Blocked(ctx context.Context, of ...string) (map[string]string, error)
	// Alarm says what operators should look at, "" for nothing.
	Alarm(text string)
}

// Keeper carries out what a Watcher decides.
type Keeper struct {
	Watcher *Watcher
	Actions Actions
	Clock   clock.Clock
	Logger  *slog.Logger
}

const (
	tick    = time.Minute
	soon    = 5 * time.Second // after something failed
	maxTold = 5               // addresses in the alarm
)

// Run carries out what is decided until ctx ends. What fails is tried again: until
// then the Watcher alone keeps a blocked mailbox from sending.
func (k Keeper) Run(ctx context.Context) {
	for !k.recall(ctx) {
		if !k.wait(ctx, soon) {
			return
		}
	}
	pause := tick
	for {
		k.Actions.Alarm(k.Watcher.Told())
		if !k.wait(ctx, pause) {
			return
		}
		pause = tick
		if !k.turn(ctx) {
			pause = soon
		}
	}
}

// wait returns when something changed, after d, or false at the end.
func (k Keeper) wait(ctx context.Context, d time.Duration) bool {
	fire, release := k.Clock.After(d)
	defer release()
	select {
	case <-k.Watcher.changed:
	case <-fire:
	case <-ctx.Done():
		return false
	}
	return true
}

// recall learns which mailboxes were blocked before the start, for the alarm.
func (k Keeper) recall(ctx context.Context) bool {
	all, err := k.Actions.Blocked(ctx)
	if err != nil {
		k.Logger.Error("conduct: blocked mailboxes are not known yet", "error", err)
		return false
	}
	k.Watcher.mu.Lock()
	defer k.Watcher.mu.Unlock()
	for m, reason := range all {
		k.Watcher.blocked[m] = Pattern(reason)
	}
	return true
}

// turn does what is to be done, and notes who was unblocked elsewhere. It reports
// false where something is left.
func (k Keeper) turn(ctx context.Context) bool {
	w := k.Watcher
	w.mu.Lock()
	acts := w.acts
	w.acts = nil
	settled := make([]string, 0, len(w.blocked))
	for m := range w.blocked {
		if !slices.ContainsFunc(acts, func(a Act) bool { return a.Kind == Block && a.Mailbox == m }) {
			settled = append(settled, m)
		}
	}
	w.mu.Unlock()
	var left []Act
	for _, a := range acts {
		if err := k.do(ctx, a); err != nil {
			k.Logger.Error("conduct: tried again soon", "mailbox", a.Mailbox, "error", err)
			left = append(left, a)
		}
	}
	if len(left) > 0 {
		w.mu.Lock()
		w.acts = append(left, w.acts...)
		w.mu.Unlock()
		return false
	}
	if len(settled) == 0 {
		return true
	}
	still, err := k.Actions.Blocked(ctx, settled...)
	if err != nil {
		k.Logger.Error("conduct: blocked mailboxes are not looked at", "error", err)
		return false
	}
	for _, m := range settled {
		if _, on := still[m]; !on {
			w.Unblocked(m)
		}
	}
	return true
}

func (k Keeper) do(ctx context.Context, a Act) error {
	switch a.Kind {
	case Look:
		now := k.Clock.Now()
		busiest, err := k.Actions.Busiest(ctx, a.Mailbox, now.AddDate(0, 0, -habitDays), now.Truncate(time.Hour))
		if err == nil {
			k.Watcher.Habit(a.Mailbox, busiest)
		}
		return err
	case Throttled:
		return k.Actions.Throttled(ctx, a.Mailbox, string(a.Pattern))
	}
	err := k.Actions.Block(ctx, a.Mailbox, string(a.Pattern))
	if err == nil {
		k.Watcher.stored(a.Mailbox)
	}
	return err
}

// stored notes that the store keeps the mailbox from sending.
func (w *Watcher) stored(mailbox string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.boxes[mailbox]; b != nil {
		b.stored = true
	}
}

// Told is the alarm's text: how many mailboxes look wrong, and the first of them,
// the worst first; "" for none.
func (w *Watcher) Told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	w.sweep(now)
	var lines, slow, odd []string
	for _, m := range slices.Sorted(maps.Keys(w.blocked)) {
		lines = append(lines, fmt.Sprintf("%s: bloccata / blocked (%s)", m, w.blocked[m]))
	}
	for _, m := range slices.Sorted(maps.Keys(w.boxes)) {
		b := w.boxes[m]
		_, listed := w.blocked[m]
		switch {
		case listed:
		case b.throttled(now):
			slow = append(slow, fmt.Sprintf("%s: rallentata / slowed down (%s)", m, b.throttledBy))
		case now.Before(b.unusualTill):
			odd = append(odd, fmt.Sprintf("%s (%s)", m, b.unusual))
		}
	}
	lines = append(append(lines, slow...), odd...)
	if len(lines) == 0 {
		return ""
	}
	text := fmt.Sprintf("caselle con invii insoliti / mailboxes that send unusually: %d: ", len(lines))
	if len(lines) > maxTold {
		lines = append(lines[:maxTold], "…")
	}
	return text + strings.Join(lines, "; ")
}
