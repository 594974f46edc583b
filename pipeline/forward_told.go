// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/notice"
	"pecd/storage"
)

// letter is what a holder is told about his forwards.
type letter struct {
	to            string
	subject, body notice.Text
}

// stop ends a forward that would go round. Both holders learn of it, once a day
// for the two of them. The other mailbox counts only where it has a filter: the
// mark that names it may be anybody's, and whoever names another one in each
// message must not have a notice written for each.
func (w *forwarding) stop(ctx context.Context, other string) error {
	pair := []string{w.box.Address, strings.ToLower(other)}
	slices.Sort(pair)
	subject := notice.Text{Italian: "Inoltro automatico interrotto: ciclo tra due caselle", English: "Automatic forward stopped: a loop between two mailboxes"}
	body := notice.Text{
		Italian: fmt.Sprintf("I filtri delle caselle\n  %s\n  %s\ninoltrano gli stessi messaggi in cerchio. Un messaggio che è già passato dalla casella non viene inoltrato di nuovo; "+
			"l'originale resta dove è arrivato.\nSi prega di correggere il filtro di una delle due caselle.\n\nQuesto avviso è inviato al massimo una volta al giorno.", pair[0], pair[1]),
		English: fmt.Sprintf("The filters of the mailboxes\n  %s\n  %s\nforward the same messages in a circle. A message that has been in a mailbox already is not forwarded again; "+
			"the original stays where it arrived.\nPlease correct the filter of one of them.\n\nThis notice is sent once a day at most.", pair[0], pair[1]),
	}
	filters, err := w.hasFilter(ctx, other)
	if err != nil {
		return err
	}
	if !filters {
		pair = []string{w.box.Address}
	}
	pair = slices.Compact(pair) // back from another server it is one alone
	var letters []letter
	for _, holder := range pair {
		letters = append(letters, letter{holder, subject, body})
	}
	e := w.event(ledger.ForwardStopped, "ciclo di inoltri con / loop with "+other)
	return w.conclude(ctx, e, "loop|"+strings.Join(pair, "|"), letters)
}

// hasFilter reports whether an address is a mailbox of ours with a filter.
func (w *forwarding) hasFilter(ctx context.Context, address string) (bool, error) {
	box, err := w.Mailboxes.Mailbox(ctx, address)
	if err != nil || w.Scripts == nil {
		return false, ignoreMissing(err)
	}
	script, err := w.Scripts.ActiveScript(ctx, box.ID)
	if fault.Is(err, fault.Invalid) {
		return false, nil
	}
	return script != nil, err
}

func ignoreMissing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// fail ends a forward that is not possible. Its holder learns of it, once a day
// for each address. more goes into the same commit.
func (w *forwarding) fail(ctx context.Context, why string, more ...storage.Op) error {
	letters := []letter{failedLetter(w.box.Address, w.p.To, why)}
	return w.conclude(ctx, w.event(ledger.ForwardFailed, why), failedKey(w.box.Address, w.p.To), letters, more...)
}

func failedKey(mailbox, to string) string {
	return "failed|" + strings.ToLower(mailbox) + "|" + strings.ToLower(to)
}

func failedLetter(mailbox, to, why string) letter {
	return letter{mailbox,
		notice.Text{Italian: "Inoltro automatico non riuscito verso " + to, English: "Automatic forward failed to " + to},
		notice.Text{
			Italian: fmt.Sprintf("Il filtro della casella %s ha inoltrato un messaggio a\n  %s\nche non lo ha ricevuto: %s.\nL'originale è nella casella.\n\n"+
				"Questo avviso è inviato al massimo una volta al giorno per ogni indirizzo: altri messaggi di oggi possono non essere stati inoltrati.", mailbox, to, notice.Quote(why, 300)),
			English: fmt.Sprintf("The filter of the mailbox %s forwarded a message to\n  %s\nwhich has not received it: %s.\nThe original is in the mailbox.\n\n"+
				"This notice is sent once a day at most for each address: further messages of today may not have been forwarded.", mailbox, to, notice.Quote(why, 300)),
		},
	}
}

// conclude ends the job with a record and what its holders are told. more goes into
// the same commit.
func (w *forwarding) conclude(ctx context.Context, e ledger.Event, key string, letters []letter, more ...storage.Op) error {
	return w.commitFresh(ctx, func() (*storage.Step, error) {
		step := new(storage.Step).Add(&storage.FinishJob{ID: w.job.ID}, w.record(e)).Add(more...)
		return step, w.tellHolders(ctx, step, key, letters, w.at)
	})
}

// tellHolders adds letters to step, those that are for mailboxes of ours, unless
// some of the same key have been written today. A step that comes too late for
// that fails with Exists.
func (c *Core) tellHolders(ctx context.Context, step *storage.Step, key string, letters []letter, at time.Time) error {
	key = "told|" + at.In(c.Builder.Location).Format(time.DateOnly) + "|" + key
	done, err := c.Store.Done(ctx, []string{key})
	if err != nil || len(done) > 0 {
		return err
	}
	step.Add(&storage.Once{Keys: []string{key}, At: at})
	for _, l := range letters {
		box, err := c.Mailboxes.Mailbox(ctx, l.to)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err != nil || box.State == storage.MailboxClosed {
			continue
		}
		id := sha256.Sum256([]byte(key + "|" + l.to))
		raw, err := notice.Compose(notice.Message{
			ID: "forward." + hex.EncodeToString(id[:12]), From: c.NoticesFrom, To: box.Address, At: at, Subject: l.subject, Body: l.body,
		})
		if err != nil {
			return fault.New("pipeline.tellHolders", fault.Internal, err)
		}
		body := &storage.NewBody{Head: append([]byte(returnPath("")), raw...)}
		err = c.place(ctx, step.Add(body), placement{box: box, body: storage.BodyRef{New: body}, at: at, class: ledger.ClassNotice, fixed: true})
		if err != nil {
			return err
		}
	}
	return nil
}

// forwardRefused records that another server does not take what a filter
// forwarded, and tells the holder.
func (s *settling) forwardRefused(ctx context.Context, recipient string, no refusal, reply string) error {
	e := s.failure(recipient, no, reply)
	e.Kind, e.Mailbox, e.Side = ledger.ForwardFailed, s.p.Forward, ledger.Foreign
	s.step.Add(s.record(e))
	s.told++
	why := no.reason
	if reply != "" {
		why += " (" + reply + ")"
	}
	return s.tellHolders(ctx, s.step, failedKey(s.p.Forward, recipient), []letter{failedLetter(s.p.Forward, recipient, why)}, s.at)
}
