// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

// scripted is a carrier that a test plays.
type scripted func(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt

func (s scripted) Send(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt { return s(ctx, d) }

// answer is the same result for every recipient.
func answer(d pipeline.Dispatch, c pipeline.Contact, err error) pipeline.Attempt {
	a := pipeline.Attempt{Contact: c}
	for _, r := range d.Recipients {
		a.Results = append(a.Results, pipeline.RecipientResult{Recipient: r, Err: err, Reply: "451 test"})
	}
	return a
}

// relayJobs lists the jobs of the relay by number.
func (p *provider) relayJobs() (out []storage.Job) {
	p.w.t.Helper()
	check(p.w.t, p.store.Jobs(context.Background(), pipeline.JobRelay, func(j storage.Job) error {
		out = append(out, j)
		return nil
	}))
	slices.SortFunc(out, func(a, b storage.Job) int { return int(a.ID - b.ID) })
	return out
}

func (p *provider) take(n int) []storage.Job {
	p.w.t.Helper()
	jobs, err := p.store.TakeDue(context.Background(), pipeline.JobRelay, p.w.clock.Now(), n, 0)
	check(p.w.t, err)
	return jobs
}

// records reads the events of a kind.
func (p *provider) records(k ledger.Kind) (out []ledger.Event) {
	p.w.t.Helper()
	check(p.w.t, p.store.FindRecords(context.Background(), storage.RecordQuery{Event: string(k)}, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		out = append(out, e)
		return err
	}))
	return out
}

// send submits n messages of anna's to one address.
func (w *world) send(n int, to string) {
	for range n {
		w.submit(anna, []string{to}, message(anna, to, "", "x\r\n"))
	}
}

const dario = "dario@mail.example"

// TestADR7_4_BackOff: a dead destination costs one attempt a pause, the pauses
// double, the messages that wait keep their attempts, and one trial opens the
// lane for all.
func TestADR7_4_BackOff(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.broken["mail.example"] = true
	w.send(12, dario)
	last, tried := w.clock.Now(), 0
	for i, want := range []time.Duration{0, 30, 60, 120, 240, 480, 600, 600} {
		w.settle()
		if w.attempts["mail.example"] != tried+1 {
			t.Fatalf("attempt %d: %d were made", i, w.attempts["mail.example"]-tried)
		}
		tried++
		if got := w.clock.Now().Sub(last); got != want*time.Second {
			t.Errorf("pause %d: %v, want %vs", i, got, int(want))
		}
		last = w.clock.Now()
		at, ok := w.next()
		if !ok {
			t.Fatal("nothing is due any more")
		}
		w.clock.Advance(at.Sub(last))
	}
	attempts := 0
	for _, j := range p.relayJobs() {
		attempts += j.Attempts
		if j.Attempts > 1 || j.Attempts == 1 && j.LastError != "test" {
			t.Errorf("job %d: %d attempts, %q", j.ID, j.Attempts, j.LastError)
		}
	}
	events := p.records(ledger.RelayAttempt)
	if attempts != tried || len(events) != tried {
		t.Errorf("%d attempts counted, %d recorded, %d made", attempts, len(events), tried)
	}
	if e := events[1]; e.Peer != "mail.example" || e.Attempt != 1 || e.Detail != "test" || !e.Next.Equal(e.At.Add(time.Minute)) || e.Side != ledger.Own || len(e.Recipients) != 1 {
		t.Errorf("%+v", e)
	}
	w.broken = map[string]bool{}
	w.settle()
	if len(w.outside) != 12 || len(p.relayJobs()) != 0 {
		t.Errorf("%d delivered after the trial, %d left", len(w.outside), len(p.relayJobs()))
	}
	// The next outage begins with the first pause again.
	w.broken["mail.example"] = true
	w.send(1, dario)
	before := w.clock.Now()
	w.settle()
	if at, _ := w.next(); at.Sub(before) != 30*time.Second {
		t.Errorf("pause of %v after a success", at.Sub(before))
	}
	w.clean()
}

// TestADR7_4_AnswersAreNoOutage: a message that is put off keeps to its own
// plan, and the others go.
func TestADR7_4_AnswersAreNoOutage(t *testing.T) {
	w := newWorld(t)
	w.answers["elena@mail.example"] = later()
	w.send(1, "elena@mail.example")
	w.send(3, dario)
	w.settle()
	if len(w.outside) != 4 {
		t.Errorf("%d attempts, want all four at once", len(w.outside))
	}
	for _, want := range []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute} {
		before := w.clock.Now()
		at, ok := w.next()
		if !ok || at.Sub(before) != want {
			t.Fatalf("next attempt after %v, want %v", at.Sub(before), want)
		}
		w.clock.Advance(want)
		w.settle()
	}
}

