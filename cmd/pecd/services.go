// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"runtime"

	"pecd/clock"
	"pecd/pipeline"
	"pecd/storage"
)

// services are what a serving node does beside its listeners and workers, each
// until its context ends.
func (n *node) services() []func(context.Context) {
	all := []func(context.Context){
		func(ctx context.Context) { n.tlsCert.run(ctx, n.clock, n.log) },
		n.index.Run, n.crls.Run, n.daybook.Run, n.purgeQuarantine, n.purgeRecoverable, n.recordAlarms, n.watchExpiry, n.watchRestored, n.watchStore, n.watchRoom, n.watchGates, n.trail.Run, n.guard.Run,
		n.purgeSent, n.notices.Run, n.keeper().Run, n.recallNetworks, n.programs.Run, n.sampleUsage,
		func(ctx context.Context) { tuneCollector(ctx, clock.System{}) },
	}
	if n.scanner != nil {
		all = append(all, n.scanner.Run)
	}
	if n.rspamd != nil {
		all = append(all, n.watchAntispam)
	}
	if n.deviation != nil {
		all = append(all, n.deviation.Run)
	}
	if n.redis != nil {
		all = append(all, n.watchRedis, n.sharedLimits.Run)
	}
	if n.publisher != nil {
		all = append(all, n.publisher.Run)
	}
	if n.fetcher != nil {
		all = append(all, n.fetcher.Run)
	}
	return all
}

// forwardWorkers is how many forwards are done at once: they wait for commits only.
const forwardWorkers = 16

// deadlineWorkers is how many deadlines are looked after at once: notices are few.
const deadlineWorkers = 2

func (n *node) workers() []*pipeline.Worker {
	deliver := n.cfg.Limits.DeliveryWorkers
	if deliver <= 0 {
		deliver = min(128*runtime.NumCPU(), 512) // nearly all of them wait for a signature, or for a commit that they share
	}
	worker := func(kind string, parallel, perLane int, do func(context.Context, storage.Job) error) *pipeline.Worker {
		return &pipeline.Worker{Kind: kind, Store: n.store, Clock: n.clock, Logger: n.log, Parallel: parallel, PerLane: perLane, Do: do}
	}
	return []*pipeline.Worker{
		worker(pipeline.JobDeliver, deliver, 0, n.delivery.Deliver),
		worker(pipeline.JobForward, forwardWorkers, 0, n.forwarding.Forward),
		worker(pipeline.JobDeadline, deadlineWorkers, 0, (&pipeline.Deadlines{Core: n.core}).Deadline),
		worker(pipeline.JobRelay, n.cfg.Limits.RelayWorkers, n.cfg.Limits.RelayPerDomain, n.relaying.Relay),
	}
}
