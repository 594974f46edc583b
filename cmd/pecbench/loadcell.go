// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// loadTargets are what is asked of a load; 0: nothing.
type loadTargets struct {
	rate, aim float64 // certified deliveries a second, envelope stored and receipt back
	cpu       float64 // milliseconds of the daemon a message, at most
	signing   float64 // signatures a second as a part of what the machine can do
	p50, p99  float64 // of the 250, milliseconds, at most
}

// signatures of one message: acceptance, envelope and a delivery receipt for
// each recipient; the other provider signs that it has taken it in charge.
func (l load) signatures() int {
	if l.remote {
		return 3 + l.recipients
	}
	return 2 + l.recipients
}

func loadCell(name, title string, l load, t loadTargets) cell {
	return cell{name, title, func(ctx context.Context, b *bench) ([]figure, error) {
		m, err := b.measureLoad(ctx, name, l)
		if err != nil {
			return nil, err
		}
		return m.figures(l, t), nil
	}}
}

// measurement is what a load cell has found, a value for each round.
type measurement struct {
	rate, accept       []float64 // messages a second to the last receipt, and to the last 250
	cpu, generator     []float64 // milliseconds a message
	p50, p99           []float64
	rsa                []float64 // signatures a second of the machine, before and after
	peak               float64   // MiB, of the largest daemon
	grown, submitted   float64   // octets
	syncs              float64   // a message
	verified, messages int
}

// figures are in the order of the table.
func (m *measurement) figures(l load, t loadTargets) []figure {
	var deliveries, signing []float64
	limit := measured("", "", m.rsa...).Value
	for _, r := range m.rate {
		deliveries = append(deliveries, r*float64(l.recipients))
		signing = append(signing, r*float64(l.signatures())/limit)
	}
	rate, unit := measured("certified, to the last receipt by IMAP", "msg/s", m.rate...), "deliver/s"
	all := []figure{rate}
	if l.recipients > 1 {
		all = append(all, measured("certified deliveries", unit, deliveries...))
	}
	if t.rate > 0 {
		all[len(all)-1] = all[len(all)-1].atLeast(t.rate, t.aim)
	}
	all = append(all, measured("accepted, to the last 250", "msg/s", m.accept...))
	add := func(f figure, target float64, atLeast bool) {
		switch {
		case target > 0 && atLeast:
			f = f.atLeast(target, 0)
		case target > 0:
			f = f.atMost(target)
		}
		all = append(all, f)
	}
	add(measured("250 after the end of DATA, p50", "ms", m.p50...), t.p50, false)
	add(measured("250 after the end of DATA, p99", "ms", m.p99...), t.p99, false)
	add(measured("CPU of the daemon a message", "ms", m.cpu...), t.cpu, false)
	add(measured("CPU of the load generator a message", "ms", m.generator...), 0, false)
	add(measured("signatures/s ÷ RSA-2048 limit", "", signing...), t.signing, true)
	add(measured("RSA-2048 limit (openssl, all cores)", "sign/s", m.rsa...), 0, false)
	if m.syncs > 0 {
		add(measured("fsyncs a message (run under strace)", "", m.syncs), 0, false)
	}
	add(measured("octets stored ÷ submitted", "", m.grown/m.submitted), 0, false)
	add(measured("peak memory of the daemon", "MiB", m.peak), 0, false)
	add(measured("messages checked", "", float64(m.messages)), 0, false)
	add(measured("signatures verified", "", float64(m.verified)), 0, false)
	return all
}

// measureLoad runs a load in rounds against daemons of its own.
func (b *bench) measureLoad(ctx context.Context, name string, l load) (_ *measurement, err error) {
	m := &measurement{}
	if err := m.addLimit(ctx); err != nil {
		return nil, err
	}
	s, err := b.plan.copyTo(filepath.Join(b.dir, name), nil)
	if err != nil {
		return nil, err
	}
	defer b.discard(s)
	before, err := s.diskUse(l)
	if err != nil {
		return nil, err
	}
	daemons, err := s.serveAll(ctx, l, nil)
	if err != nil {
		return nil, err
	}
	if err := b.rounds(ctx, m, name, l, s, daemons); err != nil {
		return nil, errors.Join(err, stopAll(daemons))
	}
	if err := stopAll(daemons); err != nil {
		return nil, err
	}
	// The store was closed: its log has been copied into the database.
	after, err := s.diskUse(l)
	if err != nil {
		return nil, err
	}
	m.grown = float64(after - before)
	if err := m.addLimit(ctx); err != nil {
		return nil, err
	}
	if b.Syncs {
		m.syncs, err = b.countSyncs(ctx, name+"-syncs", l)
	}
	return m, err
}

func (m *measurement) addLimit(ctx context.Context) error {
	limit, err := rsaLimit(ctx)
	m.rsa = append(m.rsa, limit)
	return err
}

// rounds fills the measurement, then checks everything that was delivered.
func (b *bench) rounds(ctx context.Context, m *measurement, name string, l load, s *site, daemons []*daemon) error {
	c, err := gather(b, l, s)
	if err != nil {
		return err
	}
	defer c.dismiss()
	for range b.Rounds {
		if err := b.oneRound(ctx, m, c, daemons); err != nil {
			return err
		}
	}
	for _, d := range daemons {
		peak, err := peakMemory(d.pid)
		if err != nil {
			return err
		}
		m.peak = max(m.peak, float64(peak)/(1<<20))
	}
	if b.Profile != "" {
		if err := b.profileRounds(ctx, m, c, name); err != nil {
			return err
		}
	}
	sample, err := b.sample()
	if err != nil {
		return err
	}
	a, err := newAudit(c, sample)
	if err != nil {
		return err
	}
	if err := a.run(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	m.verified, m.messages = a.verified, a.seen
	return nil
}

func (b *bench) oneRound(ctx context.Context, m *measurement, c *crew, daemons []*daemon) error {
	used, err := cpuOfAll(daemons)
	if err != nil {
		return err
	}
	own, err := ownCPU()
	if err != nil {
		return err
	}
	p, err := c.round(ctx, b.duration(), b.Messages, b.Patience)
	if err != nil {
		return err
	}
	usedAfter, err := cpuOfAll(daemons)
	if err != nil {
		return err
	}
	ownAfter, err := ownCPU()
	if err != nil {
		return err
	}
	n := float64(p.accepted)
	slices.Sort(p.answers)
	m.rate = append(m.rate, n/p.took().Seconds())
	m.accept = append(m.accept, n/p.accept.Seconds())
	m.cpu = append(m.cpu, milliseconds(usedAfter-used)/n)
	m.generator = append(m.generator, milliseconds(ownAfter-own)/n)
	m.p50, m.p99 = append(m.p50, percentile(p.answers, 50)), append(m.p99, percentile(p.answers, 99))
	m.submitted += float64(p.octets)
	return nil
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
