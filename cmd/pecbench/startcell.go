// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"pecd/pipeline"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// What a node starts with.
const (
	storedMessages = 1_000_000
	queuedJobs     = 100_000
	queuedLanes    = 500
	sharedBodies   = 10_000
)

// startCell measures a start with a full store and a full queue: every job is
// overdue, and every destination refuses connections, as after an outage.
func startCell() cell {
	return cell{"start", "start with 1,000,000 stored messages and 100,000 queued jobs", func(ctx context.Context, b *bench) ([]figure, error) {
		closed, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		s, err := b.plan.copyTo(filepath.Join(b.dir, "start"), map[string]any{"relay.routes": map[string]any{"*": closed[0]}})
		if err != nil {
			return nil, err
		}
		defer b.discard(s)
		filled := 0 // messages of the sender
		if err := s.alfa.prepared(ctx, func(st *sqlite.Store) error {
			if err := b.fillForStart(ctx, s, st); err != nil {
				return err
			}
			filled, err = held(ctx, st, s.alfa.sender(0))
			return err
		}); err != nil {
			return nil, err
		}
		var ready, first, peaks []float64
		for n := range b.Rounds {
			if err := b.oneStart(ctx, s, n, filled+2*(n+1), &ready, &first, &peaks); err != nil {
				return nil, err
			}
		}
		if err := s.alfa.prepared(ctx, func(st *sqlite.Store) error { return b.checkAfterStart(ctx, st) }); err != nil {
			return nil, err
		}
		return []figure{
			measured("from exec to the first 250", "s", first...).atMost(5),
			measured("from exec to ready", "s", ready...),
			measured("peak memory of the daemon", "MiB", peaks...),
		}, nil
	}}
}

// held counts the messages of a mailbox, or of all for "".
func held(ctx context.Context, st *sqlite.Store, address string) (n int, err error) {
	err = st.Mailboxes(ctx, "", func(m storage.Mailbox) error {
		if address == "" || m.Address == address {
			n += int(m.Messages)
		}
		return nil
	})
	return n, err
}

// checkAfterStart counts what the node was started with: all of it is still
// there, and each round's message with its two receipts, once.
func (b *bench) checkAfterStart(ctx context.Context, st *sqlite.Store) error {
	messages, err := held(ctx, st, "")
	if err != nil {
		return err
	}
	jobs := 0
	if err := st.Jobs(ctx, pipeline.JobRelay, func(storage.Job) error { jobs++; return nil }); err != nil {
		return err
	}
	if want := b.scaled(storedMessages) + 3*b.Rounds; messages != want || jobs != b.scaled(queuedJobs) {
		return fmt.Errorf("%d messages and %d jobs are left, not %d and %d", messages, jobs, want, b.scaled(queuedJobs))
	}
	return nil
}

// oneStart runs the daemon from exec to the 250 of a message. The submission is
// tried from the beginning, as clients do. The daemon ends when the sender's
// mailbox holds so many messages: with the receipts.
func (b *bench) oneStart(ctx context.Context, s *site, n, holds int, ready, first, peaks *[]float64) error {
	l := newLetters(b.run, 5000, time.Now())
	from, to := s.alfa.sender(0), s.alfa.recipient(n)
	began := time.Now()
	answered := make(chan error, 1)
	var took time.Duration
	go func() { // waited for below
		err := firstAnswer(ctx, s, from, func(c *smtpClient) error {
			_, err := c.send(from, []string{to}, l.write(nil, n, from, []string{to}))
			took = time.Since(began)
			return err
		})
		answered <- err
	}()
	d, err := startDaemon(ctx, exec.Command(s.binary, "serve", "--config", s.alfa.config), saysReady)
	up := time.Since(began)
	err = errors.Join(err, <-answered)
	if d == nil || err != nil {
		if d != nil {
			d.kill()
		}
		return err
	}
	peak, err := peakMemory(d.pid)
	*ready, *first, *peaks = append(*ready, up.Seconds()), append(*first, took.Seconds()), append(*peaks, float64(peak)/(1<<20))
	if err == nil {
		err = b.receiptsCame(ctx, s, from, holds)
	}
	return errors.Join(err, d.stop())
}

