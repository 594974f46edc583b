// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// inService reports whether a mailbox may send. With take a message is about to
// be accepted.
func (a *Access) inService(ctx context.Context, box storage.Mailbox, take bool) error {
	if box.State != storage.MailboxActive {
		return fault.Say("pipeline.MaySend", fault.Disabled, "servizio non disponibile: casella non attiva / mailbox not active")
	}
	return a.mayConduct(ctx, box, take)
}

// still asks anew what was asked before the message came, which its client may
// send as slowly as it likes: what was decided meanwhile holds for it (S0-44).
func (a *Access) still(ctx context.Context, m *accepted) (err error) {
	const op = "pipeline.Submit"
	if m.box, err = a.Mailboxes.Mailbox(ctx, m.Sender); err != nil {
		return fault.Wrap(op, err)
	}
	if m.figures, err = a.Mailboxes.Figures(ctx, m.box); err != nil {
		return fault.Wrap(op, err)
	}
	return a.inService(ctx, m.box, true)
}

// refuse answers a formally wrong submission with the signed notice, which is
// its legal answer (RFC 6109 §3.1.2); SMTP says 250. The log has the reason as
// given for it; more goes into the same commit.
func (a *Access) refuse(ctx context.Context, m *accepted, reason, logged string, more ...storage.Op) (string, error) {
	const op = "pipeline.refuse"
	draft := a.Builder.NonAcceptance(m.cert, m.at, reason)
	step := new(storage.Step).Add(more...)
	if err := a.notify(ctx, step, m, draft); err != nil {
		return "", fault.Wrap(op, err)
	}
	filed, err := a.fileSent(ctx, step, m, m.in.blob(0, m.in.spool.Size()))
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	step.Add(a.record(a.event(m, ledger.SubmissionRefused, func(e *ledger.Event) {
		e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
		e.Error, e.Detail = string(pec.OtherError), logged
	})))
	if err := a.Store.Commit(ctx, step); err != nil {
		return "", fault.Wrap(op, err)
	}
	return "2.0.0 messaggio non accettato, avviso nella casella / not accepted, see the notice " + a.notFiled(m, filed) + m.cert.ID, nil
}

// notify adds to step the signed notice of non-acceptance in the sender's mailbox.
func (a *Access) notify(ctx context.Context, step *storage.Step, m *accepted, draft pec.Draft) error {
	notice, err := a.seal(ctx, draft, nil, m.at)
	if err != nil {
		return err
	}
	notice = prefixed(notice, returnPath(a.serviceAddress()))
	return a.place(ctx, step.Add(notice), placement{
		box: m.box, body: storage.BodyRef{New: notice}, at: m.at, class: ledger.ClassNotice, into: a.receiptsInto(m.box, m.at),
	})
}

// reasonOf tells the sender everything that is wrong, so that he mends it at
// once: all of it in Italian, then in English.
func reasonOf(found []pec.Violation) string {
	italian, english := make([]string, len(found)), make([]string, len(found))
	for i, v := range found {
		italian[i], english[i] = v.Text, v.English
	}
	return strings.Join(italian, "; ") + " / " + strings.Join(english, "; ")
}