// TestADR7_4_InFlight: what was under way when a destination went down does not
// lengthen the pause, and jobs that were just taken go back untried.
func TestADR7_4_InFlight(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(1, dario)
	w.settle() // it has answered: several at a time may go
	w.send(6, dario)
	entered, leave := make(chan struct{}), make(chan struct{})
	sent := 0
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		if sent++; sent == 1 {
			return answer(d, pipeline.Answered, nil)
		}
		entered <- struct{}{}
		<-leave
		return answer(d, pipeline.Unreached, later())
	}))
	check(t, rp.Relay(context.Background(), p.take(1)[0]))
	jobs := p.take(5)
	errs := make(chan error, len(jobs))
	for _, j := range jobs[:4] {
		go func() { errs <- rp.Relay(context.Background(), j) }()
		<-entered
	}
	for range 4 {
		leave <- struct{}{}
		check(t, <-errs)
	}
	check(t, rp.Relay(context.Background(), jobs[4])) // taken before the pause, tried after it began: not at all
	if sent != 5 {
		t.Errorf("%d attempts, want 5", sent)
	}
	before := w.clock.Now()
	for i, want := range []time.Duration{30 * time.Second, time.Minute} {
		at, ok, err := p.store.NextDue(context.Background(), pipeline.JobRelay, 0)
		check(t, err)
		if !ok || at.Sub(before) != want {
			t.Fatalf("pause %d is %v (%v), want %v", i, at.Sub(before), ok, want)
		}
		w.clock.Advance(want)
		before = w.clock.Now()
		trial := p.take(9)
		if len(trial) != 1 {
			t.Fatalf("%d jobs on trial", len(trial))
		}
		go func() { errs <- rp.Relay(context.Background(), trial[0]) }()
		<-entered
		if len(p.take(9)) != 0 {
			t.Error("a second job beside the trial")
		}
		leave <- struct{}{}
		check(t, <-errs)
	}
	if n := len(p.relayJobs()); n != 5 {
		t.Errorf("%d jobs left, want 5", n)
	}
}

// TestRelay_SlowStart: a destination that has not answered yet gets one message
// at a time, and one that breaks off again.
func TestRelay_SlowStart(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(6, dario)
	entered, result := make(chan struct{}), make(chan pipeline.Contact)
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		entered <- struct{}{}
		if c := <-result; c != pipeline.Answered {
			return answer(d, c, later())
		}
		return answer(d, pipeline.Answered, nil)
	}))
	done := make(chan error, 9)
	begin := func(jobs []storage.Job) {
		t.Helper()
		for _, j := range jobs {
			go func() { done <- rp.Relay(context.Background(), j) }()
		}
		<-entered
		for range len(jobs) - 1 { // back in the queue
			check(t, <-done)
		}
		if n := len(p.take(9)); n != 0 {
			t.Errorf("%d more while one is under way", n)
		}
	}
	begin(p.take(4))
	result <- pipeline.Answered
	check(t, <-done)
	jobs := p.take(2)
	if len(jobs) != 2 {
		t.Fatalf("%d jobs after the answer", len(jobs))
	}
	for _, j := range jobs {
		go func() { done <- rp.Relay(context.Background(), j) }()
		<-entered // both
	}
	result <- pipeline.BrokeOff
	result <- pipeline.BrokeOff
	check(t, <-done)
	check(t, <-done)
	jobs = p.take(9)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs at once to a server that breaks off", len(jobs))
	}
	begin(jobs)
	result <- pipeline.Answered
	check(t, <-done)
}

