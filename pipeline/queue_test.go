// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

const operator = "olga"

func (p *provider) queue() *pipeline.Queue { return pipeline.NewQueue(p.core, p.deliveries, p.relays) }

func (p *provider) list(f pipeline.Filter) (out []pipeline.Entry) {
	p.w.t.Helper()
	check(p.w.t, p.queue().List(context.Background(), f, func(e pipeline.Entry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func numbers(es []pipeline.Entry) (ids []storage.JobID) {
	for _, e := range es {
		ids = append(ids, e.Job)
	}
	return ids
}

// acts reads what operators did, as "kind actor".
func (p *provider) acts() string {
	var out []string
	for _, k := range []ledger.Kind{ledger.QueueHeld, ledger.QueueReleased, ledger.QueueRetried, ledger.QueueFailed} {
		for _, e := range p.records(k) {
			out = append(out, strings.TrimPrefix(string(k), "queue.")+" "+e.Actor)
		}
	}
	return strings.Join(out, ", ")
}

// TestADR7_5_HoldAndRelease: a held message waits, also over a restart.
func TestADR7_5_HoldAndRelease(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	ctx := context.Background()
	w.send(2, dario)
	ids := numbers(p.list(pipeline.Filter{}))
	n, err := p.queue().Hold(ctx, operator, ids[0], 999)
	if n != 1 || !fault.Is(err, fault.NotFound) || !strings.Contains(fault.TextOf(err), "999") {
		t.Errorf("%d, %v", n, err)
	}
	w.settle()
	p.restart()
	w.settle()
	if len(w.outside) != 1 {
		t.Errorf("%d sent", len(w.outside))
	}
	if es := p.list(pipeline.Filter{Held: true}); len(es) != 1 || es[0].Job != ids[0] {
		t.Errorf("held: %+v", es)
	}
	if n, err := p.queue().Release(ctx, operator, ids[0]); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	w.settle()
	if len(w.outside) != 2 {
		t.Errorf("%d sent", len(w.outside))
	}
	if got := p.acts(); got != "held olga, released olga" {
		t.Errorf("log: %s", got)
	}
	e := p.records(ledger.QueueHeld)[0]
	if e.ID == "" || e.Sender != anna || e.Mailbox != anna || e.Side != ledger.Own || e.Peer != "mail.example" || len(e.Recipients) != 1 || e.Recipients[0].Address != dario {
		t.Errorf("%+v", e)
	}
}

// TestADR7_5_HoldUntilTheEnd: a hold does not make a message miss its day, and
// what was held is not sent at its end.
func TestADR7_5_HoldUntilTheEnd(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	start := w.clock.Now()
	to := []string{bruno, dario, bettina}
	w.submit(anna, to, message(anna, strings.Join(to, ", "), "", "x\r\n"))
	n, err := p.queue().Hold(context.Background(), operator, numbers(p.list(pipeline.Filter{}))...)
	if n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	w.until(start.Add(24*time.Hour - time.Second))
	if got, want := w.story(anna, to...), "12h 24h, , 24h"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	w.until(start.Add(24 * time.Hour))
	if got, want := w.story(anna, to...), "12h 24h, 5.4.7, 24h 5.3.0"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if len(w.outside)+w.attempts["beta.example"] != 0 || len(p.list(pipeline.Filter{})) != 0 {
		t.Errorf("sent %d, %d; left %+v", len(w.outside), w.attempts["beta.example"], p.list(pipeline.Filter{}))
	}
	w.want(bettina, "")
	w.clean()
}

// TestADR7_5_RetryNow: hold and pause end, and the pauses begin anew.
func TestADR7_5_RetryNow(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	ctx := context.Background()
	w.broken["mail.example"] = true
	w.send(1, dario)
	start := w.clock.Now()
	w.until(start.Add(time.Hour)) // pauses of ten minutes by now
	ids := numbers(p.list(pipeline.Filter{}))
	tried := w.attempts["mail.example"]
	retry := func() {
		t.Helper()
		if n, err := p.queue().RetryNow(ctx, operator, ids...); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		w.settle()
	}
	retry()
	if w.attempts["mail.example"] != tried+1 {
		t.Error("not tried")
	}
	if at, _ := w.next(); at.Sub(w.clock.Now()) != 30*time.Second {
		t.Errorf("next after %v", at.Sub(w.clock.Now()))
	}
	_, err := p.queue().Hold(ctx, operator, ids...)
	check(t, err)
	w.broken = map[string]bool{}
	retry()
	w.send(1, dario)
	var taken []storage.Job
	p.shaky.then = func() { taken = p.take(9) } // a worker is quicker than we are
	if _, err := p.queue().RetryNow(ctx, operator, numbers(p.list(pipeline.Filter{}))...); err != nil || len(taken) != 1 {
		t.Fatal(err, taken)
	}
	if again := p.take(9); len(again) != 0 {
		t.Error("a job that somebody has was handed out again")
	}
	check(t, p.relays.Relay(ctx, taken[0]))
	if len(w.outside) != 2 || p.acts() != "held olga, retried olga, retried olga, retried olga" {
		t.Errorf("%d sent, log %s", len(w.outside), p.acts())
	}
}

// TestADR7_5_Fail: the sender is told what the operator says, the deadlines
// end, and receipts end in silence.
func TestADR7_5_Fail(t *testing.T) {
	w := newWorld(t)
	p, beta := w.at(anna), w.at(bruno)
	ctx := context.Background()
	start := w.clock.Now()
	to := []string{bruno, carla, dario, bettina}
	w.replies["beta.example"], w.replies["mail.example"] = later(), later()
	w.broke[bettina] = true
	w.submit(anna, to, message(anna, strings.Join(to, ", "), "", "x\r\n"))
	w.settle()
	es := p.list(pipeline.Filter{})
	n, err := p.queue().Fail(ctx, operator, "  servizio\r\nX-Evil: 1\x00 dismesso "+strings.Repeat("a", 500), numbers(es)...)
	if n != 3 || err != nil {
		t.Fatalf("%d of %d, %v", n, len(es), err)
	}
	if got, want := w.story(anna, to...), "5.4.0, 5.4.0, 5.4.0, 5.3.0"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	for _, g := range w.inbox(anna)[1:] {
		x := g.rec.CertData.ExtendedError
		if !strings.Contains(x, " dal gestore: servizio X-Evil: 1 dismesso aaa") || len(x) > 300 || g.msg.Root.Header.Has("X-Evil") {
			t.Errorf("%q", x)
		}
	}
	events := p.records(ledger.QueueFailed)
	if len(events) != 3 || !strings.HasPrefix(events[0].Detail, "servizio X-Evil: 1 dismesso") || events[0].Actor != operator {
		t.Errorf("%+v", events)
	}
	before := w.kinds(anna)
	w.until(start.Add(36 * time.Hour))
	w.want(anna, before)
	if left := p.list(pipeline.Filter{}); len(left) != 0 {
		t.Errorf("left %+v", left)
	}

	// Of another's message: a notice to its sender; of our receipts: a record.
	w.replies = map[string]error{}
	w.send(1, bruno)
	for w.once(p, pipeline.JobRelay) {
	}
	if n, err := beta.queue().Fail(ctx, operator, "", numbers(beta.list(pipeline.Filter{Kind: pipeline.JobDeliver}))...); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	w.want(bruno, "")
	receipts := beta.list(pipeline.Filter{Kind: pipeline.JobRelay})
	n, err = beta.queue().Fail(ctx, operator, "prova", receipts[0].Job)
	if len(receipts) != 2 || n != 1 || err != nil { // take-charge, notice
		t.Fatalf("%d, %d, %v", len(receipts), n, err)
	}
	w.settle()
	if got := w.story(anna, bruno); got != "5.4.0 5.3.0" {
		t.Errorf("heard %q", got)
	}
	w.want("ricevute@alfa.example", "")
	e := beta.records(ledger.QueueFailed)
	if len(e) != 2 || e[0].Side != ledger.Foreign || e[0].Mailbox != bruno || e[0].Provider != "Gestore alfa.example" {
		t.Errorf("%+v", e)
	}
	w.clean()
}

// TestADR7_5_FailAfterTakeCharge: what the other provider answers for is not
// ours to refuse.
func TestADR7_5_FailAfterTakeCharge(t *testing.T) {
	w := newWorld(t)
	raw := envelopeFor(t, w, bruno)
	w.broken = map[string]bool{}
	check(t, w.receive(anna, []string{bruno}, raw)) // the 250 was lost
	for w.once(w.at(bruno), pipeline.JobRelay) {
	}
	p := w.at(anna)
	n, err := p.queue().Fail(context.Background(), operator, "", numbers(p.list(pipeline.Filter{}))...)
	if n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	w.settle()
	if got := w.story(anna, bruno); got != "ok" {
		t.Errorf("heard %q", got)
	}
}

// TestADR7_5_Refused: a job that is being done is left alone, whatever the act,
// and deadlines are nobody's to move.
func TestADR7_5_Refused(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	ctx := context.Background()
	w.send(1, bruno)
	var deadline storage.JobID
	check(t, p.store.Jobs(ctx, pipeline.JobDeadline, func(j storage.Job) error { deadline = j.ID; return nil }))
	j := p.take(1)[0]
	q := p.queue()
	for name, act := range map[string]func(ids ...storage.JobID) (int, error){
		"hold":    func(ids ...storage.JobID) (int, error) { return q.Hold(ctx, operator, ids...) },
		"release": func(ids ...storage.JobID) (int, error) { return q.Release(ctx, operator, ids...) },
		"retry":   func(ids ...storage.JobID) (int, error) { return q.RetryNow(ctx, operator, ids...) },
		"fail":    func(ids ...storage.JobID) (int, error) { return q.Fail(ctx, operator, "", ids...) },
	} {
		for id, kind := range map[storage.JobID]fault.Kind{j.ID: fault.Conflict, deadline: fault.Denied, 999: fault.NotFound} {
			n, err := act(id)
			if n != 0 || !fault.Is(err, kind) || !strings.Contains(fault.TextOf(err), " / ") || !strings.Contains(fault.TextOf(err), fmt.Sprint(id)) {
				t.Errorf("%s %d: %d, %v, want %v", name, id, n, err, kind)
			}
		}
	}
	if p.acts() != "" {
		t.Errorf("log %s", p.acts())
	}
	check(t, p.relays.Relay(ctx, j)) // undisturbed
	w.settle()
	if got := w.story(anna, bruno); got != "ok" {
		t.Errorf("heard %q", got)
	}
	// An act whose commit fails changes nothing and keeps nothing.
	w.broken["beta.example"] = true
	w.send(1, bruno)
	p.shaky.before = true
	ids := numbers(p.list(pipeline.Filter{}))
	for range 2 {
		if n, err := q.Hold(ctx, operator, ids...); n != 0 || !fault.Is(err, fault.Temporary) {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := q.Fail(ctx, operator, "", ids...); n != 0 || !fault.Is(err, fault.Temporary) {
			t.Errorf("%d, %v", n, err)
		}
	}
	p.shaky.before = false
	w.broken = map[string]bool{}
	w.clock.Advance(time.Minute)
	w.settle()
	if got := w.story(anna, bruno); got != "ok ok" {
		t.Errorf("heard %q", got)
	}
}

// TestADR7_5_Many: acts on hundreds of messages, in steps.
func TestADR7_5_Many(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.broken["mail.example"] = true
	w.send(130, dario)
	ids := numbers(p.list(pipeline.Filter{Kind: pipeline.JobRelay}))
	if n, err := p.queue().Hold(context.Background(), operator, ids...); n != 130 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n := len(p.list(pipeline.Filter{Held: true})); n != 130 || len(p.records(ledger.QueueHeld)) != 130 {
		t.Errorf("%d held", n)
	}
}
