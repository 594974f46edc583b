// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"pecd/pec"
	"pecd/rfc822"
	"pecd/storage/sqlite"
)

// What one large message to many is: 100 MB, near the limit of a message, to as
// many recipients as a message may have.
const (
	bigOctets     = 100_000_000
	bigRecipients = 1000
	// All complete receipts together are 100 GB to whoever reads them, more than
	// the largest mailbox may hold.
	bigQuota = 256 << 30
	// bigHead is what of a receipt is fetched of all of them; the certification
	// data are in front of the original.
	bigHead = 512 << 10
	// bigWhole is how many receipts are fetched and verified whole.
	bigWhole = 3
)

func bigCell() cell {
	return cell{"big", "one message of 100 MB to 1,000 local recipients", func(ctx context.Context, b *bench) ([]figure, error) {
		s, err := b.plan.copyTo(filepath.Join(b.dir, "big"), nil)
		if err != nil {
			return nil, err
		}
		defer b.discard(s)
		if err := s.alfa.prepared(ctx, func(st *sqlite.Store) error { return raiseQuota(ctx, st, bigQuota) }); err != nil {
			return nil, err
		}
		before, err := diskUse(s.alfa.store)
		if err != nil {
			return nil, err
		}
		d, err := s.serve(ctx, s.alfa)
		if err != nil {
			return nil, err
		}
		figures, err := b.oneBig(ctx, s, d)
		if err := errors.Join(err, d.stop()); err != nil {
			return figures, err
		}
		after, err := diskUse(s.alfa.store)
		if err != nil {
			return nil, err
		}
		return append(figures, measured("growth of the store", "MB", float64(after-before)/1e6).atMost(300)), nil
	}}
}

func (b *bench) oneBig(ctx context.Context, s *site, d *daemon) ([]figure, error) {
	l := newLetters(b.run, bigOctets, time.Now())
	from, to := s.alfa.recipient(0), make([]string, b.scaled(bigRecipients))
	for i := range to {
		to[i] = s.alfa.sender(i)
	}
	sc, err := dialSubmission(s.alfa.smtps, s.tls(), from, s.password, b.Pipelining)
	if err != nil {
		return nil, err
	}
	defer sc.close()
	ic, err := dialIMAP(s.alfa.imaps, s.tls(), from, s.password)
	if err != nil {
		return nil, err
	}
	defer ic.close()
	raw := l.write(nil, 0, from, to)
	used, err := cpu(d.pid)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	answer, err := sc.send(from, to, raw)
	if err != nil {
		return nil, err
	}
	accepted := time.Since(began)
	w := &watched{address: from, client: ic, want: 1 + len(to)}
	if err := (&crew{order: []*watched{w}}).await(ctx, 5*time.Minute); err != nil {
		return nil, err
	}
	took := time.Since(began)
	usedAfter, err := cpu(d.pid)
	if err != nil {
		return nil, err
	}
	peak, err := peakMemory(d.pid)
	if err != nil {
		return nil, err
	}
	figures := []figure{
		measured("all receipts after", "s", took.Seconds()).atMost(120),
		measured("250 after the first MAIL", "s", accepted.Seconds()),
		measured("250 after the end of DATA", "ms", milliseconds(answer)),
		measured("CPU of the daemon", "s", (usedAfter - used).Seconds()),
		measured("peak memory of the daemon", "MiB", float64(peak)/(1<<20)).atMost(256),
	}
	if err := (&crew{order: []*watched{w}}).settle(ctx, b.Patience); err != nil {
		return figures, err
	}
	c := &crew{load: load{recipients: len(to)}, site: s, from: s.alfa, to: s.alfa, letters: l, sent: []sentLetter{{from, to, len(raw)}}}
	a, err := newAudit(c, -1)
	if err != nil {
		return figures, err
	}
	return figures, b.checkBig(ctx, a, w)
}

// checkBig looks at the head of every receipt and of every recipient's
// envelope, and at some receipts and an envelope whole.
func (b *bench) checkBig(ctx context.Context, a *audit, w *watched) error {
	a.note(a.heads(w, pec.Delivery))
	for _, r := range a.crew.sent[0].to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ic, err := dialIMAP(a.crew.to.imaps, a.crew.site.tls(), r, a.crew.site.password)
		if err != nil {
			return err
		}
		a.note(a.heads(&watched{address: r, client: ic, want: 1}, pec.TransportEnvelope))
		ic.close()
	}
	a.judge()
	// Counted they are; now some of them are judged as in every other cell.
	whole := &audit{crew: a.crew, verifier: a.verifier, every: 1, acceptance: []int{0},
		envelopes: []map[string]int{{}}, receipts: []map[string]int{{}}, taken: []map[string]int{{}}}
	step := max(1, len(a.crew.sent[0].to)/bigWhole)
	for n := 2; n <= w.want; n += step {
		a.note(w.client.run(fmt.Sprintf("FETCH %d (BODY.PEEK[])", n), func(u untagged) error {
			if u.literal == nil {
				return nil
			}
			return whole.message(w.address, u.literal)
		}))
	}
	return errors.Join(a.faults...)
}

// heads files every message of a mailbox by its header and its certification
// data.
func (a *audit) heads(w *watched, kind pec.Kind) error {
	if err := w.client.run("EXAMINE INBOX", nil); err != nil {
		return err
	}
	return w.client.run(fmt.Sprintf("FETCH 1:* (BODY.PEEK[]<0.%d>)", bigHead), func(u untagged) error {
		if u.literal == nil {
			return nil
		}
		s := rfc822.NewScanner(rfc822.DefaultLimits())
		if _, err := s.Write(u.literal); err != nil {
			return err
		}
		m := s.Finish()
		data, err := certDataIn(m.Root, u.literal)
		if err != nil {
			return fmt.Errorf("%s: %w", w.address, err)
		}
		if n := a.crew.letters.number(m.Root.Header.Get("X-Riferimento-Message-ID")); n != 0 {
			return fmt.Errorf("%s: a message of another submission", w.address)
		}
		switch data.Type {
		case pec.Acceptance.CertType():
			a.acceptance[0]++
		case pec.TransportEnvelope.CertType():
			a.envelopes[0][w.address]++
		case pec.Delivery.CertType():
			a.receipts[0][data.Delivery]++
		}
		if data.Type != kind.CertType() && data.Type != pec.Acceptance.CertType() {
			return fmt.Errorf("%s: an unexpected %s: %s", w.address, data.Type, data.ExtendedError)
		}
		return nil
	})
}

// certDataIn finds the certification data in the beginning of a message.
func certDataIn(p *rfc822.Part, raw []byte) (pec.CertData, error) {
	if strings.EqualFold(p.DispositionParams["filename"], "daticert.xml") {
		xml := raw[p.BodyOffset:p.End]
		if p.Encoding == "base64" {
			decoded := make([]byte, base64.StdEncoding.DecodedLen(len(xml)))
			clean := bytes.ReplaceAll(bytes.TrimSpace(xml), []byte("\r\n"), nil)
			n, err := base64.StdEncoding.Decode(decoded, clean)
			if err != nil {
				return pec.CertData{}, err
			}
			xml = decoded[:n]
		}
		return pec.ReadCertData(xml)
	}
	for _, child := range p.Children {
		if d, err := certDataIn(child, raw); err == nil || !errors.Is(err, errNoCertData) {
			return d, err
		}
	}
	return pec.CertData{}, errNoCertData
}

var errNoCertData = errors.New("no certification data in it")
