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
	"pecd/ratelimit"
	"pecd/storage"
)

// onRecord shows a provider's store to its limiter.
type onRecord struct{ *provider }

// Sent implements ratelimit.Record.
func (r onRecord) Sent(ctx context.Context, key string, from time.Time) (all []ratelimit.Entry, err error) {
	box, err := r.store.Mailbox(ctx, key)
	if err != nil {
		return nil, err
	}
	counts, err := r.store.Sent(ctx, box.ID, from)
	for _, c := range counts {
		all = append(all, ratelimit.Entry{At: c.At, Count: ratelimit.Count{Messages: c.Messages, Recipients: c.Recipients}})
	}
	return all, err
}

// Senders implements ratelimit.Record.
func (onRecord) Senders(context.Context, time.Time, func(string) error) error { return nil }

// limited gives a provider's access point send limits, as a node that starts.
func (p *provider) limited() {
	p.access.Limits = &pipeline.SendLimits{Limiter: ratelimit.NewLocal(ratelimit.Config{
		Clock: p.w.clock, Location: p.core.Builder.Location, Record: onRecord{p},
	})}
}

// trySend hands a message in, and returns what the client would be told.
func (w *world) trySend(from string, to ...string) error {
	_, err := w.at(from).access.Submit(context.Background(), pipeline.Submission{Login: from, Sender: from, Recipients: to},
		strings.NewReader(message(from, strings.Join(to, ", "), "", "x\r\n")))
	return err
}

