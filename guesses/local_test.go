// SPDX-License-Identifier: EUPL-1.2

package guesses_test

import (
	"fmt"
	"testing"
	"time"

	"pecd/clock"
	"pecd/guesses"
)

func TestS4_Guesses_Local(t *testing.T) {
	contract(t, func(_ *testing.T, clk clock.Clock) guesses.Counter { return guesses.NewLocal(clk) })
}

// TestBounded: an attack from more networks than are counted neither grows the
// tables nor lets go of what it does at the end.
func TestBounded(t *testing.T) {
	c := guesses.NewLocal(clock.NewManual(time.Unix(1e9, 0)))
	for n := range 140_000 {
		if n%2 == 0 {
			c.Failed(t.Context(), stranger(n), fmt.Sprint("login", n), true)
		}
		c.Proved(t.Context(), stranger(n), fmt.Sprint("login", n))
	}
	clients, accounts, known := c.Sizes()
	if clients > 65536 || accounts > 65536 || known > 131072 || clients < 32768 || known < 65536 {
		t.Errorf("%d clients, %d accounts, %d with known networks", clients, accounts, known)
	}
	if c.Check(t.Context(), stranger(139_999), "login139999").Stranger {
		t.Error("the newest network is forgotten")
	}
}
