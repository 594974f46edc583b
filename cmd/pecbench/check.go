// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"sync"

	"pecd/pec"
	"pecd/rfc822"
	"pecd/signer"
)

// maxFaults bounds how many faults of a cell are told.
const maxFaults = 10

// audit holds what was found in the mailboxes against what was submitted: each
// accepted submission has exactly one acceptance receipt, one envelope for each
// recipient, and one delivery receipt for each recipient; the other provider has
// taken each of its recipients in charge once. The copies carry the text that
// was sent.
type audit struct {
	crew     *crew
	verifier *signer.Verifier
	every    int // one message in so many has its signature verified

	mu         sync.Mutex
	acceptance []int
	envelopes  []map[string]int
	receipts   []map[string]int
	taken      []map[string]int
	seen       int
	verified   int
	faults     []error
}

// newAudit prepares the check of everything the crew has sent. sample is how
// many signatures are verified, negative for all.
func newAudit(c *crew, sample int) (*audit, error) {
	roots, err := signer.LoadCertificates(c.site.authority())
	if err != nil {
		return nil, err
	}
	n := len(c.sent)
	a := &audit{crew: c, verifier: signer.NewVerifier(signer.PECConfig(roots...)), every: 1,
		acceptance: make([]int, n), envelopes: make([]map[string]int, n), receipts: make([]map[string]int, n),
		taken: make([]map[string]int, n)}
	if total := n * (1 + 2*c.recipients); sample > 0 {
		a.every = max(1, total/sample)
	}
	for i := range n {
		a.envelopes[i], a.receipts[i], a.taken[i] = make(map[string]int), make(map[string]int), make(map[string]int)
	}
	return a, nil
}

// run fetches every mailbox and judges.
func (a *audit) run() error {
	work := make(chan *watched)
	var wg sync.WaitGroup
	for range cores() {
		wg.Go(func() {
			for w := range work {
				a.note(a.mailbox(w))
			}
		})
	}
	for _, w := range a.crew.order {
		work <- w
	}
	close(work)
	wg.Wait()
	a.judge()
	return errors.Join(a.faults...)
}

func (a *audit) note(err error) {
	if err == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.faults) < maxFaults {
		a.faults = append(a.faults, err)
	}
}

// mailbox fetches every message of a mailbox whole.
func (a *audit) mailbox(w *watched) error {
	return w.each(func(raw []byte) error {
		if err := a.message(w.address, raw); err != nil {
			return fmt.Errorf("%s: %w", w.address, err)
		}
		return nil
	})
}

// each fetches a mailbox, also one in which nothing is expected.
func (w *watched) each(message func(raw []byte) error) error {
	if n, err := w.client.messages(); n == 0 || err != nil {
		return err
	}
	if err := w.client.run("EXAMINE INBOX", nil); err != nil {
		return err
	}
	return w.client.run("FETCH 1:* (BODY.PEEK[])", func(u untagged) error {
		if u.literal == nil {
			return nil
		}
		return message(u.literal)
	})
}

// message files one message under the submission it belongs to.
func (a *audit) message(mailbox string, raw []byte) error {
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := s.Write(raw); err != nil {
		return err
	}
	rec, err := pec.Recognise(s.Finish(), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if rec.CertData == nil {
		return fmt.Errorf("a message that is none of certified mail: %s", rec.ReasonEN)
	}
	n := a.crew.letters.number(rec.ReceiptRef)
	if n < 0 || n >= len(a.acceptance) || a.crew.sent[n].from == "" {
		return fmt.Errorf("a %s of no accepted submission: %q", rec.Kind, rec.ReceiptRef)
	}
	sent := a.crew.sent[n]
	if rec.CertData.Sender != sent.from {
		return fmt.Errorf("message %d: the %s names the sender %s", n, rec.Kind, rec.CertData.Sender)
	}
	if rec.Original != nil && !bytes.Contains(raw[rec.Original.BodyOffset:rec.Original.End], a.crew.text(n)) {
		return fmt.Errorf("message %d: the %s does not carry what was sent", n, rec.Kind)
	}
	a.mu.Lock()
	switch rec.Kind {
	case pec.Acceptance:
		a.acceptance[n]++
	case pec.TransportEnvelope:
		a.envelopes[n][mailbox]++
	case pec.Delivery:
		a.receipts[n][rec.CertData.Delivery]++
	case pec.TakeCharge:
		for _, r := range rec.CertData.Receptions {
			a.taken[n][r]++
		}
	default:
		err = fmt.Errorf("message %d: an unexpected %s %s", n, rec.Kind, rec.ReasonEN)
	}
	if (rec.Kind == pec.TransportEnvelope || rec.Kind == pec.Delivery) && rec.Original == nil {
		err = fmt.Errorf("message %d: the %s carries no original", n, rec.Kind)
	}
	verify := a.seen%a.every == 0
	a.seen++
	if verify {
		a.verified++
	}
	a.mu.Unlock()
	if err == nil && verify {
		signed := bytes.NewReader(raw[rec.Signed.Offset:rec.Signed.End])
		if v := a.verifier.Verify(rec.Signature, signed, rec.CertData.At, rec.From); !v.OK() {
			err = fmt.Errorf("message %d: signature of the %s: %s: %s", n, rec.Kind, v.Failed, v.ReasonEN)
		}
	}
	return err
}

// text is the part of message n that no hop may change: its body.
func (c *crew) text(n int) []byte {
	raw := c.letters.write(nil, n, c.sent[n].from, c.sent[n].to)
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return body
}

// judge counts. Every number from 0 on was submitted; those without a sender
// were refused or broken off.
func (a *audit) judge() {
	for n, s := range a.crew.sent {
		if s.from == "" {
			continue
		}
		if a.acceptance[n] != 1 {
			a.note(fmt.Errorf("message %d has %d acceptance receipts", n, a.acceptance[n]))
		}
		if len(a.envelopes[n]) != len(s.to) || len(a.receipts[n]) != len(s.to) {
			a.note(fmt.Errorf("message %d to %d recipients: envelopes in %d mailboxes, delivery receipts for %d", n, len(s.to), len(a.envelopes[n]), len(a.receipts[n])))
		}
		for _, r := range s.to {
			if a.envelopes[n][r] != 1 || a.receipts[n][r] != 1 {
				a.note(fmt.Errorf("message %d to %s: %d envelopes, %d delivery receipts", n, r, a.envelopes[n][r], a.receipts[n][r]))
			}
		}
		want := make(map[string]int)
		if a.crew.remote {
			for _, r := range s.to {
				want[r] = 1
			}
		}
		if !maps.Equal(a.taken[n], want) {
			a.note(fmt.Errorf("message %d: taken in charge %v, not %v", n, a.taken[n], want))
		}
	}
}
