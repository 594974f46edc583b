// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"pecd/storage"
)

// logEvent is a record of the log, read by its published names (RFC 6109 §2.3).
type logEvent struct {
	At         time.Time `json:"at"`
	Kind       string    `json:"kind"`
	ID         string    `json:"id"`
	Sender     string    `json:"sender"`
	Recipients []struct {
		Address string `json:"address"`
		Type    string `json:"type"`
	} `json:"recipients"`
	Related []string `json:"related"`
	Receipt string   `json:"receipt"`
	Class   string   `json:"class"`
	Mailbox string   `json:"mailbox"`
}

// chain reads the records of a node that were not seen yet: numbers without
// gaps, each linked to the one before.
func (j *judge) chain(n *node, fn func(logEvent)) {
	seen := &n.seen
	err := n.store.Records(context.Background(), seen.seq+1, func(r storage.Record) error {
		h := sha256.New()
		h.Write(seen.hash[:])
		binary.Write(h, binary.BigEndian, r.Seq)
		h.Write(r.Data)
		if r.Seq != seen.seq+1 || [32]byte(h.Sum(nil)) != r.Hash {
			j.w.fail("%s: record %d of the log does not follow record %d", n.name, r.Seq, seen.seq)
		}
		seen.seq, seen.hash = r.Seq, r.Hash
		var e logEvent
		if err := json.Unmarshal(r.Data, &e); err != nil {
			return err
		}
		if e.Kind != r.Event || e.ID != r.ID || strings.ToLower(e.Mailbox) != r.Mailbox || !e.At.Equal(r.At) {
			j.w.fail("%s: the columns of record %d (%s %s %s) are not its contents: %s", n.name, r.Seq, r.Event, r.ID, r.Mailbox, r.Data)
		}
		if fn != nil {
			fn(e)
		}
		return nil
	})
	if err != nil {
		j.w.fail("%s: the log: %v", n.name, err)
	}
}

// readLog judges what is new in the log.
func (j *judge) readLog(n *node) {
	j.chain(n, func(e logEvent) { j.logged(n, e) })
}

func (j *judge) logged(n *node, e logEvent) {
	w := j.w
	if e.ID == "" || e.Class == "anomalia" || strings.HasPrefix(e.Kind, "ordinary") {
		return
	}
	s := j.byID[e.ID]
	if s == nil && strings.HasPrefix(e.Kind, "submission.") || s == nil && n.ownID(e.ID) {
		// The log is read before the mailboxes: the answer to a submission is
		// known by its receipt only now.
		j.early = append(j.early, earlyEvent{n, e})
		return
	}
	if s == nil {
		w.fail("%s: the log has %s of %s, which nobody accepted", n.name, e.Kind, e.ID)
	}
	j.count(n, s, e)
}

// ownID reports whether an identifier is one that the node gives.
func (n *node) ownID(id string) bool { return strings.HasSuffix(id, "@"+n.domains[0]) }

type earlyEvent struct {
	n *node
	e logEvent
}

// settleEarly counts the events that came before their receipts.
func (j *judge) settleEarly() {
	for _, x := range j.early {
		s := j.byID[x.e.ID]
		if s == nil {
			j.w.fail("%s: the log has %s of %s, which nobody accepted", x.n.name, x.e.Kind, x.e.ID)
		}
		j.count(x.n, s, x.e)
	}
	j.early = nil
}

// count books an event of a transaction.
func (j *judge) count(n *node, s *submission, e logEvent) {
	w := j.w
	if receipt := (strings.HasPrefix(e.Kind, "relay.") || strings.HasPrefix(e.Kind, "queue.")) && e.Sender == serviceAddress(n.domains); receipt {
		if e.Kind == "relay.failed" {
			j.receiptGivenUp(n, s, e)
		}
		return
	}
	if !strings.EqualFold(e.Sender, s.sender) && s.wrong == "" {
		w.fail("%s: %s of %q names %s as sender, want %s", n.name, e.Kind, s.subject, e.Sender, s.sender)
	}
	own := n == s.node
	once := func(count *int, mine bool, what string) {
		if *count++; *count > 1 || !mine {
			w.fail("%s: the log has %s of %q %d times (%s)", n.name, e.Kind, s.subject, *count, what)
		}
	}
	switch e.Kind {
	case "submission.accepted":
		once(&s.logAccepted, own, "")
	case "submission.refused":
		once(&s.logRefused, own, "")
	case "envelope.created":
		once(&s.logEnvelope, own, "")
	case "charge.taken", "delivery.inbound", "delivery.failed":
		for _, r := range e.Recipients {
			l := s.leg(r.Address)
			if l == nil || l.external || l.owner != n || !own && l.handed.taken+l.handed.maybe == 0 {
				w.fail("%s: %s of %q for %s", n.name, e.Kind, s.subject, r.Address)
			}
			once(map[string]*int{"charge.taken": &l.logTaken, "delivery.inbound": &l.logDelivered, "delivery.failed": &l.logFailed}[e.Kind], true, r.Address)
			if l.logDelivered+l.logFailed > 1 {
				w.fail("%s: %q both delivered and failed for %s", n.name, s.subject, r.Address)
			}
			if e.Kind == "charge.taken" {
				l.logAt = e.At
			} else {
				l.logOutcome = e.Related
			}
		}
	case "relay.ok", "receipt.received":
		for _, r := range e.Recipients {
			if l := s.leg(r.Address); l != nil && own && e.Kind == "relay.ok" {
				l.logRelayed++
			} else if l != nil && own {
				l.logReceipts[e.Receipt]++
			}
		}
	case "receipt.emitted":
		if e.Receipt == "preavviso-errore-consegna" && own && len(e.Recipients) == 1 && s.leg(e.Recipients[0].Address) != nil {
			s.leg(e.Recipients[0].Address).logReceipts[e.Receipt]++
		}
		if e.Receipt != "rilevazione-virus" {
			return
		}
		for _, r := range e.Recipients {
			l := s.leg(r.Address)
			if l == nil || l.external || l.owner != n || own || l.handed.taken+l.handed.maybe == 0 {
				w.fail("%s: %s of %q for %s", n.name, e.Receipt, s.subject, r.Address)
			}
			once(&l.logVirus, true, r.Address)
			l.logAt = e.At
		}
	case "relay.failed":
		for _, r := range e.Recipients {
			if l := s.leg(r.Address); l != nil && own {
				l.logGivenUp = append(l.logGivenUp, e.At)
			}
		}
	}
}

// receiptGivenUp books that a receipt was not brought to the sender's provider.
func (j *judge) receiptGivenUp(n *node, s *submission, e logEvent) {
	for _, r := range e.Recipients {
		s.lost = append(s.lost, lostReceipt{n, strings.ToLower(r.Address), e.At})
	}
}

// lostReceipt is a receipt that its issuer could not bring to the sender's provider.
type lostReceipt struct {
	issuer *node
	to     string
	at     time.Time
}
