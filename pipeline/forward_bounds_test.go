// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// A flood of mail costs a mailbox the forwards of that day and the next one, and
// none of later days.
func TestForwardsAfterAFlood(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	p := w.at(bruno)
	tier, err := p.users.Tier(context.Background(), "standard")
	check(t, err)
	tier.MaxPerMinute, tier.MaxPerDay = 5, 5
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	w.clock.Advance(time.Minute)
	ordinary := func(n int) {
		t.Helper()
		check(t, w.receive(dario, []string{bruno}, []byte(fmt.Sprintf("From: %s\r\nTo: %s\r\nMessage-ID: <%d@x.example>\r\n\r\nx\r\n", dario, bruno, n))))
	}
	for n := range 40 {
		ordinary(n)
	}
	w.until(w.clock.Now().Add(50 * time.Hour))
	if n := len(w.outside); n != 10 {
		t.Errorf("%d of the flood have gone out", n)
	}
	ordinary(99)
	w.until(w.clock.Now().Add(time.Minute))
	if n := len(w.outside); n != 11 {
		t.Errorf("%d have gone out two days later", n)
	}
	w.clean()
}

// Whoever writes marks into his mail makes no more notices than one a day.
func TestForgedMarksAreToldOnce(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	for n := range 5 {
		check(t, w.receive(dario, []string{bruno}, []byte(fmt.Sprintf(
			"X-Sieve-Redirected-From: finto%d@x.example\r\nX-Sieve-Redirected-From: %s\r\nFrom: %s\r\nMessage-ID: <%d@x.example>\r\n\r\nx\r\n", n, bruno, dario, n))))
	}
	w.settle()
	w.holds(bruno, "INBOX 6")
	if stopped := w.at(bruno).records(ledger.ForwardStopped); len(stopped) != 5 || !strings.Contains(stopped[4].Detail, "finto4@x.example") {
		t.Errorf("on record: %+v", stopped)
	}
	w.clean()
}
