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

// TestRelay_Expiry: nothing more is tried where it makes no sense, and every
// sender is told once, in steps that are bounded.
func TestRelay_Expiry(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	start := w.clock.Now()
	w.broken["mail.example"] = true
	w.send(3, dario)
	held := p.relayJobs()[0].ID // not tried once
	_, err := p.queue().Hold(context.Background(), operator, held)
	check(t, err)
	w.until(start.Add(24*time.Hour - time.Second))
	_, err = p.queue().Release(context.Background(), operator, held)
	check(t, err)
	w.settle()
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
