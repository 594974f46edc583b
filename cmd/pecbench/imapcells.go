// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"pecd/storage/sqlite"
)

// Sizes of the mailboxes that are read.
const (
	manyMessages = 100_000
	someMessages = 10_000
	largeBodies  = 200
	largeBody    = 1_000_000
)

// reading is a daemon whose mailbox is read by one client.
type reading struct {
	*bench
	site   *site
	daemon *daemon
}

// readCell prepares a store with fill and lets measure read it.
func readCell(name, title string, fill func(context.Context, *bench, *site, *sqlite.Store) error, measure func(context.Context, *reading) ([]figure, error)) cell {
	return cell{name, title, func(ctx context.Context, b *bench) ([]figure, error) {
		s, err := b.plan.copyTo(filepath.Join(b.dir, name), nil)
		if err != nil {
			return nil, err
		}
		defer b.discard(s)
		if err := s.alfa.prepared(ctx, func(st *sqlite.Store) error { return fill(ctx, b, s, st) }); err != nil {
			return nil, err
		}
		d, err := s.serve(ctx, s.alfa)
		if err != nil {
			return nil, err
		}
		figures, err := measure(ctx, &reading{b, s, d})
		if err == nil {
			var peak int64
			if peak, err = peakMemory(d.pid); err == nil {
				figures = append(figures, measured("peak memory of the daemon", "MiB", float64(peak)/(1<<20)))
			}
		}
		return figures, errors.Join(err, d.stop())
	}}
}

func imap100kCell() cell {
	return readCell("imap100k", "IMAP, mailbox of 100,000 messages", func(ctx context.Context, b *bench, s *site, st *sqlite.Store) error {
		l := newLetters(b.run, 2500, time.Now())
		return fillInbox(ctx, st, s.alfa.sender(0), b.scaled(manyMessages), func(i int) []byte {
			return l.write(nil, i, correspondent(i), []string{s.alfa.sender(0)})
		})
	}, func(ctx context.Context, r *reading) ([]figure, error) {
		n := r.scaled(manyMessages)
		var open, flags, search []float64
		for range r.Rounds {
			c, err := r.client(0)
			if err != nil {
				return nil, err
			}
			took, _, err := c.timed("SELECT INBOX", fmt.Sprintf("%d EXISTS", n), 1)
			if err != nil {
				return nil, err
			}
			open = append(open, milliseconds(took))
			if took, _, err = c.timed("FETCH 1:* FLAGS", " FETCH (", n); err != nil {
				return nil, err
			}
			flags = append(flags, float64(n)/took.Seconds())
			began := time.Now()
			hits, err := c.search("FROM mittente007@altri.example")
			if err != nil {
				return nil, err
			}
			search = append(search, milliseconds(time.Since(began)))
			if want := (n + 1000 - 8) / 1000; hits != want {
				return nil, fmt.Errorf("SEARCH FROM found %d messages, not %d", hits, want)
			}
			c.close()
		}
		return []figure{
			measured("SELECT", "ms", open...).atMost(50),
			measured("FETCH 1:* FLAGS", "lines/s", flags...).atLeast(300_000, 0),
			measured("SEARCH FROM", "ms", search...).atMost(500),
		}, nil
	})
}

func imap10kCell() cell {
	return readCell("imap10k", "IMAP, mailbox of 10,000 messages", func(ctx context.Context, b *bench, s *site, st *sqlite.Store) error {
		l := newLetters(b.run, 5000, time.Now())
		if err := fillInbox(ctx, st, s.alfa.sender(0), b.scaled(someMessages), func(i int) []byte {
			return l.write(nil, i, correspondent(i), []string{s.alfa.sender(0)})
		}); err != nil {
			return err
		}
		large := newLetters(b.run, largeBody, time.Now())
		return fillInbox(ctx, st, s.alfa.sender(1), b.scaled(largeBodies), func(i int) []byte {
			return large.write(nil, i, correspondent(i), []string{s.alfa.sender(1)})
		})
	}, func(ctx context.Context, r *reading) ([]figure, error) {
		m, err := r.tenThousand()
		if err != nil {
			return nil, err
		}
		figures := []figure{
			measured("FETCH 1:* ENVELOPE", "lines/s", m.envelopes...).atLeast(133_000, 0),
			measured("APPEND of 5 kB, one connection", "1/s", m.appends...).atLeast(607, 0),
			measured("FETCH of bodies of 1 MB", "1/s", m.bodies...).atLeast(1432, 0),
		}
		for _, p := range r.peers {
			if p.imap == "" {
				continue
			}
			more, err := r.besides(ctx, p, m)
			if err != nil {
				return figures, fmt.Errorf("%s: %w", p.imap, err)
			}
			figures = append(figures, more...)
		}
		return figures, nil
	})
}

func (r *reading) client(i int) (*imapClient, error) {
	return dialIMAP(r.site.alfa.imaps, r.site.tls(), r.site.alfa.sender(i), r.site.password)
}

// append appends a message after the server has asked for it, as every server
// understands it.
func (c *imapClient) append(folder string, raw []byte) error {
	tag, err := c.begin(fmt.Sprintf("APPEND %s {%d}", folder, len(raw)))
	if err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("+")) {
		return fmt.Errorf("IMAP APPEND: %s", line)
	}
	if _, err := c.nc.Write(append(raw, "\r\n"...)); err != nil {
		return err
	}
	return c.finish(tag, "APPEND", nil)
}

// timed is how long a command takes, of whose untagged responses exactly count
// must contain a text, and how many octets of literals it brings.
func (c *imapClient) timed(command, text string, count int) (took time.Duration, octets int64, err error) {
	want := []byte(text)
	got, began := 0, time.Now()
	err = c.run(command, func(u untagged) error {
		if bytes.Contains(u.line, want) {
			got++
		}
		octets += int64(len(u.literal))
		return nil
	})
	took = time.Since(began)
	if err == nil && got != count {
		err = fmt.Errorf("IMAP %s: %d responses with %q, not %d", command, got, text, count)
	}
	return took, octets, err
}

// search returns how many messages match.
func (c *imapClient) search(criteria string) (hits int, err error) {
	err = c.run("SEARCH "+criteria, func(u untagged) error {
		if rest, ok := strings.CutPrefix(string(u.line), "SEARCH"); ok {
			hits = len(strings.Fields(rest))
		}
		return nil
	})
	return hits, err
}
