// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/ratelimit"
	"pecd/storage"
)

// Allowance is what one message of a mailbox may be, as things stand.
type Allowance struct {
	Recipients   int   // at most
	MessageBytes int64 // at most, octets as submitted; 0: no bound but the node's
}

// LimitMetrics counts what the send limits do.
type LimitMetrics interface {
	Refused(window string)
	Checked(took time.Duration)
}

// SendLimits bounds what mailboxes send. Service mailboxes of the provider are
// not bounded.
type SendLimits struct {
	Limiter ratelimit.Limiter
	Metrics LimitMetrics // nil: nothing is counted

	mu   sync.Mutex
	said map[string]time.Time // by mailbox and window: when the log was told last
}

// saidEvery is how often the log is told that a mailbox has reached a bound: a
// client may try again and again.
const saidEvery = time.Minute

// Allowance implements Acceptor.
func (a *Access) Allowance(ctx context.Context, s Submission, recipients int) (Allowance, error) {
	const op = "pipeline.Allowance"
	box, err := a.Mailboxes.Mailbox(ctx, s.Sender)
	if err != nil {
		return Allowance{}, fault.Wrap(op, err)
	}
	f, err := a.Mailboxes.Figures(ctx, box)
	if err != nil {
		return Allowance{}, fault.Wrap(op, err)
	}
	if recipients > f.MaxRecipients {
		return Allowance{}, ratelimit.TooMany(op, f.MaxRecipients)
	}
	allowed := Allowance{Recipients: f.MaxRecipients, MessageBytes: f.MaxMessage}
	if a.Limits == nil || box.Service {
		return allowed, nil
	}
	begun := a.Clock.Now()
	room, err := a.Limits.Limiter.Peek(ctx, box.Address, Bounds(f), recipients)
	a.Limits.checked(a.Clock.Now().Sub(begun))
	if err != nil {
		return Allowance{}, fault.Wrap(op, a.limited(ctx, s, box, err))
	}
	allowed.Recipients = min(allowed.Recipients, room)
	return allowed, nil
}

// Bounds are the figures of sending.
func Bounds(f storage.Figures) ratelimit.Figures {
	return ratelimit.Figures{
		PerMinute: f.MaxPerMinute, PerDay: f.MaxPerDay,
		RecipientsPerMinute: f.RecipientsPerMinute, RecipientsPerDay: f.RecipientsPerDay,
	}
}

// count takes the message's place in the send limits, right before it is
// accepted, and adds what puts it on record to step. nil: it is not bounded.
func (a *Access) count(ctx context.Context, step *storage.Step, m *accepted) (*ratelimit.Hold, error) {
	if a.Limits == nil || m.box.Service {
		return nil, nil
	}
	n := len(m.Recipients)
	if n > m.figures.MaxRecipients {
		return nil, ratelimit.TooMany("pipeline.count", m.figures.MaxRecipients)
	}
	begun := a.Clock.Now()
	hold, err := a.Limits.Limiter.Take(ctx, m.box.Address, Bounds(m.figures), n)
	a.Limits.checked(a.Clock.Now().Sub(begun))
	if err != nil {
		return nil, a.limited(ctx, m.Submission, m.box, err)
	}
	step.Add(&storage.CountSent{Mailbox: m.box.ID, At: hold.At, Recipients: n})
	return hold, nil
}

// limited counts a refusal and has the log know of it once in a while.
func (a *Access) limited(ctx context.Context, s Submission, box storage.Mailbox, err error) error {
	var r *ratelimit.Reached
	if !errors.As(err, &r) {
		return err
	}
	if a.Limits.Metrics != nil {
		a.Limits.Metrics.Refused(string(r.Window))
	}
	at := a.Clock.Now()
	if !a.Limits.mayTell(strings.ToLower(box.Address)+" "+string(r.Window), at) {
		return err
	}
	step := new(storage.Step).Add(a.record(ledger.Event{
		At: at, Kind: ledger.LimitReached, Side: ledger.Own, Sender: s.Sender, Mailbox: box.Address, User: s.Login, Program: s.Program, ProgramID: s.ProgramID,
		Channel: ledger.SMTP, Peer: s.Peer.Remote,
		Detail: fmt.Sprintf("window=%s figure=%d reduced=%t opens=%s", r.Window, r.Figure, r.Reduced, r.Opens.Format(time.RFC3339)),
	}))
	if failed := a.Store.Commit(ctx, step); failed != nil {
		a.Logger.Warn("send limit not on record", "mailbox", box.Address, "error", failed)
	}
	return err
}

func (l *SendLimits) checked(took time.Duration) {
	if l.Metrics != nil {
		l.Metrics.Checked(took)
	}
}

// mayTell reports whether it is time to tell the log again.
func (l *SendLimits) mayTell(what string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	recent := func(at time.Time) bool { return now.Sub(at) < saidEvery && !at.After(now) }
	if recent(l.said[what]) {
		return false
	}
	for key, at := range l.said {
		if !recent(at) {
			delete(l.said, key)
		}
	}
	if l.said == nil {
		l.said = make(map[string]time.Time)
	}
	l.said[what] = now
	return true
}
