// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// tenThousand is what a mailbox of 10,000 messages and one of large messages
// have shown, a value for each round.
type tenThousand struct{ envelopes, appends, bodies []float64 }

func (r *reading) tenThousand() (*tenThousand, error) {
	n, large, m := r.scaled(someMessages), r.scaled(largeBodies), &tenThousand{}
	octets := r.octets(1, large, largeBody)
	for range r.Rounds {
		// Each line must tell the Message-ID.
		rate, err := r.fetches(0, fmt.Sprintf("FETCH 1:%d ENVELOPE", n), "<"+r.run+".", n, 0)
		if err != nil {
			return nil, err
		}
		m.envelopes = append(m.envelopes, rate)
		if rate, err = r.appends(2); err != nil {
			return nil, err
		}
		m.appends = append(m.appends, rate)
		if rate, err = r.fetches(1, "FETCH 1:* (BODY.PEEK[])", " FETCH (", large, octets); err != nil {
			return nil, err
		}
		m.bodies = append(m.bodies, rate)
	}
	return m, nil
}

// octets is how long the first n messages of a mailbox are together.
func (r *reading) octets(mailbox, n, size int) (sum int64) {
	l, to := newLetters(r.run, size, time.Now()), []string{r.site.alfa.sender(mailbox)}
	var buf []byte
	for i := range n {
		buf = l.write(buf[:0], i, correspondent(i), to)
		sum += int64(len(buf))
	}
	return sum
}

// fetches is how many responses a second a FETCH brings: exactly count that
// contain a text, with so many octets of literals.
func (r *reading) fetches(mailbox int, command, text string, count int, octets int64) (float64, error) {
	c, err := r.client(mailbox)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if err := c.run("EXAMINE INBOX", nil); err != nil {
		return 0, err
	}
	took, got, err := c.timed(command, text, count)
	if err == nil && got != octets {
		err = fmt.Errorf("IMAP %s: %d octets, not %d", command, got, octets)
	}
	return float64(count) / took.Seconds(), err
}

// appends is how many messages a second one client appends, one after the
// other, each answered before the next.
func (r *reading) appends(mailbox int) (float64, error) {
	c, err := r.client(mailbox)
	if err != nil {
		return 0, err
	}
	defer c.close()
	l := newLetters(r.run, 5000, time.Now())
	before, err := c.messages()
	if err != nil {
		return 0, err
	}
	n, began := 0, time.Now()
	for ; time.Since(began).Seconds() < min(r.Seconds, 5); n++ {
		raw := l.write(nil, before+n, correspondent(n), []string{r.site.alfa.sender(mailbox)})
		if err := c.append("INBOX", raw); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	after, err := c.messages()
	if err == nil && after != before+n {
		err = fmt.Errorf("%d messages after %d were appended to %d", after, n, before)
	}
	return float64(n) / took.Seconds(), err
}

// besides has a peer hold the same messages, and measures it alike. They come
// into its mailboxes by APPEND.
func (r *reading) besides(ctx context.Context, p peer, ours *tenThousand) (_ []figure, err error) {
	s, daemons, err := p.start(ctx, r.bench, filepath.Join(r.dir, "imap10k-"+p.short))
	if err != nil {
		return nil, err
	}
	defer r.discard(s)
	defer func() { err = errors.Join(err, stopAll(daemons)) }()
	its := &reading{bench: r.bench, site: s}
	if err := its.fillByIMAP(0, r.scaled(someMessages), 5000); err != nil {
		return nil, err
	}
	if err := its.fillByIMAP(1, r.scaled(largeBodies), largeBody); err != nil {
		return nil, err
	}
	m, err := its.tenThousand()
	if err != nil {
		return nil, err
	}
	ratio := func(a, b []float64) float64 { return measured("", "", a...).Value / measured("", "", b...).Value }
	return []figure{
		measured(p.imap+": FETCH 1:* ENVELOPE", "lines/s", m.envelopes...),
		measured(p.imap+": APPEND of 5 kB, one connection", "1/s", m.appends...),
		measured(p.imap+": FETCH of bodies of 1 MB", "1/s", m.bodies...),
		measured("pecd ÷ "+p.imap+", ENVELOPE", "", ratio(ours.envelopes, m.envelopes)).atLeast(1, 0),
		measured("pecd ÷ "+p.imap+", APPEND", "", ratio(ours.appends, m.appends)).atLeast(1, 0),
		measured("pecd ÷ "+p.imap+", bodies", "", ratio(ours.bodies, m.bodies)).atLeast(1, 0),
	}, nil
}

func (r *reading) fillByIMAP(mailbox, n, size int) error {
	c, err := r.client(mailbox)
	if err != nil {
		return err
	}
	defer c.close()
	l := newLetters(r.run, size, time.Now())
	for i := range n {
		raw := l.write(nil, i, correspondent(i), []string{r.site.alfa.sender(mailbox)})
		if err := c.append("INBOX", raw); err != nil {
			return err
		}
	}
	return nil
}
