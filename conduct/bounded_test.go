// SPDX-License-Identifier: EUPL-1.2

package conduct_test

import (
	"fmt"
	"testing"
	"time"

	"pecd/clock"
	"pecd/conduct"
	"pecd/fault"
)

// TestBounded: more mailboxes than are watched neither grow the table nor are
// kept from sending.
func TestBounded(t *testing.T) {
	w := conduct.New(clock.NewManual(time.Unix(1e9, 0)), conduct.DefaultLimits())
	for n := range 30_000 {
		w.Outcome(fmt.Sprint(n), time.Unix(1e9, 0), 1, 0)
		w.Pressed(fmt.Sprint(n))
	}
	if n := w.Size(); n != 20_000 {
		t.Errorf("%d mailboxes", n)
	}
	if err := w.MaySend("29999", true, fifty); err != nil {
		t.Error(err)
	}
}

// TestBoundedSees: where more mailboxes send than are watched, those of which there
// is nothing to say make room: one that looks stolen is seen, and is not forgotten.
func TestBoundedSees(t *testing.T) {
	clk := clock.NewManual(time.Unix(1e9, 0))
	w := conduct.New(clk, conduct.DefaultLimits())
	ordinary := func(from int) {
		for n := range 21_000 {
			w.Submitted(conduct.Sent{Mailbox: fmt.Sprint(from + n), Login: fmt.Sprint(from + n)})
		}
	}
	slow := func() bool {
		refused := false
		for range 6 {
			refused = refused || fault.Is(w.MaySend(anna, true, fifty), fault.Limited)
		}
		return refused
	}
	ordinary(0)
	for range 15 {
		w.Outcome(anna, clk.Now(), 0, 1)
	}
	ordinary(100_000) // half of what it takes is not forgotten either
	for range 15 {
		w.Outcome(anna, clk.Now(), 0, 1)
	}
	if !slow() {
		t.Fatal("30 recipients that do not exist were not seen")
	}
	ordinary(200_000)
	clk.Advance(time.Minute)
	if !slow() {
		t.Error("forgotten")
	}
}
