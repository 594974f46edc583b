// SPDX-License-Identifier: EUPL-1.2

package clock_test

import (
	"testing"
	"time"

	"pecd/clock"
)

func TestManual(t *testing.T) {
	start := time.Unix(1e9, 0)
	m := clock.NewManual(start)
	at, _ := m.After(time.Minute)
	gone, stop := m.After(time.Minute)
	stop()
	now, _ := m.After(0)
	if got := <-now; !got.Equal(start) {
		t.Errorf("a wait of nothing ended at %v", got)
	}
	m.Advance(59 * time.Second)
	select {
	case <-at:
		t.Error("woken too early")
	default:
	}
	m.Advance(2 * time.Second)
	if got := <-at; !got.Equal(start.Add(61*time.Second)) || !m.Now().Equal(got) {
		t.Errorf("woken at %v, clock at %v", got, m.Now())
	}
	select {
	case <-gone:
		t.Error("a stopped wait was woken")
	default:
	}
}
