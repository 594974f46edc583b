// SPDX-License-Identifier: EUPL-1.2

package conduct

import (
	"time"

	"pecd/fault"
)

// MaySend is asked at MAIL FROM and, with take, when a message is about to be
// accepted, which then counts. perMinute is asked for the mailbox's figure where
// it is slowed down: it has a tenth of that, at least one. Limited where it has to
// wait, Denied where it is blocked and the store does not say so yet. Whom the
// store keeps from sending is not asked for.
func (w *Watcher) MaySend(mailbox string, take bool, perMinute func() (int, error)) error {
	const op = "conduct.MaySend"
	w.mu.Lock()
	b := w.boxes[mailbox]
	now := w.clk.Now()
	if b == nil || !b.blocking && !b.throttled(now) {
		w.mu.Unlock()
		return nil
	}
	if b.stored { // and was unblocked since
		delete(w.boxes, mailbox)
		w.wake()
		w.mu.Unlock()
		return nil
	}
	blocked, by := b.blocking, b.throttledBy
	if blocked {
		by = w.blocked[mailbox]
	}
	w.mu.Unlock()
	if blocked {
		return Refusal(op, string(by))
	}
	figure, err := perMinute()
	if err != nil {
		return fault.Wrap(op, err)
	}
	allowed := max(1, figure/throttleFactor)

	w.mu.Lock()
	defer w.mu.Unlock()
	b.passed.forget(now, time.Minute)
	if n := b.passed.n(); n >= allowed {
		return fault.Say(op, fault.Limited, "invio rallentato per attivita' insolita della casella, riprovare dopo qualche minuto: "+
			"rivolgersi al proprio amministratore / sending is slowed down for unusual activity, try again in some minutes: "+string(by))
	}
	if take {
		b.passed.add(now, time.Minute, allowed)
	}
	return nil
}

// Refusal is what a mailbox that may not send is told. The reason is Italian
// first.
func Refusal(op, reason string) error {
	text := "invio sospeso, rivolgersi al proprio amministratore; lettura e ricezione continuano / sending is suspended, contact your administrator"
	if reason != "" {
		text += ": " + reason
	}
	return fault.Say(op, fault.Denied, text)
}

// Unblocked forgets a mailbox: a person has looked, and what led to the block
// must not lead to the next one.
func (w *Watcher) Unblocked(mailbox string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, was := w.blocked[mailbox]
	if b := w.boxes[mailbox]; b != nil || was {
		delete(w.boxes, mailbox)
		delete(w.blocked, mailbox)
		w.wake()
	}
}
