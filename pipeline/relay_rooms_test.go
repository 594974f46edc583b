// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

// stage is a relay whose attempts last until the test ends them.
type stage struct {
	*provider
	rp      *pipeline.RelayPoint
	entered chan string // domains
	results map[string]chan pipeline.Contact
	done    chan error
	body    storage.Job // whose message is sent
}

// newStage has a play at most destinations at once that have not answered.
func newStage(t *testing.T, unproven, ordinary int) *stage {
	w := newWorld(t)
	s := &stage{provider: w.at(anna), entered: make(chan string, 100), results: map[string]chan pipeline.Contact{}, done: make(chan error, 100)}
	w.send(1, dario)
	s.body = s.take(1)[0]
	s.rp = pipeline.NewRelayPoint(s.core, scripted(func(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
		s.entered <- d.Domain
		w.mu.Lock()
		result := s.results[d.Domain]
		w.mu.Unlock()
		if c := <-result; c != pipeline.Answered {
			return answer(d, c, later())
		}
		return answer(d, pipeline.Answered, later())
	}))
	s.rp.MaxUnproven, s.rp.MaxOrdinary = unproven, ordinary
	return s
}

// begin hands a job of a destination to the relay and reports whether it is
// being tried. What it is tried with is the same for all.
func (s *stage) begin(domain string) bool {
	s.w.t.Helper()
	j := s.body
	j.Lane = domain
	if domain == "beta.example" {
		j.Payload = []byte(strings.Replace(string(j.Payload), `"env":true`, `"env":true,"pec":true`, 1))
	}
	s.w.mu.Lock()
	if s.results[domain] == nil {
		s.results[domain] = make(chan pipeline.Contact)
	}
	s.w.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		err := s.rp.Relay(context.Background(), j)
		close(ended)
		s.done <- err
	}()
	select {
	case <-s.entered:
		return true
	case <-ended:
		check(s.w.t, <-s.done)
		return false
	}
}

// end ends the attempt at a destination.
func (s *stage) end(domain string, c pipeline.Contact) {
	s.w.t.Helper()
	s.results[domain] <- c
	check(s.w.t, <-s.done)
}

// once is a whole attempt, which has to be admitted.
func (s *stage) once(domain string, c pipeline.Contact) {
	s.w.t.Helper()
	if !s.begin(domain) {
		s.w.t.Fatalf("%s is not tried", domain)
	}
	s.end(domain, c)
}

func (s *stage) want(domain string, tried bool) {
	s.w.t.Helper()
	if s.begin(domain) != tried {
		s.w.t.Fatalf("%s: tried %v, want %v", domain, !tried, tried)
	}
}

// TestRelay_TrialsInTurn: destinations that failed get their trial in the order
// in which they asked for it, whoever happens to ask when a place is free. One
// that does not come back has had its turn.
func TestRelay_TrialsInTurn(t *testing.T) {
	s := newStage(t, 2, 9) // one place for trials
	for _, d := range []string{"x.example", "a.example", "b.example", "c.example"} {
		s.once(d, pipeline.Unreached)
	}
	s.w.clock.Advance(30 * time.Second)
	s.want("x.example", true)
	s.want("a.example", false)
	s.want("b.example", false)
	s.want("c.example", false)
	s.end("x.example", pipeline.Unreached)
	s.want("c.example", false)
	s.want("b.example", false)
	s.want("a.example", true)
	s.want("c.example", false)
	s.end("a.example", pipeline.Answered)
	s.want("c.example", false)
	s.w.clock.Advance(11 * time.Second)
	s.want("c.example", true) // b has gone
	s.want("b.example", false)
	s.end("c.example", pipeline.Unreached)
	s.want("b.example", true)
	s.end("b.example", pipeline.Unreached)
}

// TestRelay_TurnIsAnnounced: a destination that waits is handed out as soon as
// its turn has come, not at its next question.
func TestRelay_TurnIsAnnounced(t *testing.T) {
	s := newStage(t, 2, 9)
	s.w.broken["mail.example"] = true // also in the queue: one real job
	s.rp.MaxUnproven = 2
	s.once("mail.example", pipeline.Unreached)
	s.once("x.example", pipeline.Unreached)
	s.w.clock.Advance(30 * time.Second)
	s.want("x.example", true)
	s.w.send(1, dario)
	s.want("mail.example", false)
	before, ok, err := s.store.NextDue(context.Background(), pipeline.JobRelay, 0)
	check(t, err)
	if !ok || before.Sub(s.w.clock.Now()) != 2*time.Second {
		t.Fatalf("asks again after %v", before.Sub(s.w.clock.Now()))
	}
	s.end("x.example", pipeline.Unreached)
	if got := s.take(9); len(got) != 1 {
		t.Errorf("%d jobs at the turn, want one", len(got))
	}
}

