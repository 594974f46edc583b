// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"pecd/fault"
	"pecd/pipeline"
	"pecd/storage"
)

// Send implements pipeline.Carrier: straight into the other provider.
func (w *world) Send(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
	w.mu.Lock()
	w.attempts[d.Domain]++
	broken, err := w.broken[d.Domain], w.replies[d.Domain]
	w.mu.Unlock()
	a := pipeline.Attempt{Contact: pipeline.Answered}
	switch p := w.providers[d.Domain]; {
	case broken:
		a.Contact, err = pipeline.Unreached, fault.Say("test", fault.Temporary, "no answer")
	case err != nil:
	case p != nil:
		_, err = p.incoming.Receive(ctx, pipeline.Arrival{
			Sender: d.Sender, Recipients: d.Recipients, Peer: pipeline.Peer{Helo: "mail.other.example", Remote: "192.0.2.1", TLS: "TLSv1.3"},
		}, io.NewSectionReader(d.Body, 0, d.Size))
	default:
		w.mu.Lock()
		b := make([]byte, d.Size)
		d.Body.ReadAt(b, 0)
		d.Body = bytes.NewReader(b)
		w.outside = append(w.outside, d)
		err = w.answers[d.Recipients[0]]
		w.mu.Unlock()
	}
	for _, r := range d.Recipients {
		a.Results = append(a.Results, pipeline.RecipientResult{Recipient: r, Err: err, Reply: "test"})
	}
	return a
}

// shaky is a store whose commits can fail: before they did anything, or after
// they did all of it.
type shaky struct {
	storage.Store
	before, after bool
	// meanwhile and then, when set, happen once, before and after the next commit.
	meanwhile, then func()
	watch           func(*storage.Step) // sees every step
	altered         bool                // the disk altered every message
	panics          bool                // reading a message brings a defect out
}

// OpenBody implements storage.Store.
func (s *shaky) OpenBody(ctx context.Context, id storage.BodyID) (storage.Body, error) {
	if s.panics {
		panic("opened by the test")
	}
	b, err := s.Store.OpenBody(ctx, id)
	if err == nil && s.altered {
		b = alteredBody{b}
	}
	return b, err
}

type alteredBody struct{ storage.Body }

// Intact implements storage.Body.
func (alteredBody) Intact() error { return fault.New("test", fault.Internal, errors.New("altered")) }

var errShaky = errors.New("commit failed by the test")

func (s *shaky) Commit(ctx context.Context, step *storage.Step) error {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	if s.watch != nil {
		s.watch(step)
	}
	if s.before {
		return fault.New("test", fault.Temporary, errShaky)
	}
	err := s.Store.Commit(ctx, step)
	if f := s.then; f != nil {
		s.then = nil
		f()
	}
	if err == nil && s.after {
		return fault.New("test", fault.Temporary, errShaky)
	}
	return err
}

// ending is what happens at the end of each job.
type ending int

const (
	quietly        ending = iota
	restarting            // the node is restarted after it
	losing                // the node ends before the commit, once for each job, and is started again
	unacknowledged        // the node ends right after the commit
)

// restart ends the provider's node and starts it again on the same store.
func (p *provider) restart() {
	p.w.t.Helper()
	check(p.w.t, p.store.Close())
	p.open(p.w.t)
}

// kinds of jobs, in the order in which settle looks for them.
func kinds() []string {
	return []string{pipeline.JobDeliver, pipeline.JobForward, pipeline.JobRelay, pipeline.JobDeadline}
}

func (p *provider) do(ctx context.Context, j storage.Job) error {
	switch j.Kind {
	case pipeline.JobDeliver:
		return p.deliveries.Deliver(ctx, j)
	case pipeline.JobRelay:
		return p.relays.Relay(ctx, j)
	case pipeline.JobForward:
		return p.forwards.Forward(ctx, j)
	}
	return p.deadlines.Deadline(ctx, j)
}

// settle does every job that is due until none is left.
func (w *world) settle() {
	w.t.Helper()
	for busy := true; busy; {
		busy = false
		for _, d := range []string{"alfa.example", "beta.example"} {
			for _, kind := range kinds() {
				for w.once(w.providers[d], kind) {
					busy = true
				}
			}
		}
	}
}

// once does one job of a kind, if one is due.
func (w *world) once(p *provider, kind string) bool {
	w.t.Helper()
	ctx := context.Background()
	if w.stuck[p.domain+" "+kind] || w.stuck[p.domain] {
		return false
	}
	jobs, err := p.store.TakeDue(ctx, kind, w.clock.Now(), 1, 0)
	check(w.t, err)
	if len(jobs) == 0 {
		return false
	}
	j := jobs[0]
	end := w.end
	if kind == pipeline.JobRelay && j.Attempts > 4 && j.Attempts%10 != 0 {
		end = quietly // the fifth attempt in vain ends as the fourth did
	}
	name := fmt.Sprint(p.domain, j.ID, j.Attempts)
	lose := end == losing && !w.ended[name]
	w.ended[name] = true
	p.shaky.before, p.shaky.after = lose, end == unacknowledged
	err = p.do(ctx, j)
	p.shaky.before, p.shaky.after = false, false
	switch {
	case end != quietly && (err == nil || errors.Is(err, errShaky) || fault.Is(err, fault.NotFound)):
		p.restart()
	case err != nil && w.broke[w.recipient(j)]: // as the worker does
		check(w.t, p.store.Commit(ctx, new(storage.Step).Add(&storage.RetryJob{ID: j.ID, Due: w.clock.Now().Add(15 * time.Minute)})))
	default:
		check(w.t, err)
	}
	return true
}

// recipient is whom a delivery is for.
func (w *world) recipient(j storage.Job) string {
	var p struct{ Rcpt any }
	check(w.t, json.Unmarshal(j.Payload, &p))
	to, _ := p.Rcpt.(string)
	return to
}

// next returns when the next job of anybody falls due.
func (w *world) next() (at time.Time, ok bool) {
	for _, p := range w.providers {
		for _, kind := range kinds() {
			if w.stuck[p.domain+" "+kind] || w.stuck[p.domain] {
				continue
			}
			due, has, err := p.store.NextDue(context.Background(), kind, 0)
			check(w.t, err)
			if has && (!ok || due.Before(at)) {
				at, ok = due, true
			}
		}
	}
	return at, ok
}

// until lets jobs be done as they fall due, up to an instant, and stops there.
func (w *world) until(end time.Time) {
	w.t.Helper()
	for {
		w.settle()
		at, ok := w.next()
		if !ok || at.After(end) {
			w.clock.Advance(end.Sub(w.clock.Now()))
			w.settle()
			return
		}
		w.clock.Advance(max(at.Sub(w.clock.Now()), 0))
	}
}

// tx reads the transaction of a message of alfa.
func (w *world) tx(t *testing.T, id string) storage.Transaction {
	t.Helper()
	tx, err := w.providers["alfa.example"].store.Transaction(context.Background(), id, true)
	check(t, err)
	return tx
}
