// SPDX-License-Identifier: EUPL-1.2

// Package notify reaches users outside their certified mailboxes: by ordinary
// mail and by SMS. It has their contacts, confirmed by a code each (S4-115 sends
// its codes the same way), and tells them that something arrived (S4-014, S4-015,
// S4-021) or that a mailbox fills up. No notice says anything of a message but
// that it arrived, where and when.
//
// What is to be told is counted by the store in the step that delivers
// (storage.NoteArrival). A notice by mail becomes a job of the relay in the step
// that settles its count: it is told once. A text message is settled after the
// gateway took it: a crash in between, or a stop of the node while the gateway is
// asked, sends it again, with the same identifier.
package notify

import (
	"context"
	"log/slog"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Config is what a Service needs.
type Config struct {
	Store     storage.Store
	Directory *directory.Directory
	// Certified reports whether a domain is in the index of PEC providers.
	Certified func(domain string) bool
	Clock     clock.Clock
	Logger    *slog.Logger
	Alarms    *alarm.Board
	Zone      *time.Location // of the instants in notices
	From      string         // address that notices come from
	SMS       Gateway        // nil: no text messages
	Parallel  int            // text messages handed over at once
}

// Service keeps contacts and tells them things. All methods may be called
// concurrently; errors are *fault.Error. Changes are recorded with the actor of
// their context (directory.As).
type Service struct {
	cfg     Config
	figures counters
	unsaved unsaved // of text messages
}

// New returns a Service, whose Run is yet to be called.
func New(cfg Config) *Service {
	cfg.Parallel = max(cfg.Parallel, 1)
	return &Service{cfg: cfg}
}

// record is the operation that writes an event to the PEC log.
func (s *Service) record(ctx context.Context, e ledger.Event) *storage.AppendRecord {
	return s.cfg.Directory.Recorded(ctx, e)
}

// commit commits the operations of one step.
func (s *Service) commit(ctx context.Context, ops ...storage.Op) error {
	return s.cfg.Store.Commit(ctx, &storage.Step{Ops: ops})
}

// now is the present instant in the zone of notices.
func (s *Service) now() time.Time { return s.cfg.Clock.Now().In(s.cfg.Zone) }

// nextDay is when the civil day of an instant ends.
func nextDay(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
}

func say(op string, k fault.Kind, text string) error { return fault.Say("notify."+op, k, text) }
