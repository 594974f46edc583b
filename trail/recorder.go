// SPDX-License-Identifier: EUPL-1.2

package trail

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

const (
	every      = time.Second // how often what was gathered is written
	maxWaiting = 8192        // records to be written, and folders being read, that may wait
	maxUIDs    = 1 << 20     // UIDs of readings that may wait
	perStep    = 512         // records of one commit
	lastTime   = 5 * time.Second
)

// Config is what a Recorder needs.
type Config struct {
	Store interface {
		Commit(ctx context.Context, s *storage.Step) error
	}
	Clock  clock.Clock
	Logger *slog.Logger
	// Shared reports whether readings in the mailbox of an address are recorded:
	// where several people may read, one wants to know who did.
	Shared func(ctx context.Context, mailbox string) (bool, error)
}

// Recorder gathers logins and readings. A nil Recorder records nothing.
type Recorder struct {
	cfg Config

	mu      sync.Mutex
	waiting []ledger.Event
	reads   map[reading][]uint32
	uids    int // in reads
	logins  repeats
	refused repeats
	written chan struct{} // closed, and made anew, when something was written
}

// reading is who reads where.
type reading struct {
	who         Who
	mailbox     string
	folder      string
	uidValidity uint32
}

// New returns a Recorder, whose Run is yet to be called.
func New(cfg Config) *Recorder {
	return &Recorder{cfg: cfg, reads: make(map[reading][]uint32), logins: newRepeats(maxAccesses), refused: newRepeats(maxDenied), written: make(chan struct{})}
}

// Run writes what is gathered, until ctx ends, and then what is left: sessions
// have ended before.
func (r *Recorder) Run(ctx context.Context) {
	for {
		fire, release := r.cfg.Clock.After(every)
		select {
		case <-fire:
			r.flush(ctx, false)
		case <-ctx.Done():
			release()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
			defer cancel()
			r.flush(last, true)
			return
		}
		release()
	}
}

// Access records a login that succeeded, to the mailbox of an address, "" for
// none in particular. The first of a kind is written at once, its repetitions
// once a minute with their number: applications poll. Temporary where too much
// waits until ctx ends: who cannot be recorded is not let in.
func (r *Recorder) Access(ctx context.Context, who Who, mailbox string) error {
	if r == nil {
		return nil
	}
	e := who.event(r.cfg.Clock.Now(), ledger.Access, mailbox)
	return r.locked(ctx, func() {
		if !r.logins.counted(e) {
			r.logins.follow(e)
			r.waiting = append(r.waiting, e)
		}
	})
}

// Denied records a login that did not succeed and why. Nobody waits for it:
// attacks beyond what is kept apart are counted together.
func (r *Recorder) Denied(who Who, why string) {
	if r == nil {
		return
	}
	e := who.event(r.cfg.Clock.Now(), ledger.AccessDenied, "")
	e.Detail = why
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.refused.counted(e):
	case len(r.waiting) < maxWaiting/2 && r.refused.follow(e): // the other half is for those who may come in
		r.waiting = append(r.waiting, e)
	default:
		r.refused.lump(e)
	}
}

// Read records which messages were read, if that is recorded for their mailbox.
// Temporary as in Access.
func (r *Recorder) Read(ctx context.Context, who Who, m Messages) error {
	if r == nil || len(m.UIDs) == 0 {
		return nil
	}
	shared, err := r.cfg.Shared(ctx, m.Mailbox)
	if err == nil && !shared {
		return nil
	}
	k := reading{who, m.Mailbox, m.Folder, m.UIDValidity}
	return r.locked(ctx, func() {
		r.reads[k] = append(r.reads[k], m.UIDs...)
		r.uids += len(m.UIDs)
	})
}

// locked does something under the lock once there is room for it.
func (r *Recorder) locked(ctx context.Context, do func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting)+len(r.reads) >= maxWaiting || r.uids >= maxUIDs {
		written := r.written
		r.mu.Unlock()
		select {
		case <-written:
		case <-ctx.Done():
		}
		r.mu.Lock()
		if ctx.Err() != nil {
			return fault.New("trail.Recorder", fault.Temporary, ctx.Err())
		}
	}
	do()
	return nil
}

// flush writes what waits, with last also the repetitions whose minute is not
// over. What cannot be written waits on.
func (r *Recorder) flush(ctx context.Context, last bool) {
	now := r.cfg.Clock.Now()
	r.mu.Lock()
	if last || len(r.waiting) < maxWaiting { // what cannot be written is counted on, and does not pile up
		r.waiting = append(r.waiting, r.logins.due(now, last)...)
		r.waiting = append(r.waiting, r.refused.due(now, last)...)
	}
	for k, uids := range r.reads {
		r.waiting = append(r.waiting, events(now, ledger.MessageRead, k.who, Place{k.mailbox, k.folder}, storage.Handled{UIDs: sorted(uids), Validity: k.uidValidity})...)
	}
	clear(r.reads)
	r.uids = 0
	r.mu.Unlock()
	for {
		r.mu.Lock()
		batch := r.waiting[:min(len(r.waiting), perStep)]
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := r.write(ctx, batch); err != nil {
			r.cfg.Logger.Error("trail: logins and readings wait", "records", len(batch), "error", err)
			return
		}
		r.mu.Lock()
		if r.waiting = r.waiting[len(batch):]; len(r.waiting) == 0 {
			r.waiting = nil
		}
		close(r.written)
		r.written = make(chan struct{})
		r.mu.Unlock()
	}
}

func (r *Recorder) write(ctx context.Context, batch []ledger.Event) error {
	var step storage.Step
	for _, e := range batch {
		step.Add(record(e))
	}
	return r.cfg.Store.Commit(ctx, &step)
}
