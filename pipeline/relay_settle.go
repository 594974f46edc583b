// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"slices"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// settling is a step that ends an attempt, while it is made.
type settling struct {
	*RelayPoint
	step *storage.Step
	job  storage.Job
	p    relayPayload
	at   time.Time

	told, size int // notices in the step, and their octets

	tx   *storage.Transaction // see recipient
	open map[string]storage.TxRecipient
}

// settle records what became of an attempt, or tells what an earlier one has
// left to be told. Notices that do not fit into the step, or cannot be made at
// present, stay with the job: what the server has taken is recorded in any
// case, or it would be sent a second time for their sake.
func (r *RelayPoint) settle(ctx context.Context, job storage.Job, p relayPayload, a Attempt, next time.Time) error {
	if p.Notice != nil {
		return r.settleNotice(ctx, job, p, a, next)
	}
	return r.commitFresh(ctx, func() (*storage.Step, error) {
		s := &settling{RelayPoint: r, step: new(storage.Step), job: job, p: p, at: r.now()}
		sent, left, reply := s.sort(a)
		if len(sent) > 0 {
			s.step.Add(r.record(s.event(ledger.RelayOK, sent...)))
		}
		if len(left) > 0 {
			s.putOff(left, reply, a.Contact, next)
		}
		rest, err := s.tell(ctx, s.p.Owed)
		due := s.at
		if err != nil {
			if len(a.Results) == 0 && s.told == 0 {
				return nil, err // nothing new to record
			}
			r.Logger.Error("notices are put off", "id", p.ID, "error", err)
			due = s.at.Add(firstWait)
		}
		s.end(rest, due, reply)
		return s.step, nil
	})
}

// sort parts the results into recipients that are done and those to be tried
// again, with the last reply about the latter. Final answers become debts.
func (s *settling) sort(a Attempt) (sent, left []string, reply string) {
	over, reply := expired(s.job, s.at), s.job.LastError
	s.p.Owed = slices.Clone(s.p.Owed)
	for _, r := range a.Results {
		switch {
		case r.Err == nil:
			sent = append(sent, r.Recipient)
		case !temporary(r.Err):
			s.p.Owed = append(s.p.Owed, owe(r.Recipient, relayRefusal(r.Err), r.Reply))
		case over:
			d := owe(r.Recipient, timeIsOver(), r.Reply)
			d.Silence = true
			s.p.Owed = append(s.p.Owed, d)
		default:
			left, reply = append(left, r.Recipient), r.Reply
		}
	}
	if len(a.Results) > 0 {
		s.p.Recipients = left
	}
	return sent, left, reply
}

// putOff plans the next attempt.
func (s *settling) putOff(left []string, reply string, c Contact, next time.Time) {
	s.postpone(c, next)
	e := s.event(ledger.RelayAttempt, left...)
	e.Next, e.Detail = s.p.Next, reply
	s.step.Add(s.record(e))
}

// postpone sets when who is left is tried again.
func (s *settling) postpone(c Contact, next time.Time) {
	due := s.at.Add(retryAfter(s.job.Attempts))
	if c == Unreached {
		due = next
	}
	s.p.Next, s.p.Spent = earlier(due, s.job.Created.Add(relayLife)), c == Unreached
}

// tell adds the notices that are owed to the step, up to noticesPerStep and
// noticeBytesPerStep, and returns the rest.
func (s *settling) tell(ctx context.Context, owed []debt) (rest []debt, err error) {
	for i, d := range owed {
		if s.told == noticesPerStep || s.size >= noticeBytesPerStep {
			return owed[i:], nil
		}
		before := len(s.step.Ops)
		if d.Silence {
			err = s.giveUp(ctx, d.Recipient, d.Reply)
		} else {
			err = s.refuse(ctx, d.Recipient, d.refusal(), d.Reply)
		}
		if err != nil {
			s.step.Ops = s.step.Ops[:before]
			return owed[i:], err
		}
	}
	return nil, nil
}

// end is the job's: debts are paid at due, then who is left is tried at p.Next.
func (s *settling) end(rest []debt, due time.Time, reply string) {
	switch {
	case len(rest) == 0 && len(s.p.Recipients) == 0:
		s.step.Add(&storage.FinishJob{ID: s.job.ID})
		return
	case len(rest) == 0:
		due, s.p.Next = s.p.Next, time.Time{}
	}
	s.p.Owed = rest
	s.step.Add(&storage.RetryJob{ID: s.job.ID, Due: due, Payload: encodePayload(s.p), LastError: reply})
}

// event is a record about the message (RFC 6109 §2.3). A receipt of ours is
// about another provider's message, of which the job knows the identifier.
func (s *settling) event(k ledger.Kind, recipients ...string) ledger.Event {
	e := ledger.Event{
		At: s.at, Kind: k, ID: s.p.ID, MsgID: s.p.MsgID, Subject: s.p.Subject, Side: ledger.Foreign, Sender: s.p.Sender,
		Provider: s.Builder.Provider.Name, Peer: s.job.Lane, Attempt: s.job.Attempts + 1,
	}
	if s.p.Envelope {
		e.Side, e.Mailbox = ledger.Own, s.p.Sender
	}
	if s.p.Forward != "" {
		e.Mailbox = s.p.Forward
	}
	concern(&e, recipients...)
	return e
}