// tier sets the figures of the mailboxes of alfa.
func (w *world) tier(set func(f *storage.Figures)) {
	w.t.Helper()
	p := w.at(anna)
	tier, err := p.users.Tier(context.Background(), "standard")
	check(w.t, err)
	set(&tier.Figures)
	check(w.t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	p.restart()
	p.limited()
}

// TestD4_AcceptedMessagesCount: what was accepted counts, for the minute and the
// day, over a restart, and nothing else does.
func TestD4_AcceptedMessagesCount(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.tier(func(f *storage.Figures) { f.MaxPerMinute, f.MaxPerDay = 3, 5 })
	check(t, w.trySend(anna, bruno))
	// A formally wrong one is answered by a notice, and one whose commit fails by 451.
	w.submit(anna, []string{bruno}, message(anna, "altri@beta.example", "", "x\r\n"))
	p.shaky.before = true
	if err := w.trySend(anna, bruno); !fault.Is(err, fault.Temporary) {
		t.Errorf("a commit that failed: %v", err)
	}
	p.shaky.before = false
	check(t, w.trySend(anna, bruno, carla))
	// A commit of which nobody knows: it did succeed.
	p.shaky.after = true
	if err := w.trySend(anna, bruno); !fault.Is(err, fault.Temporary) {
		t.Errorf("a commit of unknown outcome: %v", err)
	}
	p.shaky.after = false
	err := w.trySend(anna, bruno)
	if !fault.Is(err, fault.Limited) || !strings.HasPrefix(fault.TextOf(err), "limite di 3 messaggi al minuto raggiunto, riapre alle 10:16:0") {
		t.Fatalf("fourth of a minute: %v", err)
	}
	p.restart()
	p.limited()
	if err := w.trySend(anna, bruno); !fault.Is(err, fault.Limited) {
		t.Fatalf("fourth of a minute, after a restart: %v", err)
	}
	check(t, w.trySend("bruno@alfa.example", bruno)) // another mailbox
	w.clock.Advance(time.Minute + time.Second)
	check(t, w.trySend(anna, bruno))
	check(t, w.trySend(anna, bruno))
	err = w.trySend(anna, bruno)
	if !fault.Is(err, fault.Limited) || !strings.HasPrefix(fault.TextOf(err), "limite di 5 messaggi al giorno raggiunto, riapre alle 00:00:00 del 04/06/2026 / limit of 5 messages a day") {
		t.Fatalf("sixth of a day: %v", err)
	}
	if k := strings.Count(w.kinds(anna), "accettazione"); k != 6 { // five, and the non-acceptance
		t.Errorf("%d receipts: %s", k, w.kinds(anna))
	}
	w.clock.Advance(14 * time.Hour)
	check(t, w.trySend(anna, bruno))
	w.clean()
}

// TestS4_035_Allowance: what a message may be, before it is sent.
func TestS4_035_Allowance(t *testing.T) {
	w := newWorld(t)
	w.tier(func(f *storage.Figures) { f.MaxRecipients, f.RecipientsPerMinute, f.MaxMessage = 5, 12, 1000 })
	p, ctx := w.at(anna), context.Background()
	from := pipeline.Submission{Login: anna, Sender: anna}
	allowed, err := p.access.Allowance(ctx, from, 1)
	if err != nil || allowed != (pipeline.Allowance{Recipients: 5, MessageBytes: 1000}) {
		t.Fatalf("%+v, %v", allowed, err)
	}
	if _, err := p.access.Allowance(ctx, from, 6); !fault.Is(err, fault.TooMany) || !strings.Contains(fault.TextOf(err), "al massimo 5 per messaggio") {
		t.Errorf("six recipients: %v", err)
	}
	many := func(n int) (to []string) {
		for i := range n {
			to = append(to, fmt.Sprintf("r%d@mail.example", i))
		}
		return to
	}
	if err := w.trySend(anna, many(6)...); !fault.Is(err, fault.TooMany) {
		t.Errorf("six recipients: %v", err)
	}
	check(t, w.trySend(anna, many(5)...))
	check(t, w.trySend(anna, many(5)...))
	if allowed, err = p.access.Allowance(ctx, from, 1); err != nil || allowed.Recipients != 2 {
		t.Errorf("%+v, %v", allowed, err)
	}
	if _, err = p.access.Allowance(ctx, from, 3); !fault.Is(err, fault.Limited) || !strings.Contains(fault.TextOf(err), "destinatari al minuto") {
		t.Errorf("three recipients more: %v", err)
	}
	// What is raised for the mailbox holds at once.
	box, err := p.store.Mailbox(ctx, anna)
	check(t, err)
	box.Raised = storage.Figures{MaxRecipients: 7, RecipientsPerMinute: 17}
	check(t, p.store.Commit(ctx, new(storage.Step).Add(&storage.PutMailbox{Mailbox: box})))
	p.restart()
	p.limited()
	if allowed, err = p.access.Allowance(ctx, from, 7); err != nil || allowed.Recipients != 7 {
		t.Errorf("raised: %+v, %v", allowed, err)
	}
	w.submit(anna, many(1), message(anna, "r0@mail.example", "", strings.Repeat("x\r\n", 400)))
	if k := w.kinds(anna); !strings.HasSuffix(k, "non-accettazione") {
		t.Errorf("beyond the mailbox's size: %s", k)
	}
}

// TestLimitReachedIsOnRecordOnce: the log knows of a bound that was reached, once
// a minute however often a client tries.
func TestLimitReachedIsOnRecordOnce(t *testing.T) {
	w := newWorld(t)
	w.tier(func(f *storage.Figures) { f.MaxPerMinute, f.MaxPerDay = 1, 2 })
	p := w.at(anna)
	reached := func() (out []string) {
		check(t, p.store.Records(context.Background(), 1, func(r storage.Record) error {
			if r.Event == string(ledger.LimitReached) {
				out = append(out, r.Mailbox+" "+string(r.Data))
			}
			return nil
		}))
		return out
	}
	check(t, w.trySend(anna, bruno))
	for range 5 {
		if err := w.trySend(anna, bruno); !fault.Is(err, fault.Limited) {
			t.Fatal(err)
		}
		if _, err := p.access.Allowance(context.Background(), pipeline.Submission{Login: anna, Sender: anna}, 1); !fault.Is(err, fault.Limited) {
			t.Fatal(err)
		}
	}
	if got := reached(); len(got) != 1 || !strings.HasPrefix(got[0], anna) || !strings.Contains(got[0], "window=minute figure=1 reduced=false opens=2026-06-03T10:16:05+02:00") {
		t.Fatalf("on record: %q", got)
	}
	w.clock.Advance(time.Minute)
	check(t, w.trySend(anna, bruno))
	for range 3 { // the day's bound is another
		if err := w.trySend(anna, bruno); !fault.Is(err, fault.Limited) {
			t.Fatal(err)
		}
	}
	w.clock.Advance(time.Minute)
	if err := w.trySend(anna, bruno); !fault.Is(err, fault.Limited) {
		t.Fatal(err)
	}
	if got := reached(); len(got) != 3 {
		t.Errorf("on record: %q", got)
	}
}

// TestServiceMailboxesAreNotLimited: the provider's own mailboxes have no bounds.
func TestServiceMailboxesAreNotLimited(t *testing.T) {
	w := newWorld(t)
	w.tier(func(f *storage.Figures) { f.MaxPerMinute = 1 })
	for range 3 {
		check(t, w.trySend("ricevute@alfa.example", bruno))
	}
}
