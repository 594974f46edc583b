// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// ErrNoDomain is the cause of a result for a destination that does not exist
// or takes no mail (RFC 7505).
var ErrNoDomain = errors.New("destination domain does not exist or takes no mail")

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
	}
	return refusal{pec.OtherError, "5.7.1", "messaggio rifiutato dal sistema del destinatario"}
}

// timeIsOver is why a message is given up.
func timeIsOver() refusal {
	return refusal{pec.OtherError, "5.4.7", "superato il tempo massimo di inoltro"}
}

// giveUp ends the attempts for one recipient after a day. Silence towards a
// certified recipient is always told by the second notice of elapsed time,
// whichever comes first: the deadline's job, or this one, which then sends it in
// its place. What the sender gets is the same. Others are told by a notice of
// non-delivery.
func (s *settling) giveUp(ctx context.Context, recipient, reply string) error {
	if s.p.Forward != "" {
		return s.forwardRefused(ctx, recipient, timeIsOver(), reply)
	}
	t, ok, err := s.recipient(ctx, recipient)
	if err != nil {
		return err
	}
	if !ok || t.External {
		return s.refuse(ctx, recipient, timeIsOver(), reply)
	}
	if t.SecondNoticeAt.IsZero() {
		n, err := s.tellSilence(ctx, s.step, *s.tx, recipient, true, s.at)
		if err != nil {
			return err
		}
		s.told, s.size = s.told+1, s.size+n
	}
	s.step.Add(s.record(s.failure(recipient, timeIsOver(), reply)))
	return nil
}

// refuse tells the sender of an envelope that one recipient will not get it. A
// receipt of ours that nobody takes is a fact for the log: it must not be
// answered by another receipt.
func (s *settling) refuse(ctx context.Context, recipient string, no refusal, reply string) error {
	if s.p.Forward != "" {
		return s.forwardRefused(ctx, recipient, no, reply)
	}
	e := s.failure(recipient, no, reply)
	t, ok, err := s.recipient(ctx, recipient)
	if err != nil {
		return err
	}
	if !ok {
		s.step.Add(s.record(e))
		return nil
	}
	cert := messageOf(*s.tx, s.tx.ID)
	draft := s.Builder.NonDelivery(cert, s.at, recipient, no.code, no.extended(s.Builder.Provider.Name))
	notice, err := s.seal(ctx, draft, nil, s.at)
	if err != nil {
		return err
	}
	e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
	reached, err := s.route(ctx, s.step, outgoing{body: notice, to: cert.Sender, id: s.p.ID, accepted: s.tx.At}, s.at)
	if err != nil {
		return err
	}
	if !reached {
		e.Detail += "; mittente inesistente"
	}
	if !t.External && t.SecondNoticeAt.IsZero() {
		s.step.Add(finalWord(s.tx.ID, recipient, s.at))
	}
	s.step.Add(s.record(e), &storage.ExpectPending{ID: s.tx.ID, Own: true, Address: recipient, NotTaken: true}, &storage.MarkRecipient{
		ID: s.tx.ID, Own: true, Address: recipient, Outcome: storage.Failed, OutcomeAt: s.at, OutcomeRef: draft.MessageID,
	})
	s.told, s.size = s.told+1, s.size+len(notice.Head)
	return nil
}

func (s *settling) failure(recipient string, no refusal, reply string) ledger.Event {
	e := s.event(ledger.RelayFailed, recipient)
	e.Error, e.Detail = string(no.code), no.extended(s.Builder.Provider.Name)
	if reply != "" {
		e.Detail += ": " + reply
	}
	return e
}

// recipient looks a recipient of the envelope up. ok is false where the sender
// has nothing to learn from us: a provider that took the message in charge, or
// already told its outcome, answers for it; its 250 may have been lost on the
// way back.
func (s *settling) recipient(ctx context.Context, address string) (t storage.TxRecipient, ok bool, err error) {
	if s.open == nil {
		s.open = make(map[string]storage.TxRecipient)
		if err := s.load(ctx); err != nil {
			return t, false, err
		}
	}
	t, ok = s.open[strings.ToLower(address)]
	return t, ok, nil
}

func (s *settling) load(ctx context.Context) error {
	if !s.p.Envelope {
		return nil
	}
	tx, err := s.Store.Transaction(ctx, s.p.ID, true)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.tx = &tx
	for _, t := range tx.Recipients {
		if t.Outcome == storage.Pending && t.TakenAt.IsZero() {
			s.open[strings.ToLower(t.Address)] = t
		}
	}
	return nil
}
