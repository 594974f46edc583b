// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// counted is what the log says of one transaction at this provider.
type counted struct {
	accepted, envelopes int
	taken               map[string]int // own recipients, by the take-charge we issued
	outcomes            map[string]int // recipients whose outcome we issued
	viruses             map[string]int // recipients, by the virus detection we issued
}

// verifyTransactions checks the invariants of pec-rules §1.7 between the
// transactions, the log and the queue: one acceptance and one envelope for
// each message of ours, none for others'; every own recipient taken in charge
// once, with exactly one outcome, or with the job that will bring it.
func (n *node) verifyTransactions(ctx context.Context, f *findings) error {
	log, since, err := n.countRecords(ctx, f)
	if err != nil {
		return err
	}
	waiting, err := n.waiting(ctx, f)
	if err != nil {
		return err
	}
	return n.store.EachTransaction(ctx, since, func(t storage.Transaction) error {
		f.Transactions++
		where := "transaction " + t.ID
		c := log[key(t.ID, t.Own)]
		if c == nil {
			f.add(where, "no record in the log")
			return nil
		}
		if want := number(t.Own); c.accepted != want || c.envelopes != want {
			f.add(where, "%d acceptances and %d envelopes in the log, want %d", c.accepted, c.envelopes, want)
		}
		named := make(map[string]bool, len(t.Recipients))
		for _, r := range t.Recipients {
			named[strings.ToLower(r.Address)] = true
			n.verifyRecipient(f, where, t, r, c, waiting)
		}
		for r := range c.outcomes {
			if !named[r] {
				f.add(where, "outcome for %s, who is no recipient", r)
			}
		}
		return nil
	})
}

func (n *node) verifyRecipient(f *findings, where string, t storage.Transaction, r storage.TxRecipient, c *counted, waiting map[string]bool) {
	address := strings.ToLower(r.Address)
	issued, taken, virus := c.outcomes[address], c.taken[address], c.viruses[address]
	if issued > 1 || taken > 1 {
		f.add(where, "%s: %d outcomes and %d take-charges issued", address, issued, taken)
	}
	if r.External {
		if taken > 0 {
			f.add(where, "%s: ordinary recipient taken in charge", address)
		}
		return
	}
	ours := taken == 1 // delivered by our delivery point
	switch {
	case virus > 0 && (virus > 1 || taken > 0 || r.Outcome != storage.Failed):
		f.add(where, "%s: %d virus detections and %d take-charges issued, outcome %q", address, virus, taken, r.Outcome)
	case !t.Own && !ours && virus == 0:
		f.add(where, "%s: recipient of another provider's message without take-charge", address)
	case ours && r.Outcome == storage.Pending && !waiting[key(t.ID, t.Own)+"|"+address]:
		f.add(where, "%s: no outcome and no delivery job", address)
	case ours && r.Outcome != storage.Pending && issued != 1:
		f.add(where, "%s: outcome %s, but %d issued", address, r.Outcome, issued)
	case r.Outcome == storage.Pending && issued > 0:
		f.add(where, "%s: outcome issued but not recorded", address)
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func key(id string, own bool) string {
	if own {
		return "own|" + id
	}
	return "foreign|" + id
}

// countRecords reads the log once. since is when its first record was written,
// where earlier ones were removed after their time: what is older has none.
func (n *node) countRecords(ctx context.Context, f *findings) (log map[string]*counted, since time.Time, err error) {
	log = make(map[string]*counted)
	err = n.store.Records(ctx, 1, func(r storage.Record) error {
		if f.Records++; f.Records == 1 && r.Seq > 1 {
			since = r.At.Add(time.Hour) // the first transactions may have records on both sides
		}
		e, err := ledger.Decode(r.Data)
		if err != nil {
			f.add("log", "record %d: %v", r.Seq, err)
			return nil
		}
		if e.ID == "" {
			return nil
		}
		k := key(e.ID, true)
		if e.Side != ledger.Own {
			k = key(e.ID+" "+e.Provider, false) // as storage.Transaction.ID
		}
		c := log[k]
		if c == nil {
			c = &counted{taken: make(map[string]int), outcomes: make(map[string]int), viruses: make(map[string]int)}
			log[k] = c
		}
		c.count(e)
		return nil
	})
	return log, since, err
}

func (c *counted) count(e ledger.Event) {
	each := func(m map[string]int) {
		for _, r := range e.Recipients {
			m[strings.ToLower(r.Address)]++
		}
	}
	switch e.Kind {
	case ledger.SubmissionAccepted:
		c.accepted++
	case ledger.EnvelopeCreated:
		c.envelopes++
	case ledger.TakenInCharge:
		each(c.taken)
	case ledger.ReceiptEmitted:
		if e.Receipt == pec.VirusDetection.CertType() {
			each(c.viruses)
		}
	case ledger.Delivered, ledger.DeliveryFailed, ledger.RelayFailed:
		if e.Receipt != "" && e.Class != ledger.ClassReceipt {
			each(c.outcomes)
		}
	}
}

// oldestJob is beyond what any job may wait: a day, and the last attempt's time.
const oldestJob = 25 * time.Hour

// waiting lists the deliveries still queued, by transaction and recipient.
func (n *node) waiting(ctx context.Context, f *findings) (map[string]bool, error) {
	out := make(map[string]bool)
	err := n.store.Jobs(ctx, "", func(j storage.Job) error {
		f.Jobs++
		var p struct {
			ID       string `json:"id"`
			Rcpt     any    `json:"rcpt"`
			Own      bool   `json:"own"`
			Provider string `json:"gestore"`
		}
		if err := json.Unmarshal(j.Payload, &p); err != nil {
			f.add("queue", "job %d: %v", j.ID, err)
			return nil
		}
		if age := n.clock.Now().Sub(j.Created); age > oldestJob && !strings.HasPrefix(j.Kind, storage.SetAside) {
			f.add("queue", "job %d (%s, %s) has been waiting for %v: %s", j.ID, j.Kind, p.ID, age.Truncate(time.Minute), j.LastError)
		}
		if !p.Own {
			p.ID += " " + p.Provider
		}
		if r, ok := p.Rcpt.(string); ok {
			out[key(p.ID, p.Own)+"|"+strings.ToLower(r)] = true
		}
		return nil
	})
	return out, err
}
