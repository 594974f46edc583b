// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"pecd/admission"
	"pecd/alarm"
	"pecd/metrics"
	"pecd/pipeline"
)

const (
	// gateWait is how long a client is made to wait before it is sent away.
	gateWait = 5 * time.Second
	// gateShare is the part of a gate that one client may take up.
	gateShare = 4
	// roomCheck is how often the disk is looked at.
	roomCheck = time.Second
	// gateCheck is how often the gates are looked at for their alarm, which is
	// raised once clients were sent away for gatePatience.
	gateCheck, gatePatience = 10 * time.Second, time.Minute
)

// openGates makes the ways in (ADR 0015). New acceptances close first: what
// comes in by MX has receipts of our own holders' messages among it.
func (n *node) openGates() error {
	if err := n.measureRoom(); err != nil {
		return err
	}
	gate := func(name string, slots, backlog int) *admission.Gate {
		return admission.New(admission.Config{
			Name: name, Clock: n.clock, Logger: n.log, Slots: slots, Each: max(1, slots/gateShare), Wait: gateWait,
			Backlog: backlog, Waiting: n.waitingDeliveries, Room: n.room.Load,
		})
	}
	l := n.cfg.Limits
	n.gates.submission, n.gates.mx = gate("submission", l.MessagesAtOnce, l.Backlog), gate("mx", l.MessagesAtOnce/2, 2*l.Backlog)
	return nil
}

func (n *node) waitingDeliveries() int { return n.store.Backlog(pipeline.JobDeliver) }

// measureRoom looks how much room is left on the store's file system.
func (n *node) measureRoom() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(n.cfg.path(n.cfg.Store.Dir), &s); err != nil {
		return fmt.Errorf("store.dir: %w", err)
	}
	n.room.Store(int64(s.Bavail)*s.Bsize - n.cfg.Limits.FreeBytes)
	return nil
}

// watchRoom keeps the figure and its alarm up to date.
func (n *node) watchRoom(ctx context.Context) {
	for {
		switch err := n.measureRoom(); {
		case err != nil:
			n.log.Error("room on the disk is not known", "error", err)
		case n.room.Load() <= 0:
			n.alarms.Raise(alarm.DiskLow, fmt.Sprintf("meno di %d MB liberi sul disco dell'archivio: nessun messaggio nuovo è accettato (452) / "+
				"less room on the store's disk: no new message is taken in", n.cfg.Limits.FreeBytes>>20))
		default:
			n.alarms.Clear(alarm.DiskLow)
		}
		if !n.pause(ctx, roomCheck) {
			return
		}
	}
}

// watchGates keeps the alarm about clients that are sent away up to date.
func (n *node) watchGates(ctx context.Context) {
	for n.pause(ctx, gateCheck) {
		var closed []string
		for _, f := range n.admissionFigures().Gates {
			if !f.Since.IsZero() && n.clock.Now().Sub(f.Since) >= gatePatience {
				closed = append(closed, f.String())
			}
		}
		if len(closed) == 0 || n.room.Load() <= 0 { // the disk has an alarm of its own
			n.alarms.Clear(alarm.AdmissionClosed)
			continue
		}
		n.alarms.Raise(alarm.AdmissionClosed, "messaggi rifiutati (451) da oltre un minuto / messages refused for more than a minute: "+strings.Join(closed, "; "))
	}
}

// admissionFigures are what the gates count, and how many deliveries wait.
func (n *node) admissionFigures() metrics.AdmissionFigures {
	return metrics.AdmissionFigures{
		Gates: []admission.Figures{n.gates.submission.Figures(), n.gates.mx.Figures()}, Deliveries: n.waitingDeliveries(), Room: n.room.Load(),
	}
}
