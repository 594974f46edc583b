// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"testing"
	"time"

	"pecd/clock"
)

func TestCache(t *testing.T) {
	clk := clock.NewManual(time.Unix(0, 0))
	c := newCache[int](clk, time.Second, 2)
	has := func(key string, want int, wantOK bool) {
		t.Helper()
		if v, _, ok := c.get(key); ok != wantOK || v != want {
			t.Errorf("%s: %d, %v", key, v, ok)
		}
	}
	_, mark, _ := c.get("a")
	c.put("a", 1, mark)
	c.put("b", 2, mark)
	has("a", 1, true)
	c.put("c", 3, mark) // b is the one used longest ago
	has("b", 0, false)
	has("a", 1, true)
	has("c", 3, true)
	c.put("a", 4, mark)
	has("a", 4, true)
	if len(c.items) != 2 || c.order.Len() != 2 {
		t.Errorf("%d items, %d in order", len(c.items), c.order.Len())
	}

	// A value read before a change does not come back after it.
	_, mark, _ = c.get("x")
	c.drop("a", "absent")
	has("a", 0, false)
	c.put("a", 1, mark)
	has("a", 0, false)

	// Use keeps nothing for longer, unless that was asked for.
	clk.Advance(time.Second / 2)
	has("c", 3, true)
	clk.Advance(time.Second / 2)
	has("c", 0, false)
	_, mark, _ = c.get("slides")
	c.putFor(2*time.Second, "slides", 5, mark)
	for range 3 {
		clk.Advance(time.Second / 2)
		has("slides", 5, true)
	}
	clk.Advance(time.Second / 2)
	has("slides", 0, false)
	c.putFor(2*time.Second, "slides", 6, mark)
	clk.Advance(time.Second)
	has("slides", 0, false)
	if len(c.items) != 0 {
		t.Errorf("%d items", len(c.items))
	}
}
