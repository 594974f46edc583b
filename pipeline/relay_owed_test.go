// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

// away is a key that is not at hand.
type away struct{ pipeline.EnvelopeSigner }

func (away) Sign(context.Context, [32]byte, time.Time) ([]byte, error) {
	return nil, errors.New("test: no key")
}

// unread is a store whose transactions cannot be read.
type unread struct{ storage.Store }

func (unread) Transaction(context.Context, string, bool) (storage.Transaction, error) {
	return storage.Transaction{}, fault.New("test", fault.Temporary, nil)
}

// verdicts answers for each recipient of its own, and counts messages taken.
func verdicts(answers map[string]error, taken map[string]int) scripted {
	return func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		a := answer(d, pipeline.Answered, nil)
		for i, r := range d.Recipients {
			if a.Results[i].Err = answers[r]; a.Results[i].Err == nil {
				taken[r]++
			}
		}
		return a
	}
}

// work does the relay's jobs as its worker would, for a time.
func (p *provider) work(rp *pipeline.RelayPoint, d time.Duration) {
	p.w.t.Helper()
	ctx := context.Background()
	for end := p.w.clock.Now().Add(d); ; {
		for jobs := p.take(1); len(jobs) > 0; jobs = p.take(1) {
			if err := rp.Relay(ctx, jobs[0]); err != nil {
				check(p.w.t, p.store.Commit(ctx, new(storage.Step).Add(
					&storage.RetryJob{ID: jobs[0].ID, Due: p.w.clock.Now().Add(time.Minute)},
				)))
			}
		}
		at, ok, err := p.store.NextDue(ctx, pipeline.JobRelay, 0)
		check(p.w.t, err)
		if !ok || at.After(end) {
			p.w.clock.Advance(end.Sub(p.w.clock.Now()))
			return
		}
		p.w.clock.Advance(at.Sub(p.w.clock.Now()))
	}
}

// TestRelay_TakenIsTakenWithoutNotice: what a server has taken is not sent
// again because the notice about somebody else cannot be made.
func TestRelay_TakenIsTakenWithoutNotice(t *testing.T) {
	const elena, fabio = "elena@mail.example", "fabio@mail.example"
	for name, fail := range map[string]func(w *world, p *provider) (mend func()){
		"no key": func(w *world, p *provider) func() {
			whole := p.core.Signer
			p.core.Signer = away{whole}
			return func() { p.core.Signer = whole }
		},
		"no transaction": func(w *world, p *provider) func() {
			whole := p.core.Store
			p.core.Store = unread{whole}
			return func() { p.core.Store = whole }
		},
		"no mailbox": func(w *world, p *provider) func() {
			w.broke[anna] = true
			return func() { delete(w.broke, anna) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			to := []string{dario, elena, fabio}
			w.submit(anna, to, message(anna, strings.Join(to, ", "), "", "x\r\n"))
			answers, taken := map[string]error{elena: fault.New("test", fault.NotFound, nil), fabio: later()}, map[string]int{}
			mend := fail(w, p)
			rp := pipeline.NewRelayPoint(p.core, verdicts(answers, taken))
			p.work(rp, 3*time.Hour)
			if ok := p.records(ledger.RelayOK); taken[dario] != 1 || len(ok) != 1 || len(ok[0].Recipients) != 1 || ok[0].Recipients[0].Address != dario {
				t.Fatalf("%d copies, recorded %+v", taken[dario], ok)
			}
			if es := p.list(pipeline.Filter{}); len(es) != 1 || len(es[0].Recipients) != 2 {
				t.Errorf("queued: %+v", es)
			}
			mend()
			delete(answers, fabio)
			p.work(rp, 3*time.Hour)
			if got := w.story(anna, to...); got != ", 5.1.1, " || taken[dario] != 1 || taken[fabio] != 1 || len(p.relayJobs()) != 0 {
				t.Errorf("heard %q, copies %v, %d jobs left", got, taken, len(p.relayJobs()))
			}
			w.clean()
		})
	}
}

