// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"pecd/alarm"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/quarantine"
	"pecd/scan"
	"pecd/storage"
)

// openScanner makes the antivirus and the quarantine's key; without an engine
// there is neither.
func (n *node) openScanner() error {
	c := n.cfg.Scan
	if len(c.Clamd) == 0 {
		return nil
	}
	policy, err := scan.ParsePolicy(c.Bombs, c.Encrypted)
	if err != nil {
		return err
	}
	cfg := scan.ScannerConfig{Policy: policy, MaxMessage: n.cfg.Limits.MessageBytes + envelopeAllowance, Board: n.alarms, Clock: n.clock, Logger: n.log}
	clamd := func(addresses []string) (*scan.Clamd, error) {
		return scan.NewClamd(scan.ClamdConfig{Addresses: addresses, MaxConcurrent: c.Parallel, ScanTime: c.Timeout, Clock: n.clock})
	}
	engine, err := clamd(c.Clamd)
	if err != nil {
		return fmt.Errorf("scan.clamd: %w", err)
	}
	cfg.Engine = engine
	if len(c.Second) > 0 {
		second, err := clamd(c.Second)
		if err != nil {
			return fmt.Errorf("scan.second: %w", err)
		}
		cfg.Second = second
	}
	n.scanner = scan.NewScanner(cfg)
	if n.vault, err = quarantine.NewKeeper(n.cfg.Quarantine.Recipient); err != nil {
		return fmt.Errorf("quarantine.recipient: %w", err)
	}
	return nil
}

// What anybody can send has one place in four of scan.parallel, and waits for
// one a short time only: a server that meets 451 comes again.
const (
	ordinaryShare = 4
	ordinaryWait  = 10 * time.Second
)

// useScanner shows antivirus and quarantine to the pipeline, where there are any.
func (n *node) useScanner() {
	c := n.cfg.Scan
	if c.None {
		n.alarms.Raise(alarm.ScannerNone, "nessun antivirus: scan.none = true, nessun messaggio viene esaminato / no antivirus: scan.none = true, no message is looked into")
	}
	if n.scanner != nil {
		n.core.Scanner, n.core.Vault = scanner{n.scanner}, n.vault
		n.core.OrdinaryScanner = scanner{n.scanner.Share(scan.Share{
			Places: c.Parallel / ordinaryShare, Wait: ordinaryWait, Time: c.OrdinaryTimeout, Linger: c.Timeout,
		})}
	}
}

// scanner shows the antivirus, or a share of it, to the pipeline.
type scanner struct {
	all interface {
		Scan(ctx context.Context, r io.Reader) (scan.Result, error)
	}
}

// Scan implements pipeline.Scanner.
func (s scanner) Scan(ctx context.Context, r io.Reader) (pipeline.Finding, error) {
	f, err := s.all.Scan(ctx, r)
	return pipeline.Finding{Name: f.Name, Refuse: f.Refuse, Report: f.Report}, err
}

// purgeEvery is how often what was kept long enough is looked for.
const purgeEvery = time.Hour

// purgeQuarantine removes infected messages whose time of keeping is over.
func (n *node) purgeQuarantine(ctx context.Context) {
	for {
		if err := n.purgeQuarantined(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("quarantine not purged", "error", err)
		}
		if !n.pause(ctx, purgeEvery) {
			return
		}
	}
}

func (n *node) purgeQuarantined(ctx context.Context) error {
	if n.clockDoubtful() {
		return nil // a wrong clock must not destroy what the law wants kept
	}
	now := n.clock.Now()
	for {
		purge := &storage.PurgeQuarantined{Before: monthsBefore(now.In(n.zone), n.cfg.Quarantine.Months)}
		due := false
		err := n.store.EachQuarantined(ctx, time.Time{}, func(q storage.Quarantined) error {
			due = q.At.Before(purge.Before)
			return errEnough // they come in order: the first one tells
		})
		if err != nil && err != errEnough || !due {
			return ignoring(err, errEnough)
		}
		e := ledger.Event{At: now, Kind: ledger.QuarantinePurged, Detail: "fino al / up to " + purge.Before.UTC().Format(time.RFC3339)}
		if err := n.store.Commit(ctx, new(storage.Step).Add(purge, recordOf(e))); err != nil {
			return err
		}
	}
}

// clockDoubtful reports whether the clock is known to be off, or unwatched.
func (n *node) clockDoubtful() bool {
	return slices.ContainsFunc(n.alarms.Raised(), func(a alarm.Alarm) bool {
		return a.Name == alarm.ClockDeviation || a.Name == alarm.ClockUnchecked
	})
}

// monthsBefore is the instant so many calendar months before t. Where that
// month is shorter it is the month's last day: nothing is kept too short.
func monthsBefore(t time.Time, months int) time.Time {
	first := time.Date(t.Year(), t.Month()-time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}
