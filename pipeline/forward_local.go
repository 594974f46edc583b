// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/storage"
)

// intoMailbox delivers the message into a mailbox of ours, through its filter and
// against its quota, whatever the message is: it is the holder's copy there.
func (w *forwarding) intoMailbox(ctx context.Context) error {
	to, why, err := w.taker(ctx)
	switch {
	case err != nil:
		return err
	case why != "":
		return w.fail(ctx, why)
	}
	decision, err := w.ruled(ctx, w.p.Way, to.Address, w.p.Found)
	if err != nil {
		return err
	}
	caught := w.caught(to, decision)
	if decision.Action == protection.Refuse {
		err := w.fail(ctx, "rifiutato dalla protezione della casella / refused by the mailbox's protection", caught...)
		if err == nil {
			w.counted(w.p.Way, decision)
		}
		return err
	}
	copied, done, err := w.copy(w.lines())
	if err != nil {
		return err
	}
	defer done()
	in, err := w.placed(ctx, to, copied)
	if err != nil {
		return err
	}
	in.put(decision)
	step := new(storage.Step).Add(copied).Add(caught...)
	if err := w.place(ctx, step, in); err != nil {
		return err
	}
	sent, err := w.end(ctx, step)
	switch {
	case fault.Is(err, fault.Quota):
		return w.fail(ctx, "casella piena / mailbox full")
	case sent:
		w.counted(w.p.Way, decision)
	}
	return err
}

// taker is the mailbox that the message is for, or why it does not take it.
func (w *forwarding) taker(ctx context.Context) (to storage.Mailbox, why string, err error) {
	to, err = w.Mailboxes.Mailbox(ctx, w.p.To)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && to.State == storage.MailboxClosed:
		return to, "indirizzo inesistente / no such address", nil
	case err != nil:
		return to, "", err
	case to.State != storage.MailboxActive:
		return to, "casella disabilitata / mailbox disabled", nil
	case w.p.Class == ledger.ClassAnomaly && !to.Ordinary: // not by a detour either (S4-037)
		return to, "casella chiusa alla posta ordinaria / certified mail only", nil
	}
	return to, "", nil
}

// caught is what the log says of unwanted contents: the mailbox's protection
// decides about what is forwarded to it as about what comes in.
func (w *forwarding) caught(to storage.Mailbox, decision protection.Decision) []storage.Op {
	step := new(storage.Step)
	e := w.event(ledger.InterceptContents, "")
	e.Mailbox, e.Class = to.Address, ""
	w.intercepted(step, e, w.p.Way, decision)
	return step.Ops
}

// placed is the message on its way into the other mailbox.
func (w *forwarding) placed(ctx context.Context, to storage.Mailbox, copied *storage.NewBody) (placement, error) {
	quota, err := w.room(ctx, to)
	if err != nil {
		return placement{}, err
	}
	_, size := newBodyReader(copied)
	header, _ := rfc822.ParseHeader(append([]byte(w.lines()), w.header.Raw()...), storedLimits()) // of one that is too large, the first part
	return placement{
		box: to, body: storage.BodyRef{New: copied}, at: w.at, class: w.p.Class, quota: quota, quiet: w.p.Quiet,
		header: header, size: size, found: w.p.Found, way: w.p.Way,
	}, nil
}
