// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// relayLife is how long an undelivered message is tried: an error must reach
// the sender within 24 hours (RFC 6109 §2.2.2, pec-rules §1.8).
const relayLife = 24 * time.Hour

// RelayPoint takes envelopes and receipts to other servers, durably.
type RelayPoint struct {
	*Core
	carrier   Carrier
	envelopes *envelopes
}

// NewRelayPoint returns the relay of a provider. c tries each destination once
// per attempt; the relay plans the attempts.
func NewRelayPoint(core *Core, c Carrier) *RelayPoint {
	return &RelayPoint{Core: core, carrier: c, envelopes: newEnvelopes(core.Store)}
}

// Relay does one attempt of one job. What the other server answered is
// recorded in one commit: recipients done, notices about final refusals, and
// the rest rescheduled. A crash between the other server's answer and that
// commit sends the message again: the receiving point recognises it.
func (r *RelayPoint) Relay(ctx context.Context, job storage.Job) error {
	const op = "pipeline.Relay"
	var p relayPayload
	if err := decodePayload(job.Payload, &p); err != nil {
		return err
	}
	results, err := r.send(ctx, job, p)
	if err != nil {
		return fault.Wrap(op, err)
	}
	// What was sent was sent, also when the node is being stopped: recording it
	// spares the recipients a second copy.
	ctx = context.WithoutCancel(ctx)
	at := r.now()
	step := new(storage.Step)
	left, lastReply, err := r.settle(ctx, step, job, p, results, at)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if len(left) == 0 {
		step.Add(&storage.FinishJob{ID: job.ID})
	} else {
		p.Recipients = left
		step.Add(&storage.RetryJob{
			ID: job.ID, Due: earlier(at.Add(retryAfter(job.Attempts)), job.Created.Add(relayLife)), Payload: encodePayload(p), LastError: lastReply,
		})
	}
	return fault.Wrap(op, r.Store.Commit(ctx, step))
}

func (r *RelayPoint) send(ctx context.Context, job storage.Job, p relayPayload) ([]RecipientResult, error) {
	body, err := r.Store.OpenBody(ctx, job.Body)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return r.carrier.Send(ctx, Dispatch{
		Sender: p.Sender, Recipients: p.Recipients, Domain: job.Lane, Size: body.Size(),
		EightBit: p.EightBit, Body: body, RequireTLS: p.Certified && r.RequireTLS,
	}), nil
}

// settle sorts the answers: what is done or finally refused goes into step,
// the recipients to be tried again are returned.
func (r *RelayPoint) settle(ctx context.Context, step *storage.Step, job storage.Job, p relayPayload, results []RecipientResult, at time.Time) (left []string, lastReply string, err error) {
	expired := at.Sub(job.Created) >= relayLife
	var sent []string
	for _, res := range results {
		switch {
		case res.Err == nil:
			sent = append(sent, res.Recipient)
		case temporary(res.Err) && !expired:
			left, lastReply = append(left, res.Recipient), res.Reply
		default:
			if err := r.refused(ctx, step, job, p, res, at); err != nil {
				return nil, "", err
			}
		}
	}
	if len(sent) > 0 {
		step.Add(r.record(r.event(ledger.RelayOK, job, p, at, sent...)))
	}
	return left, lastReply, nil
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

// refused tells the sender of an envelope that one recipient's server refused
// it for good. A receipt of ours that nobody takes is a fact for the log: it
// must not be answered by another receipt.
func (r *RelayPoint) refused(ctx context.Context, step *storage.Step, job storage.Job, p relayPayload, res RecipientResult, at time.Time) error {
	no := relayRefusal(res.Err)
	extended := no.extended(r.Builder.Provider.Name)
	e := r.event(ledger.RelayFailed, job, p, at, res.Recipient)
	e.Error, e.Detail = string(no.code), extended+": "+res.Reply
	open, err := r.open(ctx, p, res.Recipient)
	if err != nil {
		return err
	}
	if !open {
		step.Add(r.record(e))
		return nil
	}
	e.Side = ledger.Own
	env, err := r.envelopes.get(ctx, job.Body)
	if err != nil {
		return err
	}
	draft := r.Builder.NonDelivery(env.cert, at, res.Recipient, no.code, extended)
	notice, err := r.seal(ctx, draft, nil, at)
	if err != nil {
		return err
	}
	e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
	ok, err := r.route(ctx, step, notice, env.cert.Sender, p.ID, false, at)
	if err != nil {
		return err
	}
	if !ok {
		e.Detail += "; mittente inesistente"
	}
	step.Add(r.record(e), &storage.MarkRecipient{
		ID: p.ID, Own: true, Address: res.Recipient, Outcome: storage.Failed, OutcomeAt: at, OutcomeRef: draft.MessageID,
	})
	return nil
}

// open reports whether the sender is still to learn what became of the envelope
// for this recipient. A provider that took it in charge, or already told its
// outcome, answers for it: its 250 may have been lost on the way back.
func (r *RelayPoint) open(ctx context.Context, p relayPayload, recipient string) (bool, error) {
	if !p.Envelope {
		return false, nil
	}
	tx, err := r.Store.Transaction(ctx, p.ID, true)
	if err != nil {
		return false, err
	}
	for _, t := range tx.Recipients {
		if strings.EqualFold(t.Address, recipient) {
			return t.Outcome == storage.Pending && t.TakenAt.IsZero(), nil
		}
	}
	return false, nil
}

func (r *RelayPoint) event(k ledger.Kind, job storage.Job, p relayPayload, at time.Time, recipients ...string) ledger.Event {
	e := ledger.Event{At: at, Kind: k, ID: p.ID, Sender: p.Sender, Peer: job.Lane, Attempt: job.Attempts + 1}
	concern(&e, recipients...)
	return e
}

// relayRefusal translates the other server's answer into the coding of note 12.
func relayRefusal(err error) refusal {
	if errors.Is(err, ErrNoDomain) {
		return refusal{pec.NoDomain, "5.1.2", "dominio del destinatario inesistente"}
	}
	switch fault.KindOf(err) {
	case fault.NotFound:
		return refusal{pec.NoDest, "5.1.1", "indirizzo non valido"}
	case fault.Disabled:
		return refusal{pec.OtherError, "5.2.1", "casella disabilitata"}
	case fault.Quota:
		return refusal{pec.OtherError, "5.2.2", "casella piena"}
	case fault.TooLarge:
		return refusal{pec.OtherError, "5.3.4", "messaggio troppo grande per il sistema del destinatario"}
	case fault.Unsupported:
		return refusal{pec.OtherError, "5.6.3", "il sistema del destinatario non accetta contenuti a 8 bit"}
	case fault.Temporary, fault.Internal, fault.TooMany, fault.Conflict:
		return refusal{pec.OtherError, "5.4.7", "superato il tempo massimo di inoltro"}
	}
	return refusal{pec.OtherError, "5.7.1", "messaggio rifiutato dal sistema del destinatario"}
}

// ErrNoDomain is the cause of a result for a destination that does not exist
// or takes no mail (RFC 7505).
var ErrNoDomain = errors.New("destination domain does not exist or takes no mail")

// retryAfter plans the attempts inside relayLife: quick ones first, for a peer
// that restarts, then every half hour.
func retryAfter(attempts int) time.Duration {
	plan := [...]time.Duration{
		2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	}
	if attempts < len(plan) {
		return plan[attempts]
	}
	return 30 * time.Minute
}
