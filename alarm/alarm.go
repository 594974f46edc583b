// SPDX-License-Identifier: EUPL-1.2

// Package alarm is the board of what an operator must look at now: conditions
// that last, each under a fixed name, raised and cleared by the part that sees
// them. A change is logged once; what is raised can be listed, and is collected
// as a metric elsewhere.
package alarm

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"pecd/clock"
)

// The names. They are label values of a metric and keys of operators' rules:
// none is renamed.
const (
	IndexStale          = "index_stale"          // the provider index was not refreshed in time
	IndexRefused        = "index_refused"        // a fetched index was refused; the old one stays in use
	RevocationStale     = "revocation_stale"     // a revocation list is past its time
	ScannerDown         = "scanner_down"         // the antivirus engine does not answer: mail waits
	ScannerBlind        = "scanner_blind"        // the engine does not report what policy refuses
	SpamEngineDown      = "spam_engine_down"     // the antispam engine does not answer: mail passes unchecked, or waits
	ScannerNone         = "scanner_none"         // no antivirus is configured: nothing is looked into
	ClockDeviation      = "clock_deviation"      // the clock is off by more than the law tolerates
	ClockUnchecked      = "clock_unchecked"      // no time source answers
	SealOverdue         = "ledger_overdue"       // a day of the log is not sealed in time
	StampOverdue        = "timestamp_overdue"    // a sealed day has no time stamp yet
	SigningToken        = "signing_token"        // a token with the signing key is out of use
	CertificateExpiring = "certificate_expiring" // a certificate of ours ends within 30 days
	LedgerBroken        = "ledger_broken"        // the log's chain does not hold
	AdmissionClosed     = "admission_closed"     // messages are refused for want of capacity
	DiskLow             = "disk_low"             // messages are refused for want of room on the disk
	RestoredJobs        = "restored_jobs"        // what a restore set aside waits for a decision
	SMSGateway          = "sms_gateway"          // the SMS gateway takes no messages: notices wait, mail does not
	MailboxConduct      = "mailbox_conduct"      // mailboxes look stolen: slowed down, blocked, or to be looked at
	StoreFailing        = "store_failing"        // the store cannot be written: mail waits
	RedisDown           = "redis_down"           // the Redis of the nodes does not answer: limits are counted by each node alone, and stricter
)

// Alarm is one condition that lasts.
type Alarm struct {
	Name  string
	Text  string // what is wrong, for the operator; no message contents, no secrets
	Since time.Time
}

// Change is one alarm that was raised or cleared.
type Change struct {
	Alarm
	At     time.Time
	Raised bool
}

// maxChanges bounds what waits for whoever keeps a record of the changes.
const maxChanges = 1000

// Board holds what is raised. It is safe for concurrent use.
type Board struct {
	clk clock.Clock
	log *slog.Logger

	mu      sync.Mutex
	raised  map[string]Alarm
	changes []Change
	changed chan struct{}
}

// NewBoard returns an empty board.
func NewBoard(clk clock.Clock, log *slog.Logger) *Board {
	return &Board{clk: clk, log: log, raised: make(map[string]Alarm), changed: make(chan struct{}, 1)}
}

// Changed receives a value after alarms were raised or cleared.
func (b *Board) Changed() <-chan struct{} { return b.changed }

// Changes hands out the changes since the last call, oldest first. Of those
// that nobody asks for the newest are kept.
func (b *Board) Changes() []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.changes
	b.changes = nil
	return out
}

// note keeps a change for the record.
func (b *Board) note(a Alarm, raised bool) {
	if len(b.changes) == maxChanges {
		b.changes = slices.Delete(b.changes, 0, 1)
	}
	b.changes = append(b.changes, Change{Alarm: a, At: b.clk.Now(), Raised: raised})
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Raise raises an alarm, or renews the text of one that is raised. Since stays
// that of the first time.
func (b *Board) Raise(name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, again := b.raised[name]
	if !again {
		a = Alarm{Name: name, Since: b.clk.Now()}
	}
	changed := !again || a.Text != text
	a.Text = text
	b.raised[name] = a
	if !again {
		b.note(a, true)
	}
	if changed {
		b.log.Error("alarm", "alarm", name, "text", text)
	}
}

// Clear ends an alarm. One that is not raised is passed over.
func (b *Board) Clear(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a, ok := b.raised[name]; ok {
		delete(b.raised, name)
		b.note(a, false)
		b.log.Info("alarm cleared", "alarm", name, "after", b.clk.Now().Sub(a.Since).Round(time.Second).String())
	}
}

// Raised lists what is raised, by name.
func (b *Board) Raised() []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Alarm, 0, len(b.raised))
	for _, a := range b.raised {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Alarm) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
