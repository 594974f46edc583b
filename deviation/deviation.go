// SPDX-License-Identifier: EUPL-1.2

// Package deviation watches how far the clock that dates receipts and log
// records is from UTC, by asking time servers (SNTP, RFC 5905 §14). The law
// tolerates one second (pec-rules §6.2). Nothing here sets the clock.
package deviation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/clock"
)

// Defaults of Config.
const (
	DefaultTolerance = time.Second // DM 2-11-2005 art. 9
	DefaultEvery     = 5 * time.Minute
	DefaultTimeout   = 5 * time.Second
)

const (
	// lookEvery is how often the wall clock is held against the steady one.
	lookEvery = time.Second
	// jump is the least step that is noticed. The two are read one after the
	// other, which a busy machine may draw out by some milliseconds.
	jump = 100 * time.Millisecond
	// shortest is the least time between two questions to a server
	// (RFC 4330 §10), however often the clock jumps.
	shortest = 15 * time.Second
	// patience is how many rounds in a row may end without a valid answer.
	patience = 3
)

// Config is what a Monitor needs. Durations of zero take the defaults above.
type Config struct {
	// Servers are time servers, host or host:port; three or more let one of
	// them be wrong. Without any the clock counts as unchecked.
	Servers   []string
	Tolerance time.Duration // more than this is an alarm
	Every     time.Duration // between two rounds of questions
	Timeout   time.Duration // for one answer
	Clock     clock.Clock   // the clock that is measured
	Alarms    *alarm.Board
	Logger    *slog.Logger // nil: no log
}

// Monitor measures the deviation of a clock and raises alarm.ClockDeviation and
// alarm.ClockUnchecked. Run drives it; Last may be called from anywhere.
type Monitor struct {
	cfg Config
	// read returns the wall clock and, read at the same moment, a scale that
	// no setting of the clock moves.
	read func() (wall time.Time, steady time.Duration)

	// Of Run's goroutine.
	wall   time.Time     // when looked at last
	steady time.Duration // …
	asked  time.Duration // when the last round began
	due    time.Duration // when the next one begins
	failed int           // rounds without a valid answer, in a row
	shun   map[string]time.Duration
	faults map[string]string // why a server did not count, as logged last

	mu     sync.Mutex
	offset time.Duration
	at     time.Time
	ok     bool
}

// New returns a monitor that asks nobody before Run.
func New(cfg Config) *Monitor {
	if cfg.Tolerance <= 0 {
		cfg.Tolerance = DefaultTolerance
	}
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	start := cfg.Clock.Now()
	return &Monitor{
		cfg: cfg, shun: make(map[string]time.Duration), faults: make(map[string]string),
		wall: start.Round(0), asked: -shortest,
		read: func() (time.Time, time.Duration) {
			// Sub goes by the monotonic reading, Round(0) drops it.
			now := cfg.Clock.Now()
			return now.Round(0), now.Sub(start)
		},
	}
}

// Last returns what has to be added to the clock to have the time servers'
// time, positive where the clock is slow, and when it was measured. Jumps of
// the clock seen since are counted in. ok is false before the first measurement.
func (m *Monitor) Last() (offset time.Duration, at time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offset, m.at, m.ok
}

// Run measures until ctx ends: at once, then every Config.Every, and soon after
// the clock jumped.
func (m *Monitor) Run(ctx context.Context) {
	for ctx.Err() == nil {
		m.look()
		if m.steady >= m.due {
			m.round(ctx)
		}
		timer, stop := m.cfg.Clock.After(max(min(lookEvery, m.due-m.steady), time.Millisecond))
		select {
		case <-ctx.Done():
		case <-timer:
		}
		stop()
	}
}

// look reports whether the clock jumped since it was looked at last. A jump
// moves what is known of the deviation, which is judged at once, and brings the
// next round forward.
func (m *Monitor) look() bool {
	wall, steady := m.read()
	by := wall.Sub(m.wall) - (steady - m.steady)
	m.wall, m.steady = wall, steady
	if by.Abs() < jump {
		return false
	}
	m.cfg.Logger.Warn("the clock jumped", "by", by.String())
	m.due = min(m.due, max(steady, m.asked+shortest))
	m.mu.Lock()
	m.offset -= by
	offset, ok := m.offset, m.ok
	m.mu.Unlock()
	if ok {
		m.judge(offset, fmt.Sprintf("dopo un salto di %s", seconds(by)), fmt.Sprintf("after a jump of %s", seconds(by)))
	}
	return true
}

// round asks every server once and judges what they say.
func (m *Monitor) round(ctx context.Context) {
	m.asked, m.due = m.steady, m.steady+m.cfg.Every
	answers := m.ask(ctx)
	if ctx.Err() != nil || m.look() {
		return // what was measured while the clock jumped is worth nothing
	}
	offset, valid := median(answers)
	if valid == 0 {
		m.unanswered(answers)
		return
	}
	m.mu.Lock()
	m.offset, m.at, m.ok = offset, m.wall, true
	m.mu.Unlock()
	m.failed = 0
	m.cfg.Alarms.Clear(alarm.ClockUnchecked)
	m.judge(offset, fmt.Sprintf("secondo %d sorgenti di tempo su %d", valid, len(answers)),
		fmt.Sprintf("by %d of %d time sources", valid, len(answers)))
}

// judge raises or clears the alarm of the deviation. basis says, in both
// languages, what offset was concluded from.
func (m *Monitor) judge(offset time.Duration, basis, basisEnglish string) {
	if offset.Abs() <= m.cfg.Tolerance {
		m.cfg.Alarms.Clear(alarm.ClockDeviation)
		return
	}
	side, sideEnglish := "indietro", "slow"
	if offset < 0 {
		side, sideEnglish = "avanti", "fast"
	}
	m.cfg.Alarms.Raise(alarm.ClockDeviation, fmt.Sprintf(
		"l'orologio è %s di %s %s; tolleranza %v / the clock is %s %s %s; tolerance %v",
		side, seconds(offset.Abs()), basis, m.cfg.Tolerance, seconds(offset.Abs()), sideEnglish, basisEnglish, m.cfg.Tolerance))
}

// unanswered counts a round without a valid answer. A deviation that is known
// stays one.
func (m *Monitor) unanswered(answers []answer) {
	m.failed = min(m.failed+1, patience)
	if m.failed < patience {
		return
	}
	if len(answers) == 0 {
		m.cfg.Alarms.Raise(alarm.ClockUnchecked, "nessuna sorgente di tempo configurata / no time source is configured")
		return
	}
	why := make([]string, len(answers))
	for i, a := range answers {
		why[i] = a.server + ": " + a.fault
	}
	m.cfg.Alarms.Raise(alarm.ClockUnchecked,
		"nessuna risposta valida dalle sorgenti di tempo / no valid answer from the time sources: "+strings.Join(why, "; "))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
