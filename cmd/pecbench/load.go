// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is submissions over connections that stay open.
type load struct {
	conns      int
	recipients int
	size       int
	remote     bool // recipients at the other provider
	// most is how many messages a round has at the most, where what they lead
	// to takes much longer than submitting them; 0: no bound.
	most int
}

// crew is the connections of a load: those that submit, and one to each mailbox
// in which something is expected. They are made once for all rounds of a cell.
type crew struct {
	load
	site    *site
	from    *provider
	to      *provider
	letters *letters
	submit  []*smtpClient
	boxes   map[string]*watched
	order   []*watched

	mu   sync.Mutex
	sent []sentLetter // by number
}

// watched is a mailbox and what it must hold.
type watched struct {
	address string
	client  *imapClient
	want    int // messages
}

// sentLetter is a submission that was answered 250.
type sentLetter struct {
	from string
	to   []string
	size int
}

// gather logs everybody in.
func gather(b *bench, l load, s *site) (_ *crew, err error) {
	c := &crew{load: l, site: s, from: s.alfa, to: s.alfa, boxes: make(map[string]*watched),
		letters: newLetters(b.run, l.size, time.Now())}
	if l.remote {
		c.to = s.beta
	}
	defer func() {
		if err != nil {
			c.dismiss()
		}
	}()
	for i := range l.conns {
		sc, err := dialSubmission(s.alfa.smtps, s.tls(), s.alfa.sender(i), s.password, b.Pipelining)
		if err != nil {
			return c, err
		}
		c.submit = append(c.submit, sc)
		if err := c.watch(c.from, c.from.sender(i)); err != nil {
			return c, err
		}
	}
	for i := range structuredBoxes {
		if err := c.watch(c.to, c.to.recipient(i)); err != nil {
			return c, err
		}
	}
	if l.remote {
		if err := c.watch(c.from, c.from.service()); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *crew) watch(p *provider, address string) error {
	ic, err := dialIMAP(p.imaps, c.site.tls(), address, c.site.password)
	if err != nil {
		return err
	}
	w := &watched{address: address, client: ic}
	c.boxes[address], c.order = w, append(c.order, w)
	w.want, err = ic.messages()
	return err
}

func (c *crew) dismiss() {
	for _, s := range c.submit {
		s.close()
	}
	for _, w := range c.order {
		w.client.close()
	}
}

// addressees are the recipients of message n, spread over the mailboxes.
func (c *crew) addressees(n int) []string {
	to := make([]string, c.recipients)
	for i := range to {
		to[i] = c.to.recipient(n + i)
	}
	return to
}

// pass is what happened in one round.
type pass struct {
	accepted int
	octets   int64
	answers  []time.Duration // from the end of DATA to the 250
	began    time.Time       // first MAIL
	ended    time.Time       // every copy and receipt visible by IMAP
	accept   time.Duration   // began to the last 250
}

func (p *pass) took() time.Duration { return p.ended.Sub(p.began) }

// round submits for a time, or a number of messages where that is not 0, and
// waits until everything that belongs to them is visible.
func (c *crew) round(ctx context.Context, d time.Duration, messages int, patience time.Duration) (*pass, error) {
	first, timed := len(c.sent), messages == 0
	if timed {
		messages = c.most
	}
	next, end := atomic.Int64{}, first+messages
	next.Store(int64(first))
	var wg sync.WaitGroup
	var answers []time.Duration
	errs := make([]error, len(c.submit))
	p := &pass{began: time.Now()}
	for i, sc := range c.submit {
		wg.Go(func() {
			var mine []time.Duration
			var buf []byte
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				if messages > 0 && n >= end || timed && time.Since(p.began) >= d {
					break
				}
				s := sentLetter{from: c.from.sender(i), to: c.addressees(n)}
				buf = c.letters.write(buf[:0], n, s.from, s.to)
				s.size = len(buf)
				took, err := sc.send(s.from, s.to, buf)
				if err != nil {
					errs[i] = fmt.Errorf("message %d: %w", n, err)
					break
				}
				mine = append(mine, took)
				c.keep(n, s)
			}
			c.mu.Lock()
			answers = append(answers, mine...)
			c.mu.Unlock()
		})
	}
	wg.Wait()
	p.accept, p.answers, p.accepted = time.Since(p.began), answers, len(answers)
	for _, s := range c.sent[first:] {
		p.octets += int64(s.size)
	}
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return p, err
	}
	if err := c.await(ctx, patience); err != nil {
		return p, err
	}
	p.ended = time.Now()
	return p, nil
}

// keep records an accepted submission and what it leads to: a message in each
// recipient's mailbox and, of certified mail, a receipt for each of them and the
// acceptance in the sender's, and in the service mailbox what the other provider
// has taken in charge.
func (c *crew) keep(n int, s sentLetter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.sent) <= n {
		c.sent = append(c.sent, sentLetter{})
	}
	c.sent[n] = s
	if !c.site.plain {
		c.boxes[s.from].want += 1 + len(s.to)
		if c.remote {
			c.boxes[c.from.service()].want++
		}
	}
	for _, r := range s.to {
		c.boxes[r].want++
	}
}

// await looks at one mailbox after the other until it holds what it must. The
// last one to be complete ends the round, so that one question at a time is
// enough and costs the server next to nothing.
func (c *crew) await(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for _, w := range c.order {
		for {
			n, err := w.client.messages()
			if err != nil {
				return fmt.Errorf("%s: %w", w.address, err)
			}
			if n >= w.want {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s holds %d messages after %v, not %d", w.address, n, patience, w.want)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	return nil
}

// stillFor is how long the mailboxes must stand still before they are checked:
// what is doubled comes after what was waited for.
const stillFor = 500 * time.Millisecond

// settle waits until no mailbox changes any more.
func (c *crew) settle(ctx context.Context, patience time.Duration) error {
	began, since, last := time.Now(), time.Now(), -1
	for {
		sum := 0
		for _, w := range c.order {
			n, err := w.client.messages()
			if err != nil {
				return fmt.Errorf("%s: %w", w.address, err)
			}
			sum += n
		}
		switch {
		case sum != last:
			last, since = sum, time.Now()
		case time.Since(since) >= stillFor:
			return nil
		}
		if time.Since(began) > patience+stillFor {
			return fmt.Errorf("the mailboxes still grow after %v", patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stillFor / 10):
		}
	}
}
