// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

const (
	// fetchPoll is how often Run looks whether it is time. It does not sleep
	// until then: a machine that was suspended would oversleep.
	fetchPoll = time.Minute
	// After a failed fetch the next one is tried after a minute, then after
	// twice as long each time. A refused index is asked for again at once after
	// the longest: it does not mend itself in a minute.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	// spreadPart is the part of a waiting time that is left to chance, so that
	// not all providers come in the same minute.
	spreadPart = 20
)

// FetchStatus is how the fetching of the index stands.
type FetchStatus struct {
	LastSuccess time.Time // when a good index was last fetched; of the file where nothing else is known; zero: never
	LastAttempt time.Time // since the start, zero: none
	LastError   string    // of the last attempt, "" when it was good
	Next        time.Time // when it is tried again, zero: now
	Refused     *Refused  // what waits for Accept, nil for nothing
}

// Status tells how the fetching stands.
func (f *Fetcher) Status() FetchStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FetchStatus{LastSuccess: f.state.Fetched, LastAttempt: f.attempt, LastError: f.failure, Next: f.due}
	if r := f.state.Refused; r != nil {
		waiting := *r
		s.Refused = &waiting
	}
	return s
}

// Run fetches the index whenever it is time, watches its age, and tells Loaded
// what it was not told yet, until ctx ends. First comes before.
func (f *Fetcher) Run(ctx context.Context) {
	for {
		f.tellAgain(ctx)
		if f.isDue() {
			// An error was noted where it was seen.
			_, _ = f.Refresh(ctx)
		}
		tick, stop := f.cfg.Clock.After(fetchPoll)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-tick:
		}
	}
}

// tellAgain tells Loaded what it was not told yet, when nobody else does.
func (f *Fetcher) tellAgain(ctx context.Context) {
	if _, ok := f.untold(); !ok || f.enter(ctx) != nil {
		return
	}
	defer f.leave()
	f.tell(ctx)
}

// isDue reports whether the index is to be fetched. It raises the alarm of its
// age as well. A clock that was set back must not put either off.
func (f *Fetcher) isDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Clock.Now()
	if f.state.Fetched.After(now) {
		f.state.Fetched = now
	}
	if f.due.After(now.Add(f.cfg.Every)) {
		f.due = now
	}
	f.judgeAge()
	return !now.Before(f.due)
}

// judgeAge raises or clears the alarm of a stale index. f.mu is held.
func (f *Fetcher) judgeAge() {
	now, last, signed := f.cfg.Clock.Now(), f.state.Fetched, f.signedAt()
	switch {
	case !last.IsZero() && now.After(last.Add(f.cfg.StaleAfter)):
		f.cfg.Alarms.Raise(alarm.IndexStale, fmt.Sprintf(
			"indice dei gestori non aggiornato dal %[1]s / provider index not refreshed since %[1]s", last.UTC().Format(time.RFC3339)))
	case f.cfg.MaxSignedAge > 0 && !signed.IsZero() && now.After(signed.Add(f.cfg.MaxSignedAge)):
		f.cfg.Alarms.Raise(alarm.IndexStale, fmt.Sprintf(
			"l'indice dei gestori in uso è firmato il %[1]s e non ne è pubblicato uno più recente / the provider index in use was signed at %[1]s and no newer one is published",
			signed.UTC().Format(time.RFC3339)))
	default:
		f.cfg.Alarms.Clear(alarm.IndexStale)
	}
}

// signedAt is when the index in use was signed, zero where that is not known.
func (f *Fetcher) signedAt() time.Time {
	if f.live == nil {
		return f.state.Signed
	}
	return f.live.SignedAt()
}

// note remembers how an attempt ended. One that was cancelled was none.
func (f *Fetcher) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Clock.Now()
	f.attempt = now
	if err == nil {
		f.failure, f.failures = "", 0
		f.due = now.Add(f.spread(f.cfg.Every))
		if f.unproven { // its signer's revocation list may come soon
			f.due = now.Add(min(firstRetry, f.cfg.Every))
		}
		f.state.Fetched = now
		f.dropRefused()
		return
	}
	f.failure = err.Error()
	wait := lastRetry
	if fault.Is(err, fault.Temporary) {
		wait = min(firstRetry<<min(f.failures, 10), lastRetry)
		f.failures++
	} else {
		f.failures = 0
		f.cfg.Alarms.Raise(alarm.IndexRefused, reasonOf(err))
	}
	wait = min(wait, f.cfg.Every)
	f.due = now.Add(f.spread(wait))
	f.cfg.Log.Warn("provider index not refreshed, the one in use stays", "url", f.cfg.URL, "again_in", wait.String(), "err", err)
	f.judgeAge()
}

// spread takes a bit off a waiting time.
func (f *Fetcher) spread(d time.Duration) time.Duration {
	return d - time.Duration(f.cfg.Random()*float64(d)/spreadPart)
}
