// SPDX-License-Identifier: EUPL-1.2

// Package seal closes the days of the PEC log, proves them and finds things in
// them (RFC 6109 §2.3; docs/adr/0006; docs/ledger.md describes the files).
//
// A closed day is a file with one line a record, inside CMS SignedData of the
// provider (NNNNNN-YYYY-MM-DD.log.p7m), and an RFC 3161 time stamp over that
// file (….log.tsr). Everything streams: a day may be as large as what holds and
// reads the CMS structure allows, which for openssl is 2 GiB, some four million
// records.
package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Months is how long the law wants the log kept (RFC 6109 §2.3).
const Months = 30

// settle is how long after midnight a day is closed, so that what was under way
// gets into the file of its own day. It is a nicety: what comes later goes into
// the next one.
const settle = 5 * time.Minute

// Signer makes opaque CMS SignedData: it reads the size octets of content from
// its start and writes the structure with the content inside, in DER, to w.
type Signer interface {
	SignOpaque(ctx context.Context, w io.Writer, content io.ReadSeeker, size int64, at time.Time) error
}

// Stamper asks a time-stamping authority for a stamp over a SHA-256 (RFC 3161).
// It returns the TimeStampResp in DER, which it has verified, and its instant.
type Stamper interface {
	Stamp(ctx context.Context, digest [32]byte) (response []byte, at time.Time, err error)
}

// Store is what the log lives in.
type Store interface {
	storage.Log
	Commit(ctx context.Context, s *storage.Step) error
}

// Config is what a Daybook works with. Every field is needed but Stamper.
type Config struct {
	Store    Store
	Dir      string // of the sealed files; its parent is there
	Provider string // name of the provider, as in the headers of the files
	Zone     *time.Location
	Clock    clock.Clock
	Signer   Signer
	Stamper  Stamper // nil: days stay unstamped, and an alarm says so
	Alarms   *alarm.Board
	Logger   *slog.Logger
	Months   int // of keeping, at least 30; 0: 30
}

// Daybook closes the days of one log, in order. It is the only one that writes
// to its directory.
type Daybook struct {
	cfg Config

	mu   sync.Mutex // held by a turn
	open int64      // every seal below this number has its time stamp
	kept int64      // every seal below this number is purged
}

// New returns a Daybook and creates its directory. Where the log was found broken
// and that was not cleared (Cleared), the alarm is raised again.
func New(cfg Config) (*Daybook, error) {
	const op = "seal.New"
	if cfg.Months == 0 {
		cfg.Months = Months
	}
	if cfg.Months < Months {
		return nil, fault.Say(op, fault.Invalid, "il log si conserva per almeno 30 mesi / the log is kept for 30 months at least")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	cfg.Dir = dir
	if err := makeDir(dir); err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	d := &Daybook{cfg: cfg}
	if err := d.remember(); err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	return d, nil
}

// SealNow closes every day that is over, and asks for the time stamps that lack.
// The present day stays open. The error tells of the first day that could not
// be closed, and of the first stamp that was not had.
func (d *Daybook) SealNow(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.closeDays(ctx, d.cfg.Clock.Now())
	_, stampErr := d.stampSeals(ctx)
	return fault.Wrap("seal.SealNow", errors.Join(err, stampErr))
}

// Still calls fn while no day is closed, stamped or purged: what the store says
// of sealed days and what is in the directory agree meanwhile. fn should be short.
func (d *Daybook) Still(fn func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fn()
}

// closeDays closes the days that ended before now, oldest first. With an error
// comes the end of the first day that is not closed, zero where it is unknown.
// A clock that is known to be off closes nothing: the day of a seal is for good.
func (d *Daybook) closeDays(ctx context.Context, now time.Time) (due time.Time, err error) {
	last, _, err := d.state(ctx)
	if err != nil {
		return time.Time{}, err
	}
	day, ok, err := d.nextDay(ctx, last, now)
	if err != nil || !ok {
		return time.Time{}, err
	}
	if err := d.ahead(day); err != nil {
		return time.Time{}, err
	}
	var days []time.Time
	for today := dayOf(now, d.cfg.Zone); day.Before(today); day = day.AddDate(0, 0, 1) {
		days = append(days, day)
	}
	if len(days) == 0 {
		return time.Time{}, nil
	}
	if d.doubtful(alarm.ClockDeviation) {
		return endOf(days[0], d.cfg.Zone), fault.Say("seal.closeDays", fault.Temporary, fmt.Sprintf(
			"log PEC del %s non sigillato: l'orologio è fuori tolleranza / PEC log not sealed: the clock is off", days[0].Format(time.DateOnly)))
	}
	ends, err := cuts(ctx, d.cfg.Store, cut{last.Last, last.Head}, days, d.cfg.Zone)
	if err != nil {
		return endOf(days[0], d.cfg.Zone), err
	}
	for i, day := range days {
		if last, err = d.closeDay(ctx, last, day, ends[i]); err != nil {
			return endOf(day, d.cfg.Zone), err
		}
	}
	return time.Time{}, nil
}

// state returns the last seal (number 0 without any) and those that have no
// time stamp, in order and without their Stamp.
func (d *Daybook) state(ctx context.Context) (last storage.Seal, unstamped []storage.Seal, err error) {
	err = d.cfg.Store.Seals(ctx, d.open, func(s storage.Seal) error {
		if len(s.Stamp) == 0 {
			unstamped = append(unstamped, s)
		}
		s.Stamp = nil
		last = s
		return nil
	})
	if err != nil {
		return storage.Seal{}, nil, err
	}
	d.open = last.Number
	if len(unstamped) > 0 {
		d.open = unstamped[0].Number
	}
	return last, unstamped, nil
}

// nextDay returns the first day that has no seal; ok is false where there is
// nothing to seal yet. The first of all is the day of the first record; what
// a wrong clock dated long before that goes into it, too.
func (d *Daybook) nextDay(ctx context.Context, last storage.Seal, now time.Time) (day time.Time, ok bool, err error) {
	if last.Number > 0 {
		day, err = time.Parse(time.DateOnly, last.Day)
		if err != nil {
			return time.Time{}, false, fault.New("seal.nextDay", fault.Internal, err)
		}
		return day.AddDate(0, 0, 1), true, nil
	}
	err = d.cfg.Store.Records(ctx, 1, func(r storage.Record) error {
		day, ok = dayOf(r.At, d.cfg.Zone), true
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return time.Time{}, false, err
	}
	if oldest := dayOf(now, d.cfg.Zone).AddDate(0, -d.cfg.Months, 0); day.Before(oldest) {
		day = oldest
	}
	return day, ok, nil
}

// event is the operation that writes an event of the log about itself.
func event(e ledger.Event) *storage.AppendRecord {
	return &storage.AppendRecord{Record: storage.Record{
		At: e.At, Event: string(e.Kind), ID: e.ID, Mailbox: e.Mailbox, Data: e.Encode(),
	}}
}
