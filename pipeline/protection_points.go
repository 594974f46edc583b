// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"io"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/storage"
)

// judge finds out what is done about unwanted contents of a submission.
func (a *Access) judge(ctx context.Context, m *accepted) error {
	const op = "pipeline.judge"
	s := Suspect{ID: m.cert.ID, Sender: m.Sender, Recipients: m.Recipients, Peer: m.Peer, Login: m.Login}
	found, err := a.spam(ctx, protection.Submission, []string{m.box.Address}, s, m.in.spool, m.in.spool.Size())
	if err != nil {
		return fault.Wrap(op, err)
	}
	m.unwanted = protection.Distinct(append(found, m.unwanted...))
	m.decision, err = a.ruled(ctx, protection.Submission, m.box.Address, m.unwanted)
	return fault.Wrap(op, err)
}

// reject answers a submission with the signed notice of non-acceptance, as one
// whose form is wrong: the sender can mend it (S4-066).
func (a *Access) reject(ctx context.Context, m *accepted) (string, error) {
	told := violationsOf(m.decision.Refused(), true)
	logged := reasonOf(violationsOf(m.decision.Refused(), false)) // without what the sender wrote
	step := new(storage.Step)
	a.intercepted(step, a.event(m, ledger.InterceptContents, nil), protection.Submission, m.decision)
	text, err := a.refuse(ctx, m, reasonOf(told), logged, step.Ops...)
	if err == nil {
		a.counted(protection.Submission, m.decision)
		a.suspected(m.box)
	}
	return text, err
}

func violationsOf(found []protection.Finding, where bool) []pec.Violation {
	italian, english := protection.Reason(found, where)
	return []pec.Violation{{Text: italian, English: english}}
}

// judgeEnvelope finds out what is unwanted in an envelope. What is done about it is
// each recipient's matter.
func (i *Incoming) judgeEnvelope(ctx context.Context, m *arrived, recipients []string) error {
	o := m.rec.Original
	original := io.NewSectionReader(m.in.spool, o.BodyOffset, o.End-o.BodyOffset)
	s := Suspect{ID: m.rec.CertData.ID, Sender: m.rec.CertData.Sender, Recipients: recipients, Peer: m.Peer}
	found, err := i.spam(ctx, protection.Certified, recipients, s, original, original.Size())
	if err != nil {
		return fault.Wrap("pipeline.judgeEnvelope", err)
	}
	m.unwanted = protection.Distinct(append(found, m.unwanted...))
	return nil
}

// judgeOrdinary finds out what is done in each mailbox about a message that is no
// envelope. What a PEC provider signed must reach its mailbox, whatever its form.
func (i *Incoming) judgeOrdinary(ctx context.Context, m *arrived, way protection.Direction, boxes map[string]storage.Mailbox) (map[string]protection.Decision, error) {
	const op = "pipeline.judgeOrdinary"
	addresses := make([]string, 0, len(m.Recipients))
	for _, r := range m.Recipients {
		addresses = append(addresses, boxes[r].Address)
	}
	s := Suspect{Sender: m.Sender, Recipients: m.Recipients, Peer: m.Peer}
	found, err := i.spam(ctx, way, addresses, s, m.in.spool, m.in.spool.Size())
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	m.unwanted = protection.Distinct(append(found, m.unwanted...))
	out := make(map[string]protection.Decision, len(m.Recipients))
	for _, r := range m.Recipients {
		d, err := i.ruled(ctx, way, boxes[r].Address, m.unwanted)
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		if way == protection.Certified {
			d = d.Softened()
		}
		out[r] = d
	}
	return out, nil
}

// turnAwayUnwanted refuses ordinary mail that the rules of one of its mailboxes
// refuse: its sender is told at once. As with a mailbox that is closed, it is
// refused for all: after DATA there is one answer.
func (i *Incoming) turnAwayUnwanted(ctx context.Context, m *arrived, boxes map[string]storage.Mailbox, decided map[string]protection.Decision) error {
	for _, r := range m.Recipients {
		d := decided[r]
		if d.Action != protection.Refuse {
			continue
		}
		italian, english := protection.Reason(d.Refused(), false)
		why := fault.Say("pipeline.turnAwayUnwanted", fault.Unwanted, "messaggio rifiutato: "+italian+" / message refused: "+english)
		caught := i.arrival(m, ledger.InterceptContents)
		concern(&caught, r)
		caught.Mailbox = boxes[r].Address
		step := new(storage.Step)
		i.intercepted(step, caught, protection.Ordinary, d)
		refused := i.arrival(m, ledger.OrdinaryRefused)
		refused.Mailbox, refused.Detail = boxes[r].Address, why.Text
		err := i.refuse(ctx, step.Add(i.record(refused)), why)
		if fault.Is(err, fault.Unwanted) {
			i.counted(protection.Ordinary, d)
		}
		return err
	}
	return nil
}

// unwanted is why an envelope is not delivered into a mailbox, nil where it is.
func unwanted(decision protection.Decision) *refusal {
	if decision.Action != protection.Refuse {
		return nil
	}
	italian, _ := protection.Reason(decision.Refused(), false)
	return &refusal{pec.OtherError, "5.7.1", "messaggio rifiutato dalla protezione della casella: " + italian}
}

// reject answers an envelope that the mailbox's rules refuse with the signed notice
// of non-delivery.
func (d *DeliveryPoint) reject(ctx context.Context, job storage.Job, p deliverPayload, env *envelope, box storage.Mailbox, no refusal, decision protection.Decision) error {
	step := new(storage.Step)
	d.intercepted(step, d.caught(env, p, box, d.now()), protection.Certified, decision)
	err := d.fail(ctx, job, p, env, no, step.Ops...)
	if err == nil {
		d.counted(protection.Certified, decision)
	}
	return err
}

// stow adds to step what puts an envelope into its mailbox as decided, and what the
// log says of that.
func (d *DeliveryPoint) stow(ctx context.Context, step *storage.Step, env *envelope, p deliverPayload, in placement, decision protection.Decision) error {
	d.intercepted(step, d.caught(env, p, in.box, in.at), protection.Certified, decision)
	in.put(decision)
	in.found, in.way = p.Found, protection.Certified
	return d.place(ctx, step, in)
}

// caught is the log event of an envelope in which something was found.
func (d *DeliveryPoint) caught(env *envelope, p deliverPayload, box storage.Mailbox, at time.Time) ledger.Event {
	return d.event(env, p, ledger.InterceptContents, at, func(e *ledger.Event) { e.Mailbox, e.Class = box.Address, "" })
}