// TestRelay_TakenIsTakenWithoutCommit: an attempt that cannot be recorded is
// recorded later, and not made again.
func TestRelay_TakenIsTakenWithoutCommit(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.submit(anna, []string{dario, "b@mail.example"}, message(anna, dario+", b@mail.example", "", "x\r\n"))
	answers, taken := map[string]error{"b@mail.example": later()}, map[string]int{}
	rp := pipeline.NewRelayPoint(p.core, verdicts(answers, taken))
	p.shaky.before = true
	for range 5 {
		j := p.take(1)[0]
		if err := rp.Relay(context.Background(), j); err == nil {
			t.Fatal("no error")
		}
		p.store.Release(j.ID)
	}
	p.shaky.before = false
	delete(answers, "b@mail.example")
	p.work(rp, time.Minute)
	if taken[dario] != 1 || taken["b@mail.example"] != 1 || len(p.records(ledger.RelayOK)) != 2 || len(p.relayJobs()) != 0 {
		t.Errorf("copies %v, %d recorded, %d left", taken, len(p.records(ledger.RelayOK)), len(p.relayJobs()))
	}
}

// TestRelay_DebtsOutliveTheDay: a notice that could not be made for a day is
// made when it can be, and who was to be tried still gets a last attempt.
func TestRelay_DebtsOutliveTheDay(t *testing.T) {
	const elena = "elena@mail.example"
	w := newWorld(t)
	p := w.at(anna)
	w.submit(anna, []string{dario, elena}, message(anna, dario+", "+elena, "", "x\r\n"))
	answers, taken := map[string]error{elena: fault.New("test", fault.NotFound, nil), dario: later()}, map[string]int{}
	whole := p.core.Signer
	p.core.Signer = away{whole}
	rp := pipeline.NewRelayPoint(p.core, verdicts(answers, taken))
	p.work(rp, 25*time.Hour)
	p.core.Signer = whole
	p.work(rp, time.Hour)
	if got := w.story(anna, dario, elena); got != "5.4.7, 5.1.1" || len(p.relayJobs()) != 0 {
		t.Errorf("heard %q, %d jobs left", got, len(p.relayJobs()))
	}
}

// crowd is a message to so many recipients that the notices about them, each
// of which names all, do not fit into a step.
func (w *world) crowd(n int) {
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("r%03d@mail.example", i))
	}
	w.submit(anna, to, message(anna, strings.Join(to, ",\r\n "), "", "x\r\n"))
}

// bounds has every step of the provider's watched; the result is how many
// notices there were.
func (p *provider) bounds() *int {
	all := new(int)
	p.shaky.watch = func(s *storage.Step) {
		n, size := 0, 0
		for _, op := range s.Ops {
			if b, ok := op.(*storage.NewBody); ok {
				n, size = n+1, size+len(b.Head)
				if size-len(b.Head) > 4<<20 {
					p.w.t.Errorf("a step of %d notices, %d octets", n, size)
				}
			}
		}
		if n > 100 {
			p.w.t.Errorf("a step of %d notices", n)
		}
		*all += n
	}
	return all
}