// TestRelay_DeadDestinationsLeaveWorkers: however many destinations are dead,
// and however long each keeps a worker, the others are served.
func TestRelay_DeadDestinationsLeaveWorkers(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	dead := make(chan struct{})
	served := make(chan string, 1000)
	rp := pipeline.NewRelayPoint(p.core, scripted(func(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
		if !strings.HasPrefix(d.Domain, "dead") {
			served <- d.Domain
			return answer(d, pipeline.Answered, nil)
		}
		select {
		case <-dead:
		case <-ctx.Done():
		}
		return answer(d, pipeline.Unreached, later())
	}))
	rp.MaxUnproven = 4
	worker := &pipeline.Worker{Kind: pipeline.JobRelay, Store: p.store, Clock: w.clock, Logger: p.core.Logger, Parallel: 8, PerLane: 4, Do: rp.Relay}
	ctx, stop := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() { defer close(finished); worker.Run(ctx, ctx) }()
	defer func() { stop(); <-finished }()
	serve := func(domain string, n int) {
		t.Helper()
		w.send(n, "x@"+domain)
		limit := time.After(20 * time.Second)
		for n > 0 {
			select {
			case d := <-served:
				if d != domain {
					t.Fatalf("served %s", d)
				}
				n--
			case <-time.After(20 * time.Millisecond):
				w.clock.Advance(time.Second)
			case <-limit:
				t.Fatalf("%s: %d not served", domain, n)
			}
		}
	}
	serve("known.example", 1)
	for i := range 12 {
		w.send(3, fmt.Sprintf("x@dead%d.example", i))
	}
	serve("known.example", 40) // while the dead take what they get
	for range 12 {             // each fails once
		select {
		case dead <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("a dead destination is not tried any more")
		}
		w.clock.Advance(2 * time.Second)
	}
	w.clock.Advance(time.Minute) // all on trial again
	serve("new.example", 5)
	serve("known.example", 40)
}

// TestRelay_Expiry: nothing more is tried where it makes no sense, and every
// sender is told once, in steps that are bounded.
func TestRelay_Expiry(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	start := w.clock.Now()
	w.broken["mail.example"] = true
	w.send(3, dario)
	w.until(start.Add(24*time.Hour - time.Second))
	tried := w.attempts["mail.example"]
	w.clock.Advance(time.Second)
	w.settle()
	if w.attempts["mail.example"] != tried {
		t.Error("a paused destination was tried at the expiry")
	}
	if k := w.kinds(anna); strings.Count(k, "errore-consegna") != 3 || len(p.relayJobs()) != 0 {
		t.Errorf("%q, %d jobs left", k, len(p.relayJobs()))
	}

	w = newWorld(t) // one that answers gets its last chance, at the very end
	w.replies["mail.example"] = later()
	start = w.clock.Now()
	w.send(1, dario)
	w.until(start.Add(24*time.Hour - time.Second))
	w.replies = map[string]error{}
	w.clock.Advance(time.Second)
	w.settle()
	if len(w.outside) != 1 || w.kinds(anna) != "accettazione" {
		t.Errorf("%d delivered, %q", len(w.outside), w.kinds(anna))
	}

	w = newWorld(t)
	p = w.at(anna)
	var to []string
	for i := range 250 {
		to = append(to, fmt.Sprintf("r%03d@mail.example", i))
	}
	w.submit(anna, to, message(anna, strings.Join(to, ",\r\n "), "", "x\r\n"))
	w.replies["mail.example"] = later()
	w.clock.Advance(25 * time.Hour)
	for _, want := range []int{101, 201, 251} {
		w.once(p, pipeline.JobRelay)
		if n := len(w.inbox(anna)); n != want {
			t.Errorf("%d messages, want %d", n, want)
		}
		p.restart()
	}
	if w.attempts["mail.example"] != 1 || len(p.relayJobs()) != 0 {
		t.Errorf("%d attempts at the expiry, %d jobs left", w.attempts["mail.example"], len(p.relayJobs()))
	}
	w.clean()
}

