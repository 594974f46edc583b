// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKillUnderLoad is acceptance line 6: kill -9 in the middle of submissions
// at concurrency 16, restart, `pecd verify` is clean, and every submission
// answered 250 has exactly one acceptance and one outcome per recipient.
func TestKillUnderLoad(t *testing.T) {
	submissions, kills := 160, 1
	if long() {
		submissions, kills = 500, 3
	}
	for round := range kills {
		t.Run(fmt.Sprintf("round %d", round+1), func(t *testing.T) { killUnderLoad(t, submissions, round) })
	}
}

const loadWorkers = 16

// sending is one submission of the load and what became of it.
type sending struct {
	id       string
	from     account
	to       []account
	answered bool // 250 at the end of DATA
}

func killUnderLoad(t *testing.T, submissions, round int) {
	d := newDemo(t, "--quiet", "--all-tier", "xl")
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	l := &load{addr: d.get(t, "ALFA_SUBMISSION"), cfg: d.tls(t, host), password: d.password(t)}
	var plan []*sending
	for i := range submissions {
		s := &sending{id: newMsgID(), from: d.standard(t, "ALFA", 1+i%loadWorkers)}
		// Each message has a recipient at each provider, so that both the
		// local and the relayed way are hit.
		s.to = []account{d.standard(t, "BETA", 1+i%20), d.standard(t, "ALFA", 20+i%20)}
		plan = append(plan, s)
	}

	// Kill once a part of the answers is in: another moment every round.
	threshold := int64(submissions) * int64(2+round) / 8
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for l.answered.Load() < threshold && !l.done.Load() {
			time.Sleep(time.Millisecond)
		}
		d.kill()
		l.down.Store(true)
	}()
	l.run(plan)
	<-killed
	before := l.answered.Load()
	if before < threshold || before == int64(submissions) {
		t.Fatalf("%d of %d submissions were answered before the kill; it did not hit the middle", before, submissions)
	}
	t.Logf("killed after %d answers", before)

	d.restart(t)
	l.down.Store(false)
	var rest []*sending
	for _, s := range plan {
		if !s.answered {
			// What got no answer may be there or not; the client would send it again as a new message.
			rest = append(rest, &sending{id: newMsgID(), from: s.from, to: s.to})
		}
	}
	l.run(rest)
	for _, s := range rest {
		if !s.answered {
			t.Errorf("%s was not accepted after the restart", s.id)
		}
	}
	checkOutcomes(t, d, append(plan, rest...))
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		verifyClean(t, filepath.Join(d.dir, name))
	}
}

// load submits messages over 16 connections.
type load struct {
	addr, password string
	cfg            *tls.Config
	answered       atomic.Int64
	down, done     atomic.Bool
}

// run returns when every sending was tried once, or the server is gone.
func (l *load) run(list []*sending) {
	l.done.Store(false)
	work := make(chan *sending)
	var workers sync.WaitGroup
	for range loadWorkers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for s := range work {
				if l.down.Load() {
					continue
				}
				if l.send(s) {
					s.answered = true
					l.answered.Add(1)
				}
			}
		}()
	}
	for _, s := range list {
		work <- s
	}
	close(work)
	workers.Wait()
	l.done.Store(true)
}

func (l *load) send(s *sending) bool {
	c, err := openSubmission(l.addr, l.cfg, s.from.address, l.password)
	if err != nil {
		return false
	}
	defer c.Close()
	m := letter{id: s.id, from: s.from.address, subject: "Carico " + s.id, attached: []attachment{pdf(5_000)}}
	for _, a := range s.to {
		m.to = append(m.to, a.address)
	}
	if r := c.envelope(s.from.address, m.to); !r.positive() {
		return false
	}
	return c.data(bytes.NewReader(m.bytes())).code == 250
}

// checkOutcomes waits until everything answered has its receipts and the boxes
// stay quiet, then counts.
func checkOutcomes(t *testing.T, d *demo, all []*sending) {
	t.Helper()
	boxes := map[string]*inbox{}
	for _, s := range all {
		for _, a := range append([]account{s.from}, s.to...) {
			if boxes[a.address] == nil {
				boxes[a.address] = d.openInbox(t, a)
			}
		}
	}
	type tally struct{ accepted, outcomes, envelopes, other int }
	count := func() (map[string]*tally, int) {
		total := 0
		tallies := map[string]*tally{}
		for address, in := range boxes {
			for _, m := range in.refresh() {
				total++
				id := m.header.Get("X-Riferimento-Message-Id")
				if tallies[id] == nil {
					tallies[id] = &tally{}
				}
				switch kind := m.header.Get("X-Ricevuta") + m.header.Get("X-Trasporto"); kind {
				case "accettazione":
					tallies[id].accepted++
				case "avvenuta-consegna":
					tallies[id].outcomes++
				case "posta-certificata":
					tallies[id].envelopes++
				default:
					t.Logf("%s: %s %q", address, kind, m.subject())
					tallies[id].other++
				}
			}
		}
		return tallies, total
	}
	complete := func(s *sending, got *tally) bool {
		n := len(s.to)
		return got != nil && got.accepted == 1 && got.outcomes == n && got.envelopes == n && got.other == 0
	}
	var tallies map[string]*tally
	until(t, 4*minute, "all receipts", func() (bool, string) {
		tallies, _ = count()
		missing := 0
		for _, s := range all {
			if got := tallies[s.id]; s.answered && (got == nil || got.accepted < 1 || got.outcomes < len(s.to) || got.envelopes < len(s.to)) {
				missing++
			}
		}
		return missing == 0, fmt.Sprintf("%d answered submissions incomplete", missing)
	})
	// A second receipt would come late: wait until nothing moves any more.
	_, last := count()
	quiet := time.Now()
	for time.Since(quiet) < 5*time.Second {
		time.Sleep(500 * time.Millisecond)
		var total int
		if tallies, total = count(); total != last {
			last, quiet = total, time.Now()
		}
	}
	for _, s := range all {
		got := tallies[s.id]
		switch {
		case s.answered && !complete(s, got):
			t.Errorf("%s answered 250: %+v, want 1 acceptance, %d outcomes, %d envelopes", s.id, got, len(s.to), len(s.to))
		case !s.answered && got != nil && !complete(s, got):
			t.Errorf("%s without answer is half there: %+v", s.id, got)
		}
	}
}
