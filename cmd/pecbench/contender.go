// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"
)

// contender is a server that takes part in a cell: pecd, or one for plain mail.
type contender struct {
	name    string
	site    *site
	daemons []*daemon
	crew    *crew
	before  int64 // octets of the stores before the first round
	m       *measurement
}

// contenders starts pecd, and the peers where they were asked for, and logs
// everybody in. An idle server costs the others next to nothing.
func (b *bench) contenders(ctx context.Context, name string, l load) (all []*contender, err error) {
	defer func() {
		if err != nil {
			for _, c := range all {
				err = errors.Join(err, c.leave())
			}
			all = nil
		}
	}()
	s, err := b.plan.copyTo(filepath.Join(b.dir, name), nil)
	if err != nil {
		return all, err
	}
	pecd := &contender{name: "pecd", site: s, m: &measurement{}}
	if pecd.before, err = s.diskUse(l); err != nil {
		return all, err
	}
	if pecd.daemons, err = s.serveAll(ctx, l, nil); err != nil {
		return all, err
	}
	all = append(all, pecd)
	if !l.remote {
		for _, p := range b.peers {
			c := &contender{name: p.name, m: &measurement{}}
			if c.site, c.daemons, err = p.start(ctx, b, filepath.Join(b.dir, name+"-"+p.short)); err != nil {
				return all, err
			}
			all = append(all, c)
		}
	}
	for _, c := range all {
		if c.crew, err = gather(b, l, c.site); err != nil {
			return all, err
		}
	}
	return all, nil
}

// leave ends connections and daemons.
func (c *contender) leave() error {
	if c.crew != nil {
		c.crew.dismiss()
	}
	return stopAll(c.daemons)
}

// check holds what is in the mailboxes, once they stand still, against what was
// submitted.
func (c *contender) check(ctx context.Context, sample int, patience time.Duration) error {
	if err := c.crew.settle(ctx, patience); err != nil {
		return err
	}
	if c.site.plain {
		return c.crew.checkPlain()
	}
	a, err := newAudit(c.crew, sample)
	if err != nil {
		return err
	}
	err = a.run()
	c.m.verified, c.m.messages = a.verified, a.seen
	return err
}

// providers are those that a load concerns.
func (s *site) providers(l load) []*provider {
	if l.remote {
		return []*provider{s.alfa, s.beta}
	}
	return []*provider{s.alfa}
}

// serveAll starts the daemons of a load; traces names the files of their
// fsyncs, nil for daemons that are left alone.
func (s *site) serveAll(ctx context.Context, l load, traces []string) ([]*daemon, error) {
	var all []*daemon
	for i, p := range s.providers(l) {
		var d *daemon
		var err error
		if traces == nil {
			d, err = s.serve(ctx, p)
		} else {
			d, err = s.serveTraced(ctx, p, traces[i])
		}
		if err != nil {
			return nil, errors.Join(err, stopAll(all))
		}
		all = append(all, d)
	}
	return all, nil
}

func stopAll(all []*daemon) error {
	var errs []error
	for _, d := range all {
		errs = append(errs, d.stop())
	}
	return errors.Join(errs...)
}

func cpuOfAll(all []*daemon) (sum time.Duration, err error) {
	for _, d := range all {
		used, err := cpu(d.pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

func (s *site) diskUse(l load) (sum int64, err error) {
	for _, p := range s.providers(l) {
		n, err := diskUse(p.store)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
