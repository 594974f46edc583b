// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayFinds takes single syncs out of a recording: each time, what they
// were for is found to be missing.
func TestReplayFinds(t *testing.T) {
	rec := recordLoad(t)
	store := rec.node.store()
	rnd := seed(t)
	syncs := func(fits func(path string) bool) []int {
		return rec.where(func(c *call) bool { return c.syncs() && fits(strings.TrimPrefix(c.path, store+"/")) })
	}
	everything := loss{}
	for name, c := range map[string]struct {
		syncs []int
		loss  loss
		next  bool   // crash before the next sync of the kind, else at the end
		want  string // part of what is found
	}{
		"of the log":       {syncs(func(p string) bool { return p == "pecd.db-wal" }), everything, true, "was answered 250"},
		"of a file":        {syncs(func(p string) bool { return strings.HasPrefix(p, "spool/") }), everything, false, "blob"},
		"of a file's name": {syncs(func(p string) bool { return filepath.Dir(p) == "blobs" }), loss{strict: true}, false, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.syncs) < 2 {
				t.Fatalf("%d syncs in the recording", len(c.syncs))
			}
			tried := 0
			// What one sync was for may be gone by the end: the next one is tried.
			for i := len(c.syncs) - 1; i >= 0 && tried < 40; i-- {
				cut := len(rec.calls) - 1
				if c.next {
					if i == len(c.syncs)-1 || !rec.toldBetween(c.syncs[i], c.syncs[i+1]) {
						continue
					}
					cut = c.syncs[i+1]
				}
				tried++
				var problems []string
				rec.crash(t, []int{cut}, map[int]bool{c.syncs[i]: true}, func(at crashed) { problems = at.judge(t, c.loss, rnd) })
				if got := strings.Join(problems, "\n"); problems != nil && strings.Contains(got, c.want) {
					t.Logf("sync %d left out, the %d. tried: %.200s", c.syncs[i], tried, got)
					return
				}
			}
			t.Errorf("a sync is left out, and nothing is missing in %d trials", tried)
		})
	}
}

// toldBetween reports whether a client read a 250 after one call was over and
// before another one began.
func (rec *recording) toldBetween(from, to int) bool {
	for _, e := range rec.books {
		// The answer is written after the sync: its call ended before the client read it.
		if e.told == accepted && e.ended.After(rec.calls[from].at) && e.ended.Before(rec.calls[to].at) {
			return true
		}
	}
	return false
}
