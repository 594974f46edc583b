// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"pecd/storage/sqlite"
)

// loginsCell submits as local1 does, by turns alone and while 50 clients log in
// 5,000 times a minute in all.
func loginsCell() cell {
	l := load{conns: 64, recipients: 1, size: 5000}
	return cell{"logins", "local1 without and with 5,000 logins a minute by IMAP and POP3", func(ctx context.Context, b *bench) (_ []figure, err error) {
		s, err := b.plan.copyTo(filepath.Join(b.dir, "logins"), nil)
		if err != nil {
			return nil, err
		}
		defer b.discard(s)
		var all []visitor
		err = s.alfa.prepared(ctx, func(st *sqlite.Store) error {
			all, err = b.prepareVisitors(ctx, s, st)
			return err
		})
		if err != nil {
			return nil, err
		}
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
		m, err := b.besideVisitors(ctx, c, d, all)
		if err != nil {
			return nil, err
		}
		sample, err := b.sample()
		if err != nil {
			return nil, err
		}
		checked := &contender{name: "pecd", site: s, crew: c, m: &measurement{}}
		return m.figures(), checked.check(ctx, sample, b.Patience)
	}}
}

// interval is what was used while messages were submitted.
type interval struct {
	messages, visits int
	took             time.Duration
	daemon, own      time.Duration // CPU
}

func (i interval) rate() float64 { return float64(i.messages) / i.took.Seconds() }

// beside is the cell's rounds, in pairs that followed each other.
type beside struct {
	alone, with []interval
	first       interval // every visitor once
	visits      []*visits
}

// besideVisitors runs the pairs; which of a pair comes first changes, in order
// that what disturbs the machine disturbs both alike. Passwords were derived
// before: that is once in five minutes for each, and measured by itself.
func (b *bench) besideVisitors(ctx context.Context, c *crew, d *daemon, all []visitor) (*beside, error) {
	m, holds := &beside{}, b.scaled(visitHolds)
	var err error
	m.first, err = b.used(d, func() (messages, visits int, err error) {
		for _, v := range all {
			err = errors.Join(err, v.visit(c.site, 0, holds))
		}
		return 0, len(all), err
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.round(ctx, min(2*time.Second, b.duration()), 0, b.Patience); err != nil { // not cold
		return nil, err
	}
	for i := range b.Rounds {
		for j := range 2 {
			var err error
			if i%2 == j {
				err = b.withoutThem(ctx, m, c, d)
			} else {
				err = b.withThem(ctx, m, c, d, all, holds)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (b *bench) withoutThem(ctx context.Context, m *beside, c *crew, d *daemon) error {
	i, err := b.used(d, func() (int, int, error) {
		p, err := c.round(ctx, b.duration(), b.Messages, b.Patience)
		return p.accepted, 0, err
	})
	m.alone = append(m.alone, i)
	return err
}

func (b *bench) withThem(ctx context.Context, m *beside, c *crew, d *daemon, all []visitor, holds int) error {
	i, err := b.used(d, func() (int, int, error) {
		visiting, leave := context.WithCancel(ctx)
		defer leave()
		over := make(chan error)
		go func() { // received from below
			v, err := keepVisiting(visiting, c.site, all, holds)
			m.visits = append(m.visits, v)
			over <- err
		}()
		p, err := c.round(ctx, b.duration(), b.Messages, b.Patience)
		leave()
		err = errors.Join(err, <-over)
		return p.accepted, len(m.visits[len(m.visits)-1].took), err
	})
	m.with = append(m.with, i)
	return err
}

// used measures what an act takes of daemon and load generator.
func (b *bench) used(d *daemon, act func() (messages, visits int, err error)) (i interval, err error) {
	daemon, err := cpu(d.pid)
	if err != nil {
		return i, err
	}
	own, err := ownCPU()
	if err != nil {
		return i, err
	}
	began := time.Now()
	if i.messages, i.visits, err = act(); err != nil {
		return i, err
	}
	i.took = time.Since(began)
	after, err := cpu(d.pid)
	if err != nil {
		return i, err
	}
	i.daemon = after - daemon
	after, err = ownCPU()
	i.own = after - own
	return i, err
}

// figures: the rates, and what a login takes by CPU: what daemon and clients used
// beyond what as many messages take without logins. Clients on machines of their
// own take nothing of the daemon's: what it keeps is judged by its own part.
func (m *beside) figures() []figure {
	var alone, with, ratio, perMinute, perLogin, clients, left, p50, p99, late []float64
	for n, i := range m.with {
		a := m.alone[n]
		alone, with = append(alone, a.rate()), append(with, i.rate())
		ratio = append(ratio, i.rate()/a.rate())
		each, own := a.daemon.Seconds()/float64(a.messages), a.own.Seconds()/float64(a.messages)
		extra := i.daemon.Seconds() - each*float64(i.messages)
		perLogin = append(perLogin, 1000*extra/float64(i.visits))
		clients = append(clients, 1000*(i.own.Seconds()-own*float64(i.messages))/float64(i.visits))
		left = append(left, 1-extra/i.took.Seconds()/float64(cores()))
		v := m.visits[n]
		perMinute = append(perMinute, float64(len(v.took))/v.span.Minutes())
		p50, p99 = append(p50, percentile(v.took, 50)), append(p99, percentile(v.took, 99))
		late = append(late, milliseconds(v.late))
	}
	return []figure{
		measured("certified alone", "msg/s", alone...),
		measured("certified beside logins", "msg/s", with...),
		measured("beside logins ÷ alone", "", ratio...).atLeast(0.9, 0),
		measured("left of the machine by the daemon's logins", "", left...).atLeast(0.9, 0),
		measured("logins", "1/min", perMinute...).atLeast(5000, 0),
		measured("login, look, logout: CPU of the daemon", "ms", perLogin...),
		measured("login, look, logout: CPU of the client", "ms", clients...),
		measured("login, look, logout: p50", "ms", p50...),
		measured("login, look, logout: p99", "ms", p99...),
		measured("a login behind its pace, at most", "ms", late...),
		measured("first login: CPU of the daemon", "ms", 1000*m.first.daemon.Seconds()/float64(m.first.visits)),
	}
}
