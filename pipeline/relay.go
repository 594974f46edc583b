// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"sync/atomic"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// A node has 128 workers by default. Half of them may wait for destinations
// that have not answered, a quarter is left to certified ones in any case.
const defaultUnproven, defaultOrdinary = 64, 224

// How long one attempt may take in all: the base, and what the size and the
// number of recipients allow besides, a message to a slow line among them. Each
// single wait may be in order, and a thousand of them take days.
const (
	attemptBase, longestAttempt = 15 * time.Minute, 2 * time.Hour
	perRecipient                = 2 * time.Second
	slowestRate                 = 16 << 10 // octets a second
	// lastChance is what an attempt gets even where its message has expired.
	lastChance = 5 * time.Minute
	// tedious is the base of an attempt after which a destination counts as
	// unproven, whatever it answered.
	tedious = time.Minute
)

// RelayPoint takes envelopes and receipts to other servers, durably.
type RelayPoint struct {
	*Core
	// MaxUnproven bounds the attempts at once to ordinary destinations that have
	// not answered: half of it for those not asked yet, half for those that
	// failed. Certified destinations have a quarter of it for each, which is
	// theirs alone. It is to be half of the relay's workers, whom dead servers
	// could otherwise keep busy.
	MaxUnproven int
	// MaxOrdinary bounds the attempts at once to ordinary destinations of any
	// kind. What it leaves of the workers, and of the places that they lend to
	// attempts that take long (Worker.Parallel), is kept for certified ones.
	MaxOrdinary int

	// LostNotices counts notices to contacts that were not delivered.
	LostNotices atomic.Int64

	carrier  Carrier
	lanes    *lanes
	underway underway
	unsaved  unsaved
}

// NewRelayPoint returns the relay of a provider. c tries each destination once
// per attempt; the relay plans the attempts. A provider has one of them: it
// knows which destinations are in trouble.
func NewRelayPoint(core *Core, c Carrier) *RelayPoint {
	return &RelayPoint{
		Core: core, MaxUnproven: defaultUnproven, MaxOrdinary: defaultOrdinary,
		carrier: c, lanes: newLanes(core.Store, core.Clock),
	}
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
	if len(p.Owed) > 0 { // notices first: they need nobody's server
		return fault.Wrap(op, r.settle(ctx, job, p, Attempt{}, time.Time{}))
	}
	if u, ok := r.unsaved.take(job); ok {
		return fault.Wrap(op, r.save(ctx, job, p, u.Attempt, u.next))
	}
	over := expired(job, r.now())
	if over && (p.Spent || job.Held || r.lanes.down(job.Lane)) {
		return fault.Wrap(op, r.abandon(ctx, job, p))
	}
	v, ok := r.lanes.begin(job.Lane, p.Certified, over, r.limits())
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
	return fault.Wrap(op, r.save(ctx, job, p, a, next))
}

// save records an attempt. What was sent was sent, also when the node is being
// stopped: recording it spares the recipients a second copy. Where that fails,
// the attempt is remembered for when the job comes back.
func (r *RelayPoint) save(ctx context.Context, job storage.Job, p relayPayload, a Attempt, next time.Time) error {
	err := r.settle(context.WithoutCancel(ctx), job, p, a, next)
	if err != nil && !fault.Is(err, fault.NotFound) {
		r.unsaved.keep(job, a, next)
	}
	if err == nil {
		r.answered(job, p, a)
	}
	return err
}

func (r *RelayPoint) limits() limits {
	return limits{unproven: r.MaxUnproven, ordinary: r.MaxOrdinary}
}

// send makes the attempt. next is when another one makes sense if nobody was reached.
func (r *RelayPoint) send(ctx context.Context, v *visit, job storage.Job, p relayPayload) (a Attempt, next time.Time, err error) {
	began, fair := r.Clock.Now(), time.Duration(0)
	defer func() { next = r.lanes.end(v, a, fair > 0 && r.Clock.Now().Sub(began) > fair) }()
	body, err := r.Store.OpenBody(ctx, job.Body)
	if err != nil {
		return a, next, err
	}
	defer body.Close()
	if err := body.Intact(); err != nil { // what the disk altered must not go out as ours
		return a, next, err
	}
	work := allowance(body.Size(), len(p.Recipients))
	fair = tedious + work
	a = r.carrier.Send(ctx, Dispatch{
		Sender: p.Sender, Recipients: p.Recipients, Domain: job.Lane, Size: body.Size(),
		EightBit: p.EightBit, Body: body, RequireTLS: p.Certified && r.RequireTLS,
		Until: attemptEnd(job, began, work),
	})
	return a, next, nil
}

// allowance is the time that a message of a size in octets may take on its way
// to a number of recipients.
func allowance(size int64, recipients int) time.Duration {
	return time.Duration(size/slowestRate)*time.Second + time.Duration(recipients)*perRecipient
}

// attemptEnd is when an attempt that begins now is broken off. It does not keep
// the job from its expiry, but for a last attempt.
func attemptEnd(job storage.Job, now time.Time, work time.Duration) time.Time {
	end := now.Add(min(attemptBase+work, longestAttempt))
	expiry := job.Created.Add(relayLife)
	if last := now.Add(lastChance); last.After(expiry) {
		expiry = last
	}
	return earlier(end, expiry)
}

// abandon gives an expired job up without an attempt.
func (r *RelayPoint) abandon(ctx context.Context, job storage.Job, p relayPayload) error {
	a := Attempt{Contact: Unreached}
	for _, to := range p.Recipients {
		a.Results = append(a.Results, RecipientResult{Recipient: to, Err: fault.New("pipeline.abandon", fault.Temporary, nil), Reply: job.LastError})
	}
	return r.settle(ctx, job, p, a, time.Time{})
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