// TestRelay_CertifiedHaveTheirOwn: however many ordinary destinations are dead
// or slow, a certified one that failed once gets its trial, and one that
// answers its attempts.
func TestRelay_CertifiedHaveTheirOwn(t *testing.T) {
	s := newStage(t, 4, 6)
	s.once("beta.example", pipeline.Unreached)
	for i := range 20 {
		s.once(fmt.Sprintf("dead%d.example", i), pipeline.Unreached)
	}
	s.once("slow.example", pipeline.Answered)
	s.w.clock.Advance(time.Minute)
	trials := 0
	for i := range 20 {
		if s.begin(fmt.Sprintf("dead%d.example", i)) {
			trials++
		}
	}
	for i := range 20 {
		s.begin(fmt.Sprintf("new%d.example", i))
	}
	if trials != 2 {
		t.Errorf("%d trials, want 2", trials)
	}
	s.once("beta.example", pipeline.Answered) // its trial
	for range 2 {
		s.want("slow.example", true)
	}
	s.want("slow.example", false) // six ordinary ones are under way
	for range 3 {
		s.want("beta.example", true)
	}
	for _, d := range []string{"beta.example", "beta.example", "beta.example", "slow.example", "slow.example", "dead0.example", "dead1.example", "new0.example", "new1.example"} {
		s.end(d, pipeline.Answered)
	}
}

// TestRelay_SlowAnswers: a destination that takes long for its answers, or for
// more than its time, gets one message at a time.
func TestRelay_SlowAnswers(t *testing.T) {
	s := newStage(t, 4, 9)
	s.once("slow.example", pipeline.Answered)
	s.want("slow.example", true)
	s.want("slow.example", true)
	s.w.clock.Advance(63 * time.Second) // a minute, and two seconds for the recipient
	s.end("slow.example", pipeline.Answered)
	s.end("slow.example", pipeline.Answered)
	s.want("slow.example", true)
	s.w.clock.Advance(3 * time.Second)
	s.want("slow.example", false)
	s.end("slow.example", pipeline.Answered)
	s.want("slow.example", true)
	s.w.clock.Advance(63 * time.Second)
	s.end("slow.example", pipeline.Answered)
	s.want("slow.example", true)
	s.want("slow.example", false)
	s.end("slow.example", pipeline.Answered)
}

// TestRelay_ManyLanes: however many destinations come along, those that answer
// stay known.
func TestRelay_ManyLanes(t *testing.T) {
	s := newStage(t, 4, 9)
	s.once("known.example", pipeline.Answered)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 6000 {
		j := s.body
		j.Lane = fmt.Sprintf("d%d.example", i)
		if err := s.rp.Relay(ctx, j); err == nil {
			t.Fatal("not cut short")
		}
	}
	s.want("known.example", true)
	s.want("known.example", true) // several at a time
	s.end("known.example", pipeline.Answered)
	s.end("known.example", pipeline.Answered)
}

// TestRelay_AttemptEnds: an attempt is given a time that depends on what there
// is to send, and does not go on beyond the message's day.
func TestRelay_AttemptEnds(t *testing.T) {
	const minute = time.Minute
	for _, c := range []struct {
		name       string
		recipients int
		size       int // octets
		age        time.Duration
		least      time.Duration
		most       time.Duration
	}{
		{"one", 1, 0, 0, 15*minute + 2*time.Second, 15*minute + 4*time.Second},
		{"many recipients", 400, 0, 0, 15*minute + 800*time.Second, 15*minute + 806*time.Second},
		{"large", 1, 16 << 20, 0, 15*minute + 1024*time.Second, 15*minute + 1500*time.Second},
		{"late in its day", 1, 0, 24*time.Hour - 7*minute, 7 * minute, 7 * minute},
		{"at its end", 1, 0, 24 * time.Hour, 5 * minute, 5 * minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			var to []string
			for i := range c.recipients {
				to = append(to, fmt.Sprintf("r%d@mail.example", i))
			}
			w.submit(anna, to, message(anna, strings.Join(to, ",\r\n "), "", strings.Repeat(strings.Repeat("x", 78)+"\r\n", c.size/80)))
			w.clock.Advance(c.age)
			var got time.Duration
			rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
				got = d.Until.Sub(w.clock.Now())
				return answer(d, pipeline.Answered, nil)
			}))
			check(t, rp.Relay(context.Background(), p.take(1)[0]))
			if got < c.least || got > c.most {
				t.Errorf("given %v, want %v to %v", got, c.least, c.most)
			}
		})
	}
}
