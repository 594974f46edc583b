// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"
)

// fetchPause is how long the reader of the cell below rests between two
// messages.
const fetchPause = 10 * time.Millisecond

// fetchUnderLoadCell reads a mailbox by IMAP, one message at a time as a person
// does, while 64 connections submit as fast as they can; the mailbox is one of
// those that are written to.
func fetchUnderLoadCell() cell {
	l := load{conns: 64, recipients: 1, size: 5000}
	return cell{"fetch-under-load", "IMAP FETCH of a message while 64 connections submit", func(ctx context.Context, b *bench) (_ []figure, err error) {
		s, err := b.plan.copyTo(filepath.Join(b.dir, "fetch-under-load"), nil)
		if err != nil {
			return nil, err
		}
		defer b.discard(s)
		d, err := s.serve(ctx, s.alfa)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, d.stop()) }()
		c, err := gather(b, l, s)
		if err != nil {
			return nil, err
		}
		defer c.dismiss()
		// So that there is something to read.
		if _, err := c.round(ctx, time.Second, 0, b.Patience); err != nil {
			return nil, err
		}
		var p50, p99, worst, rates []float64
		for range b.Rounds {
			times, p, err := b.readWhile(ctx, c)
			if err != nil {
				return nil, err
			}
			p50, p99 = append(p50, percentile(times, 50)), append(p99, percentile(times, 99))
			worst = append(worst, milliseconds(times[len(times)-1]))
			rates = append(rates, float64(p.accepted)/p.took().Seconds())
		}
		return []figure{
			measured("FETCH of one message, p99", "ms", p99...).atMost(200),
			measured("FETCH of one message, p50", "ms", p50...),
			measured("FETCH of one message, longest", "ms", worst...),
			measured("certified meanwhile", "msg/s", rates...),
		}, nil
	}}
}

// readWhile fetches messages of a mailbox during a round; the times are sorted.
func (b *bench) readWhile(ctx context.Context, c *crew) ([]time.Duration, *pass, error) {
	reader, err := dialIMAP(c.to.imaps, c.site.tls(), c.to.recipient(0), c.site.password)
	if err != nil {
		return nil, nil, err
	}
	defer reader.close()
	there, err := reader.messages()
	if err != nil {
		return nil, nil, err
	}
	if err := reader.run("SELECT INBOX", nil); err != nil {
		return nil, nil, err
	}
	over := make(chan struct{})
	var p *pass
	var failed error
	go func() { // ends before over is closed, which is waited for
		p, failed = c.round(ctx, b.duration(), b.Messages, b.Patience)
		close(over)
	}()
	var times []time.Duration
	for {
		select {
		case <-over:
			if len(times) == 0 {
				failed = errors.Join(failed, errors.New("the round was over before anything was read"))
			}
			slices.Sort(times)
			return times, p, failed
		case <-time.After(fetchPause):
		}
		began, got := time.Now(), 0
		err := reader.run(fmt.Sprintf("FETCH %d (FLAGS BODY.PEEK[])", 1+rand.IntN(there)), func(u untagged) error {
			got += len(u.literal)
			return nil
		})
		if err == nil && got == 0 {
			err = errors.New("FETCH gave nothing")
		}
		if err != nil {
			<-over
			return nil, nil, err
		}
		times = append(times, time.Since(began))
	}
}
