// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// journal is what a recording says of the store's log, for each message: the
// first write that has its Message-ID in it, and the sync that covers it.
type journal struct {
	calls []call
	logs  []int // writes of pecd.db-wal
	syncs []int // syncs of it
}

func (rec *recording) journal() *journal {
	log := filepath.Join(rec.node.store(), "pecd.db-wal")
	return &journal{
		calls: rec.calls,
		logs:  rec.where(func(c *call) bool { return c.path == log && strings.Contains(c.name, "write") }),
		syncs: rec.where(func(c *call) bool { return c.path == log && c.syncs() }),
	}
}

// written is the first write of the log with a message's Message-ID; nil: none,
// where the identifier lies on two pages.
func (j *journal) written(id string) *call {
	for _, i := range j.logs {
		if bytes.Contains(j.calls[i].data, []byte(id)) {
			return &j.calls[i]
		}
	}
	return nil
}

// covered is the first sync that began when a write was over; nil: none.
func (j *journal) covered(write *call) *call {
	for _, i := range j.syncs {
		if j.calls[i].begin > write.end {
			return &j.calls[i]
		}
	}
	return nil
}

// early returns the messages whose 250 came before the sync that covers them
// was over, and how many were looked at.
func (rec *recording) early(j *journal) (found []string, checked, inClear int) {
	answers := rec.where(func(c *call) bool {
		return strings.HasPrefix(c.path, "socket:") && bytes.HasPrefix(c.data, []byte("250 2.0.0 ")) && bytes.Contains(c.data, []byte("delivered as anomaly"))
	})
	for _, e := range answered(rec.books) {
		write := j.written(e.id)
		if write == nil {
			continue
		}
		checked++
		sync := j.covered(write)
		// Under TLS the answer is not seen: the client's own time counts.
		if sync == nil || sync.done.After(e.ended) {
			found = append(found, e.id)
			continue
		}
		if !e.mx {
			continue
		}
		// Ordinary mail comes one by one, in clear: its answer is the last one
		// that was written when the client had read it.
		var answer *call
		for _, i := range answers {
			if rec.calls[i].at.Before(e.ended) && (answer == nil || rec.calls[i].begin > answer.begin) {
				answer = &rec.calls[i]
			}
		}
		if answer == nil || answer.begin < write.begin {
			continue // not seen
		}
		if inClear++; sync.end >= answer.begin {
			found = append(found, e.id)
		}
	}
	return found, checked, inClear
}

// TestAnswerFollowsSync: under load of many clients, no message is answered 250
// before the sync of the log that covers it is over.
func TestAnswerFollowsSync(t *testing.T) {
	rec := recordLoad(t)
	j := rec.journal()
	found, checked, inClear := rec.early(j)
	if found != nil {
		t.Errorf("answered before the sync that covers them: %v", found)
	}
	all := len(answered(rec.books))
	t.Logf("%d of %d messages answered 250 found in the log, %d of them answered in clear; %d syncs of the log", checked, all, inClear, len(j.syncs))
	if checked < all*3/4 || inClear == 0 {
		t.Errorf("too few messages are found in the log")
	}

	// With every other sync taken out of sight the next one comes too late for some.
	var fewer []int
	for i, s := range j.syncs {
		if i%2 == 0 {
			fewer = append(fewer, s)
		}
	}
	j.syncs = fewer
	if found, _, _ := rec.early(j); found == nil {
		t.Error("half of the syncs are missing, and nothing is found")
	}
}
