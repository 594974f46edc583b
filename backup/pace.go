// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"time"

	"pecd/clock"
)

// fileCost is what a file counts beside its bytes: opening, syncing and naming
// it keep the disk from others as well.
const fileCost = 64 << 10

// pace keeps a copy to a rate, so that it does not take the disk from the mail.
type pace struct {
	clk   clock.Clock
	rate  int64 // bytes a second; 0: no bound
	start time.Time
	spent int64
}

func newPace(clk clock.Clock, rate int64) *pace { return &pace{clk: clk, rate: rate, start: clk.Now()} }

// spend waits until n more bytes are due.
func (p *pace) spend(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil || p.rate <= 0 {
		return err
	}
	p.spent += int64(n)
	due := time.Duration(float64(p.spent) / float64(p.rate) * float64(time.Second))
	late := p.clk.Now().Sub(p.start) - due
	if late > time.Second { // what was not used up is not made up for in a rush
		p.start = p.start.Add(late)
	}
	if late >= 0 {
		return nil
	}
	timer, stop := p.clk.After(-late)
	defer stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer:
		return nil
	}
}
