// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		all, err := b.measureLoad(ctx, name, l)
		if err != nil {
			return nil, err
		}
		figures := all[0].m.figures(l, t)
		for _, peer := range all[1:] {
			figures = append(figures, all[0].m.against(peer.name, peer.m, l)...)
		}
		return figures, nil
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

// measureLoad runs a load in rounds against daemons of its own, and against the
// peers, whose rounds come in turn with pecd's: what the machine does besides
// concerns all alike. pecd is the first of the result.
func (b *bench) measureLoad(ctx context.Context, name string, l load) ([]*contender, error) {
	limit, err := rsaLimit(ctx)
	if err != nil {
		return nil, err
	}
	all, err := b.contenders(ctx, name, l)
	if err != nil {
		return nil, err
	}
	pecd := all[0]
	err = b.rounds(ctx, name, all)
	for _, c := range all {
		err = errors.Join(err, c.leave())
	}
	if err != nil {
		return nil, err
	}
	// The store was closed: its log has been copied into the database.
	after, err := pecd.site.diskUse(l)
	if err != nil {
		return nil, err
	}
	pecd.m.grown = float64(after - pecd.before)
	for _, c := range all {
		b.discard(c.site)
	}
	limitAfter, err := rsaLimit(ctx)
	if err != nil {
		return nil, err
	}
	pecd.m.rsa = []float64{limit, limitAfter}
	if b.Syncs {
		pecd.m.syncs, err = b.countSyncs(ctx, name+"-syncs", l)
	}
	return all, err
}

// rounds fills the measurements, then checks everything that was delivered.
func (b *bench) rounds(ctx context.Context, name string, all []*contender) error {
	for range b.Rounds {
		for _, c := range all {
			if err := b.oneRound(ctx, c.m, c.crew, c.daemons); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	pecd := all[0]
	for _, d := range pecd.daemons {
		peak, err := peakMemory(d.pid)
		if err != nil {
			return err
		}
		pecd.m.peak = max(pecd.m.peak, float64(peak)/(1<<20))
	}
	if b.Profile != "" {
		if err := b.profileRounds(ctx, pecd.m, pecd.crew, name); err != nil {
			return err
		}
	}
	sample, err := b.sample()
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := c.check(ctx, sample, b.Patience); err != nil {
			return fmt.Errorf("check of %s: %w", c.name, err)
		}
	}
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

// against is a peer's plain mail beside our certified mail.
func (m *measurement) against(name string, peer *measurement, l load) []figure {
	var copies, ratios []float64
	for i, r := range peer.rate {
		copies = append(copies, r*float64(l.recipients))
		ratios = append(ratios, m.rate[i]/r)
	}
	return []figure{
		measured(name+", plain: copies seen by IMAP", "1/s", copies...),
		measured(name+", plain: 250, p50", "ms", peer.p50...),
		measured(name+", plain: 250, p99", "ms", peer.p99...),
		measured(name+", plain: CPU a message", "ms", peer.cpu...),
		measured("certified pecd ÷ plain "+name, "", ratios...).atLeast(1, 0),
	}
}
