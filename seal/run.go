// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"fmt"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/storage"
)

const (
	// What failed is tried again after firstWait, then ever more rarely.
	firstWait, longestWait = time.Minute, time.Hour
	// idleWait is the longest sleep: the machine's clock may be set, and a
	// machine may sleep.
	idleWait = time.Hour
	// patience is how long a day may stay unsealed, or a seal unstamped, before
	// an alarm is raised.
	patience = time.Hour
)

// Run closes every day shortly after its midnight, has the seals stamped, and
// removes what was kept long enough, until ctx ends. Days missed meanwhile are
// closed first, each by its own seal. Failures are logged and tried again.
//
// It begins after a minute: until then the clock of a machine that was just
// started has been held against others, which decides whether a day is closed.
func (d *Daybook) Run(ctx context.Context) {
	failed := 0
	for d.sleep(ctx, firstWait); ctx.Err() == nil; d.sleep(ctx, d.wait(failed)) {
		if d.turn(ctx) {
			failed = 0
		} else {
			failed++
		}
	}
}

func (d *Daybook) sleep(ctx context.Context, long time.Duration) {
	wake, stop := d.cfg.Clock.After(long)
	defer stop()
	select {
	case <-ctx.Done():
	case <-wake:
	}
}

// wait is how long Run sleeps: to the next day's closing, or to the next trial
// if that comes first.
func (d *Daybook) wait(failed int) time.Duration {
	longest := idleWait
	if failed > 0 {
		longest = min(firstWait<<min(failed-1, 10), longestWait)
	}
	now := d.cfg.Clock.Now()
	next := endOf(dayOf(now.Add(-settle), d.cfg.Zone), d.cfg.Zone).Add(settle)
	return min(longest, next.Sub(now))
}

// turn does once what there is to do; what fails does not keep the rest back.
// It reports whether everything was done.
func (d *Daybook) turn(ctx context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Clock.Now()
	due, closeErr := d.closeDays(ctx, now.Add(-settle))
	oldest, stampErr := d.stampSeals(ctx)
	purgeErr := d.purge(ctx)
	if ctx.Err() != nil {
		return false // cut off: that says nothing
	}
	d.tellDays(now, due, closeErr)
	d.tellStamps(now, oldest, stampErr)
	if purgeErr != nil {
		d.cfg.Logger.Error("old days of the log not purged", "error", purgeErr)
	}
	return closeErr == nil && stampErr == nil && purgeErr == nil
}

func (d *Daybook) tellDays(now, due time.Time, err error) {
	if err == nil {
		d.cfg.Alarms.Clear(alarm.SealOverdue)
		return
	}
	d.cfg.Logger.Error("day of the log not sealed", "error", err)
	text := fault.TextOf(err)
	switch {
	case !due.IsZero() && now.Sub(due) < patience:
	case text != "":
		d.cfg.Alarms.Raise(alarm.SealOverdue, text)
	case due.IsZero():
		d.cfg.Alarms.Raise(alarm.SealOverdue, fmt.Sprintf("log PEC illeggibile (%s) / PEC log unreadable", fault.KindOf(err)))
	default:
		day := dayOf(due.Add(-1), d.cfg.Zone).Format(time.DateOnly)
		d.cfg.Alarms.Raise(alarm.SealOverdue, fmt.Sprintf("log PEC del %s non ancora sigillato (%s) / PEC log not yet sealed", day, fault.KindOf(err)))
	}
}

func (d *Daybook) tellStamps(now time.Time, oldest storage.Seal, err error) {
	if err == nil {
		d.cfg.Alarms.Clear(alarm.StampOverdue)
		return
	}
	d.cfg.Logger.Error("sealed day of the log not stamped", "number", oldest.Number, "error", err)
	if oldest.Number > 0 && now.Sub(oldest.At) >= patience {
		d.cfg.Alarms.Raise(alarm.StampOverdue, fmt.Sprintf(
			"log PEC del %s senza marca temporale (%s) / PEC log without time stamp", oldest.Day, fault.KindOf(err)))
	}
}