// TestRelay_ExpiryWithoutBody: an envelope that cannot be read any more is
// given up like any other.
func TestRelay_ExpiryWithoutBody(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(1, dario)
	j := p.take(1)[0]
	j.Body = 1 << 40
	if err := p.relays.Relay(context.Background(), j); err == nil {
		t.Fatal("a missing envelope was sent")
	}
	w.want(anna, "accettazione")
	w.clock.Advance(24 * time.Hour)
	check(t, p.relays.Relay(context.Background(), j))
	w.want(anna, "accettazione errore-consegna")
}

// TestRelay_CutShort: an attempt that the end of the node cuts short leaves the
// job as it is; one that was answered is recorded.
func TestRelay_CutShort(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(1, dario)
	ctx, cancel := context.WithCancel(context.Background())
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		cancel()
		return answer(d, pipeline.NotAsked, later())
	}))
	j := p.take(1)[0]
	if err := rp.Relay(ctx, j); err == nil {
		t.Error("no error: the worker would take it for done")
	}
	if now := p.relayJobs()[0]; now.Attempts != 0 || len(p.records(ledger.RelayAttempt)) != 0 {
		t.Errorf("%+v", now)
	}
	ctx, cancel = context.WithCancel(context.Background())
	rp = pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		cancel()
		return answer(d, pipeline.Answered, nil)
	}))
	check(t, rp.Relay(ctx, j))
	if len(p.relayJobs()) != 0 {
		t.Error("sent, and not recorded")
	}
}

// TestADR7_OneFinalWord: the second notice, the end of the relay's day and a
// refusal that come together make one story, whichever is first.
func TestADR7_OneFinalWord(t *testing.T) {
	refused := fault.New("test", fault.Denied, nil)
	for _, c := range []struct {
		name  string
		after time.Duration
		reply error // of the server; nil: it cannot be reached
		// first is the kind of job that makes its step first, and commits it
		// after the other's.
		first string
		want  string
	}{
		{"expiry overtaken by the notice", 30 * time.Hour, nil, pipeline.JobRelay, "24h"},
		{"notice overtaken by the expiry", 30 * time.Hour, nil, pipeline.JobDeadline, "24h"},
		{"refusal overtaken by the notice", 23 * time.Hour, refused, pipeline.JobRelay, "24h 5.7.1"},
		{"notice overtaken by the refusal", 23 * time.Hour, refused, pipeline.JobDeadline, "5.7.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			w.broken["beta.example"] = c.reply == nil
			w.replies["beta.example"] = c.reply
			w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
			w.clock.Advance(c.after)
			second := pipeline.JobRelay
			if c.first == pipeline.JobRelay {
				second = pipeline.JobDeadline
			}
			overtaken := false
			p.shaky.meanwhile = func() { overtaken = w.once(p, second) }
			w.once(p, c.first)
			if !overtaken {
				t.Fatal("the other job was not due")
			}
			w.settle()
			if got := w.story(anna, bruno); got != c.want {
				t.Errorf("heard %q, want %q", got, c.want)
			}
			w.clock.Advance(24 * time.Hour)
			w.settle()
			if got := w.story(anna, bruno); got != c.want {
				t.Errorf("in the end %q, want %q", got, c.want)
			}
			for _, d := range []string{pipeline.JobRelay, pipeline.JobDeadline} {
				check(t, p.store.Jobs(context.Background(), d, func(j storage.Job) error { t.Errorf("%s still queued", d); return nil }))
			}
			w.clean()
		})
	}
}
