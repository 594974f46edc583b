// SPDX-License-Identifier: EUPL-1.2

package guesses_test

import (
	"fmt"
	"testing"
	"time"

	"pecd/clock"
	"pecd/guesses"
)

func TestLocal(t *testing.T) {
	contract(t, func(_ *testing.T, clk clock.Clock) guesses.Counter { return guesses.NewLocal(clk) })
}

// TestBounded: an attack from more networks than are counted neither grows the
// tables nor lets go of what it does at the end.
func TestBounded(t *testing.T) {
	c := guesses.NewSmall(clock.NewManual(time.Unix(1e9, 0)), 64, 128)
	for n := range 1000 {
		c.Failed(t.Context(), stranger(n), fmt.Sprint("login", n), true)
		c.Proved(t.Context(), stranger(n), fmt.Sprint("login", n))
	}
	clients, _, known := c.Sizes()
	if clients > 64 || known > 128 || clients < 32 || known < 64 {
		t.Errorf("%d clients, %d accounts with known networks", clients, known)
	}
	if c.Check(t.Context(), stranger(999), "login999").Stranger {
		t.Error("the newest network is forgotten")
	}
}
