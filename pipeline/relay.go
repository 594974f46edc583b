// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// defaultUnproven is half of the workers that a node has by default.
const defaultUnproven = 16

// RelayPoint takes envelopes and receipts to other servers, durably.
type RelayPoint struct {
	*Core
	// MaxUnproven bounds the attempts at once to destinations that have not
	// answered yet; half as many go to those that failed. It is to be less than
	// the relay's workers, whom dead servers could otherwise keep busy.
	MaxUnproven int

	carrier  Carrier
	lanes    *lanes
	underway underway
}

// NewRelayPoint returns the relay of a provider. c tries each destination once
// per attempt; the relay plans the attempts. A provider has one of them: it
// knows which destinations are in trouble.
func NewRelayPoint(core *Core, c Carrier) *RelayPoint {
	return &RelayPoint{Core: core, MaxUnproven: defaultUnproven, carrier: c, lanes: newLanes(core.Store, core.Clock)}
}

// Relay does one attempt of one job, or gives the job back to the queue where
// its destination has to wait. What the other server answered is recorded in
// one commit: recipients done, notices about final refusals, and the rest
// rescheduled. A crash between the other server's answer and that commit sends
// the message again: the receiving point recognises it.
func (r *RelayPoint) Relay(ctx context.Context, job storage.Job) error {
	const op = "pipeline.Relay"
	var p relayPayload
	if err := decodePayload(job.Payload, &p); err != nil {
		return err
	}
	defer r.underway.enter(job.ID)()
	over := expired(job, r.now())
	if over && (p.Spent || job.Held || r.lanes.down(job.Lane)) {
		return fault.Wrap(op, r.abandon(ctx, job, p))
	}
	v, ok := r.lanes.begin(job.Lane, over, r.MaxUnproven)
	if !ok {
		r.Store.Release(job.ID)
		return nil
	}
	a, next, err := r.send(ctx, v, job, p)
	switch {
	case err != nil && over && ctx.Err() == nil:
		r.Logger.Error("relay given up", "id", p.ID, "error", err)
		return fault.Wrap(op, r.abandon(ctx, job, p))
	case err != nil:
		return fault.Wrap(op, err)
	case a.Contact == NotAsked && ctx.Err() != nil:
		return fault.New(op, fault.Temporary, ctx.Err()) // nothing happened: the job stays as it is
	}
	// What was sent was sent, also when the node is being stopped: recording it
	// spares the recipients a second copy.
	return fault.Wrap(op, r.settle(context.WithoutCancel(ctx), job, p, a, next))
}

// send makes the attempt. next is when another one makes sense if nobody was reached.
func (r *RelayPoint) send(ctx context.Context, v *visit, job storage.Job, p relayPayload) (a Attempt, next time.Time, err error) {
	defer func() { next = r.lanes.end(v, a.Contact) }()
	body, err := r.Store.OpenBody(ctx, job.Body)
	if err != nil {
		return a, next, err
	}
	defer body.Close()
	a = r.carrier.Send(ctx, Dispatch{
		Sender: p.Sender, Recipients: p.Recipients, Domain: job.Lane, Size: body.Size(),
		EightBit: p.EightBit, Body: body, RequireTLS: p.Certified && r.RequireTLS,
	})
	return a, next, nil
}

// abandon gives an expired job up without an attempt.
func (r *RelayPoint) abandon(ctx context.Context, job storage.Job, p relayPayload) error {
	a := Attempt{Contact: Unreached}
	for _, to := range p.Recipients {
		a.Results = append(a.Results, RecipientResult{Recipient: to, Err: fault.New("pipeline.abandon", fault.Temporary, nil), Reply: job.LastError})
	}
	return r.settle(ctx, job, p, a, time.Time{})
}

// settle records what became of an attempt.
func (r *RelayPoint) settle(ctx context.Context, job storage.Job, p relayPayload, a Attempt, next time.Time) error {
	return r.commitFresh(ctx, func() (*storage.Step, error) {
		s := &settling{RelayPoint: r, step: new(storage.Step), job: job, p: p, at: r.now()}
		over := expired(job, s.at)
		var sent, left, rest []string
		var reply string
		for _, res := range a.Results {
			var err error
			switch {
			case res.Err == nil:
				sent = append(sent, res.Recipient)
			case !temporary(res.Err):
				err = s.refuse(ctx, res.Recipient, relayRefusal(res.Err), res.Reply)
			case !over:
				left, reply = append(left, res.Recipient), res.Reply
			case s.told >= noticesPerStep:
				rest, reply = append(rest, res.Recipient), res.Reply
			default:
				err = s.giveUp(ctx, res.Recipient, res.Reply)
			}
			if err != nil {
				return nil, err
			}
		}
		if len(sent) > 0 {
			s.step.Add(r.record(s.event(ledger.RelayOK, sent...)))
		}
		switch {
		case len(rest) > 0: // the next step tells them
			s.again(rest, reply, s.at, true)
		case len(left) > 0:
			due := s.at.Add(retryAfter(job.Attempts))
			if a.Contact == Unreached {
				due = next
			}
			due = earlier(due, job.Created.Add(relayLife))
			s.again(left, reply, due, a.Contact == Unreached)
			e := s.event(ledger.RelayAttempt, left...)
			e.Next, e.Detail = due, reply
			s.step.Add(r.record(e))
		default:
			s.step.Add(&storage.FinishJob{ID: job.ID})
		}
		return s.step, nil
	})
}

// settling is a step that ends an attempt, while it is made.
type settling struct {
	*RelayPoint
	step *storage.Step
	job  storage.Job
	p    relayPayload
	at   time.Time
	told int // notices in the step

	tx   *storage.Transaction // see recipient
	open map[string]storage.TxRecipient
}

// again reschedules the job for the recipients that are left.
func (s *settling) again(left []string, reply string, due time.Time, spent bool) {
	p := s.p
	p.Recipients, p.Spent = left, spent
	s.step.Add(&storage.RetryJob{ID: s.job.ID, Due: due, Payload: encodePayload(p), LastError: reply})
}

func (s *settling) event(k ledger.Kind, recipients ...string) ledger.Event {
	e := ledger.Event{At: s.at, Kind: k, ID: s.p.ID, Sender: s.p.Sender, Peer: s.job.Lane, Attempt: s.job.Attempts + 1}
	if s.p.Envelope {
		e.Side, e.Mailbox = ledger.Own, s.p.Sender
	}
	concern(&e, recipients...)
	return e
}

func temporary(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Temporary || k == fault.Internal || k == fault.TooMany || k == fault.Conflict
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// retryAfter plans the attempts inside relayLife for a message that a server
// has put off: quick ones first, then every half hour.
func retryAfter(attempts int) time.Duration {
	plan := [...]time.Duration{
		2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	}
	if attempts < len(plan) {
		return plan[attempts]
	}
	return 30 * time.Minute
}
