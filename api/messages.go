// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// maxSameID bounds how many messages of one Message-ID are told: applications
// that repeat a submission repeat it.
const maxSameID = 20

type (
	// MessageRecipient is what became of a message for one recipient.
	MessageRecipient struct {
		Address      string     `json:"address"`
		Type         string     `json:"type" enum:"certified,ordinary"`
		State        string     `json:"state" enum:"accepted,taken_in_charge,delivered,failed,not_certified" doc:"not_certified: posta ordinaria, che nessuno certifica / ordinary mail, which nobody certifies"`
		TakenAt      *time.Time `json:"taken_at,omitempty" doc:"Presa in carico / take-charge"`
		OutcomeAt    *time.Time `json:"outcome_at,omitempty"`
		Receipt      string     `json:"receipt,omitempty" doc:"Message-ID della ricevuta o dell'avviso / of the receipt or notice"`
		FirstNotice  *time.Time `json:"first_notice,omitempty" doc:"Avviso di mancata consegna, 12 ore / notice of 12 hours"`
		SecondNotice *time.Time `json:"second_notice,omitempty" doc:"… 24 ore / of 24 hours"`
	}
	// SentMessage is a message that the mailbox sent and we certified.
	SentMessage struct {
		ID          string             `json:"id" doc:"Identificativo del messaggio certificato / identifier of the certified message"`
		MessageID   string             `json:"message_id" doc:"Message-ID dato dall'applicazione / that the application gave"`
		At          time.Time          `json:"at" doc:"Accettazione / acceptance"`
		Size        int64              `json:"size"`
		ReceiptType string             `json:"receipt_type"`
		Complete    bool               `json:"complete" doc:"Ogni destinatario certificato ha un esito / each certified recipient has an outcome"`
		Recipients  []MessageRecipient `json:"recipients" nullable:"false"`
	}
	messageIn struct {
		AddressParam
		MessageID string `path:"message_id" maxLength:"1000" doc:"Message-ID, con o senza parentesi, o identificativo / Message-ID, with or without brackets, or identifier"`
	}
	// SentMessages are the messages of one Message-ID, newest first.
	SentMessages struct {
		Messages []SentMessage `json:"messages" nullable:"false"`
	}
	messagesOut struct{ Body SentMessages }
	// Waiting is what waits for one destination.
	Waiting struct {
		Kind        string    `json:"kind"`
		Destination string    `json:"destination,omitempty"`
		Jobs        int       `json:"jobs"`
		Held        int       `json:"held"`
		Oldest      time.Time `json:"oldest"`
	}
	// Queue is what waits, by kind and destination; others beyond maxWaiting.
	Queue struct {
		Jobs    int       `json:"jobs"`
		Waiting []Waiting `json:"waiting" nullable:"false"`
	}
	queueOut struct{ Body Queue }
)

func (s *Server) registerMessages() {
	register(s, operation{name: "get-message", method: get, path: "/mailboxes/{address}/messages/{message_id}",
		summary: "Che ne è di un messaggio inviato, per destinatario / What became of a sent message, for each recipient"}, s.getMessage)
	register(s, operation{name: "get-queue", method: get, path: "/queue", summary: "La coda / The queue"}, s.getQueue)
}

func (s *Server) getMessage(ctx context.Context, in *messageIn) (*messagesOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	id := strings.Trim(in.MessageID, "<> ")
	all, err := s.Store.SentAs(ctx, m.Address, "<"+id+">", maxSameID)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		t, err := s.Store.Transaction(ctx, id, true)
		if fault.Is(err, fault.NotFound) || err == nil && !strings.EqualFold(t.Sender, m.Address) {
			return nil, absent("messaggio sconosciuto / unknown message")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	out := &messagesOut{SentMessages{make([]SentMessage, 0, len(all))}}
	for _, t := range all {
		out.Body.Messages = append(out.Body.Messages, viewOfTransaction(t))
	}
	return out, nil
}

func viewOfTransaction(t storage.Transaction) SentMessage {
	v := SentMessage{ID: t.ID, MessageID: t.MsgID, At: t.At, Size: t.Size, ReceiptType: t.Receipt, Complete: true, Recipients: make([]MessageRecipient, 0, len(t.Recipients))}
	for _, r := range t.Recipients {
		w := MessageRecipient{
			Address: r.Address, Type: "certified", TakenAt: instant(r.TakenAt), OutcomeAt: instant(r.OutcomeAt), Receipt: r.OutcomeRef,
			FirstNotice: instant(r.FirstNoticeAt), SecondNotice: instant(r.SecondNoticeAt),
		}
		switch {
		case r.Outcome == storage.Delivered:
			w.State = "delivered"
		case r.Outcome == storage.Failed:
			w.State = "failed"
		case r.External:
			w.State = "not_certified"
		case !r.TakenAt.IsZero():
			w.State = "taken_in_charge"
		default:
			w.State = "accepted"
		}
		if r.External {
			w.Type = "ordinary"
		} else if r.Outcome == storage.Pending {
			v.Complete = false
		}
		v.Recipients = append(v.Recipients, w)
	}
	return v
}

// maxWaiting bounds how many destinations are told one by one.
const maxWaiting = 500

func (s *Server) getQueue(ctx context.Context, _ *struct{}) (*queueOut, error) {
	type lane struct{ kind, destination string }
	at := make(map[lane]int)
	out := &queueOut{Queue{Waiting: []Waiting{}}}
	err := s.Store.Jobs(ctx, "", func(j storage.Job) error {
		out.Body.Jobs++
		l := lane{j.Kind, j.Lane}
		i, known := at[l]
		if !known && len(out.Body.Waiting) >= maxWaiting {
			l.destination = "*"
			i, known = at[l]
		}
		if !known {
			i = len(out.Body.Waiting)
			at[l] = i
			out.Body.Waiting = append(out.Body.Waiting, Waiting{Kind: l.kind, Destination: l.destination, Oldest: j.Created})
		}
		w := &out.Body.Waiting[i]
		w.Jobs++
		if j.Held {
			w.Held++
		}
		if j.Created.Before(w.Oldest) {
			w.Oldest = j.Created
		}
		return nil
	})
	return out, err
}