// receiptsCame waits until a mailbox holds so many messages and no more come.
func (b *bench) receiptsCame(ctx context.Context, s *site, mailbox string, holds int) error {
	ic, err := dialIMAP(s.alfa.imaps, s.tls(), mailbox, s.password)
	if err != nil {
		return err
	}
	defer ic.close()
	c := &crew{order: []*watched{{address: mailbox, client: ic, want: holds}}}
	if err := c.await(ctx, b.Patience); err != nil {
		return err
	}
	return c.settle(ctx, b.Patience)
}

// firstAnswer connects as soon as somebody listens.
func firstAnswer(ctx context.Context, s *site, from string, send func(*smtpClient) error) error {
	end := time.Now().Add(startWithin)
	for {
		c, err := dialSubmission(s.alfa.smtps, s.tls(), from, s.password, true)
		if err == nil {
			defer c.close()
			return send(c)
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("no submission within %v: %w", startWithin, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// fillForStart writes the messages, many of which share bodies, spread over all
// mailboxes, and the jobs of the relay.
func (b *bench) fillForStart(ctx context.Context, s *site, st *sqlite.Store) error {
	bodies, err := fillBodies(ctx, st, s, b.run, b.scaled(sharedBodies))
	if err != nil {
		return err
	}
	messages, at := b.scaled(storedMessages)-len(bodies), time.Now()
	each := messages/standardBoxes + 1
	for box := 0; messages > 0; box++ {
		folder, err := inbox(ctx, st, s.alfa.sender(box))
		if err != nil {
			return err
		}
		step := new(storage.Step)
		for i := range min(each, messages) {
			step.Add(&storage.Append{Folder: folder.ID, Body: storage.BodyRef{ID: bodies[(box*each+i)%len(bodies)]}, InternalDate: at})
		}
		messages -= len(step.Ops)
		if err := st.Commit(ctx, step); err != nil {
			return err
		}
	}
	return b.fillQueue(ctx, s, st, bodies)
}

func fillBodies(ctx context.Context, st *sqlite.Store, s *site, run string, n int) ([]storage.BodyID, error) {
	l := newLetters(run, 5000, time.Now())
	folder, err := inbox(ctx, st, s.alfa.sender(0))
	if err != nil {
		return nil, err
	}
	var all []storage.BodyID
	for i := 0; i < n; {
		step := new(storage.Step)
		var bodies []*storage.NewBody
		for ; i < n && len(bodies) < fillStep; i++ {
			body := &storage.NewBody{Head: l.write(nil, i, correspondent(i), []string{s.alfa.sender(0)})}
			bodies = append(bodies, body)
			step.Add(body, &storage.Append{Folder: folder.ID, Body: storage.BodyRef{New: body}})
		}
		if err := st.Commit(ctx, step); err != nil {
			return nil, err
		}
		for _, body := range bodies {
			all = append(all, body.ID)
		}
	}
	return all, nil
}

// fillQueue writes overdue jobs to ordinary recipients of many domains.
func (b *bench) fillQueue(ctx context.Context, s *site, st *sqlite.Store, bodies []storage.BodyID) error {
	now, n := time.Now(), b.scaled(queuedJobs)
	for i := 0; i < n; {
		step := new(storage.Step)
		for ; i < n && len(step.Ops) < fillStep; i++ {
			domain := fmt.Sprintf("d%03d.altri.example", i%queuedLanes)
			payload, err := json.Marshal(map[string]any{
				"id": fmt.Sprintf("bench.%s.%d@%s", b.run, i, s.alfa.domain), "from": s.alfa.sender(i), "rcpt": []string{fmt.Sprintf("u%d@%s", i, domain)},
			})
			if err != nil {
				return err
			}
			step.Add(&storage.Enqueue{Body: storage.BodyRef{ID: bodies[i%len(bodies)]}, Job: storage.Job{
				Kind: pipeline.JobRelay, Lane: domain, Due: now.Add(-time.Duration(i) * time.Millisecond), Created: now, Payload: payload,
				Expires: now.Add(24 * time.Hour),
			}})
		}
		if err := st.Commit(ctx, step); err != nil {
			return err
		}
	}
	return nil
}
