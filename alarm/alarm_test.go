// SPDX-License-Identifier: EUPL-1.2

package alarm_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
)

// TestBoard: an alarm lasts from its first raising to its clearing, and each
// change is logged once.
func TestBoard(t *testing.T) {
	var out bytes.Buffer
	clk := clock.NewManual(time.Unix(1e9, 0))
	b := alarm.NewBoard(clk, slog.New(slog.NewTextHandler(&out, nil)))
	b.Clear(alarm.IndexStale)
	b.Raise(alarm.StampOverdue, "no answer")
	b.Raise(alarm.IndexStale, "since yesterday")
	clk.Advance(time.Minute)
	b.Raise(alarm.StampOverdue, "no answer")
	b.Raise(alarm.StampOverdue, "refused")
	got := b.Raised()
	if len(got) != 2 || got[0].Name != alarm.IndexStale || got[1].Text != "refused" || !got[1].Since.Equal(time.Unix(1e9, 0)) {
		t.Fatalf("raised: %+v", got)
	}
	b.Clear(alarm.IndexStale)
	b.Clear(alarm.IndexStale)
	if got := b.Raised(); len(got) != 1 {
		t.Fatalf("after clearing: %+v", got)
	}
	var seen []string
	for _, c := range b.Changes() {
		seen = append(seen, fmt.Sprint(c.Name, c.Raised))
	}
	if want := "[timestamp_overduetrue index_staletrue index_stalefalse]"; fmt.Sprint(seen) != want {
		t.Errorf("changes %v, want %s", seen, want)
	}
	select {
	case <-b.Changed():
	default:
		t.Error("nobody was told of the changes")
	}
	if len(b.Changes()) != 0 {
		t.Error("changes are handed out twice")
	}
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines logged, want 4:\n%s", n, out.String())
	}
}