// TestRelay_ManyRefusals: the notices about a thousand recipients are not one
// commit, whether a server refuses them or an operator does.
func TestRelay_ManyRefusals(t *testing.T) {
	const many = 450
	t.Run("server", func(t *testing.T) {
		w := newWorld(t)
		p := w.at(anna)
		w.crowd(many)
		told := p.bounds()
		w.replies["mail.example"] = fault.New("test", fault.Denied, nil)
		for range 10 {
			for w.once(p, pipeline.JobRelay) {
			}
		}
		if *told != many || w.attempts["mail.example"] != 1 || len(p.relayJobs()) != 0 || len(p.records(ledger.RelayFailed)) != many {
			t.Errorf("%d told, %d attempts, %d jobs left", *told, w.attempts["mail.example"], len(p.relayJobs()))
		}
	})
	t.Run("operator", func(t *testing.T) {
		w := newWorld(t)
		p := w.at(anna)
		w.crowd(many)
		ids := numbers(p.list(pipeline.Filter{Kind: pipeline.JobRelay}))
		_, err := p.queue().Hold(context.Background(), operator, ids...)
		check(t, err)
		told := p.bounds()
		if n, err := p.queue().Fail(context.Background(), operator, "prova", ids...); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		for w.once(p, pipeline.JobRelay) {
		}
		if *told != many || w.attempts["mail.example"] != 0 || len(p.relayJobs()) != 0 || len(p.records(ledger.QueueFailed)) != 1 {
			t.Errorf("%d told, %d attempts, %d jobs left", *told, w.attempts["mail.example"], len(p.relayJobs()))
		}
	})
}

// TestRFC6109_2_3_RelayRecords: what is done about a message is recorded with
// its identifiers, its subject and its provider.
func TestRFC6109_2_3_RelayRecords(t *testing.T) {
	w := newWorld(t)
	p, beta := w.at(anna), w.at(bruno)
	ctx := context.Background()
	fails := map[string]error{"b@mail.example": later(), "c@mail.example": fault.New("test", fault.NotFound, nil)}
	w.submit(anna, []string{bettina, dario, "b@mail.example", "c@mail.example"},
		message(anna, bettina+", "+dario+", b@mail.example, c@mail.example", "", "x\r\n"))
	rp := pipeline.NewRelayPoint(p.core, verdicts(fails, map[string]int{}))
	check(t, rp.Relay(ctx, p.take(1)[0]))
	q := pipeline.NewQueue(p.core, p.deliveries, rp)
	es := p.list(pipeline.Filter{})
	act := func(n int, err error) {
		t.Helper()
		if n != 2 || err != nil { // a delivery and a relay
			t.Fatal(n, err)
		}
	}
	act(q.Hold(ctx, operator, numbers(es)...))
	act(q.Release(ctx, operator, numbers(es)...))
	act(q.RetryNow(ctx, operator, numbers(es)...))
	act(q.Fail(ctx, operator, "", numbers(es)...))
	id := p.records(ledger.SubmissionAccepted)[0].ID
	for _, k := range []ledger.Kind{
		ledger.RelayOK, ledger.RelayAttempt, ledger.RelayFailed, ledger.QueueHeld, ledger.QueueReleased, ledger.QueueRetried, ledger.QueueFailed,
	} {
		events := p.records(k)
		if len(events) == 0 {
			t.Errorf("no %s", k)
		}
		for _, e := range events {
			if e.ID != id || e.MsgID != "<m1@client.example>" || e.Subject != "Città" || e.Sender != anna || e.Provider != "Gestore alfa.example" || e.Side != ledger.Own {
				t.Errorf("%s: %+v", k, e)
			}
		}
	}
	// What beta sends and its operator does about alfa's message.
	w.send(1, bruno)
	w.once(p, pipeline.JobRelay)
	es = beta.list(pipeline.Filter{})
	if n, err := beta.queue().Hold(ctx, operator, numbers(es)...); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for _, e := range beta.records(ledger.QueueHeld) {
		receipt := e.Sender == "posta-certificata@beta.example"
		if e.ID == "" || e.Side != ledger.Foreign || receipt && e.Provider != "Gestore beta.example" ||
			!receipt && (e.Subject != "Città" || e.MsgID == "" || e.Provider != "Gestore alfa.example") {
			t.Errorf("%+v", e)
		}
	}
	_, err := beta.queue().Release(ctx, operator, numbers(es)...)
	check(t, err)
	w.settle()
	for _, e := range beta.records(ledger.RelayOK) {
		if e.ID == "" || e.Side != ledger.Foreign || e.Provider != "Gestore beta.example" {
			t.Errorf("%+v", e)
		}
	}
}
