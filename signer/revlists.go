// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
)

// RevocationConfig is where revocation lists come from.
type RevocationConfig struct {
	// Files are files and folders of lists, as LoadCRLs takes them.
	Files []string
	// URLs are addresses of lists, http or https.
	URLs []string
	// Watched returns the certificates whose revocation matters: the
	// authorities, and the certificates in the provider index. Lists are fetched
	// from their distribution points, and accepted when one of their CAs signed
	// them. It is called again and again, concurrently with everything else.
	// Nil: none.
	Watched func() []*x509.Certificate
	// IgnorePoints leaves the distribution points alone: only Files and URLs
	// are sources, and Watched says whose lists count and must be there.
	IgnorePoints bool
	// Dir is the folder that fetched lists are kept in; it is made if need be.
	// Empty: they are lost with the process.
	Dir string
	// Policy tells which lists are past their time.
	Policy RevocationPolicy
	// Interval is how often a list is fetched. Zero: an hour.
	Interval time.Duration
	// Timeout bounds one fetch, to the last octet. Zero: half a minute.
	Timeout time.Duration
	// Transport carries the requests. Nil: one of its own.
	Transport http.RoundTripper
	Alarms    *alarm.Board
	Clock     clock.Clock
	Logger    *slog.Logger
}

const (
	defaultInterval = time.Hour
	defaultTimeout  = 30 * time.Second
	// listTick is how often files are read again and URLs looked at: the delay
	// of a revocation is to be small (RFC 6109 §2.2.2).
	listTick = time.Minute
	// listRetry is how soon a fetch that brought no current list is repeated.
	listRetry = 5 * time.Minute
	// beforeEnd is how long before its end a list is asked for more often.
	beforeEnd = 15 * time.Minute
	// missWait is the least time between fetches that verifications ask for.
	missWait = time.Minute
)

// RevocationLists are the revocation lists in use, from files and over HTTP
// (RFC 6109 §2.2.2, RFC 5280 §5). They are safe for concurrent use.
//
// Whoever sits on the network can only withhold a list: what is not signed by a
// known CA is not kept, and an older list does not replace a newer one.
type RevocationLists struct {
	cfg    RevocationConfig
	client *http.Client
	files  *CRLs
	web    listSet
	wake   chan struct{}

	mu    sync.Mutex
	asked time.Time // when a verification last woke Run

	busy    sync.Mutex // one round at a time; it guards what follows
	sources map[string]*listSource
	held    map[string]*heldList // fetched lists, by their file name
	fileErr string               // why files could not be read, as logged
}

// OpenRevocationLists reads the files and what was fetched before. Run
// fetches anew. Errors are those of LoadCRLs, or Invalid for a URL, or
// concern the folder.
func OpenRevocationLists(cfg RevocationConfig) (*RevocationLists, error) {
	const op = "signer.OpenRevocationLists"
	if cfg.Interval <= 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Watched == nil {
		cfg.Watched = func() []*x509.Certificate { return nil }
	}
	cfg.URLs = slices.Clone(cfg.URLs)
	for _, u := range cfg.URLs {
		if !isListURL(u) {
			return nil, fault.Say(op, fault.Invalid, "indirizzo di lista di revoca non valido / invalid address of a revocation list: "+u)
		}
	}
	files, err := LoadCRLs(cfg.Files...)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	l := &RevocationLists{
		cfg: cfg, client: newClient(cfg.Transport, maxListRedirects), files: files, wake: make(chan struct{}, 1),
		sources: make(map[string]*listSource),
	}
	if l.held, err = l.readFolder(); err != nil {
		return nil, fault.Wrap(op, err)
	}
	l.publish()
	return l, nil
}

// RevocationList implements CRLSource. When there is no current list, Run is
// woken to look for one, so that the peer's next attempt may find it.
func (l *RevocationLists) RevocationList(issuer, c *x509.Certificate) (*x509.RevocationList, bool) {
	list, ok := l.newest(issuer, c)
	if now := l.cfg.Clock.Now(); !ok || !l.cfg.Policy.current(list, now) {
		l.ask(now)
	}
	return list, ok
}

// newest returns the newest list of a CA that speaks of c.
func (l *RevocationLists) newest(issuer, c *x509.Certificate) (*x509.RevocationList, bool) {
	list, ok := l.web.RevocationList(issuer, c)
	if other, found := l.files.RevocationList(issuer, c); found && (!ok || compareLists(other, list) > 0) {
		return other, true
	}
	return list, ok
}

// ask wakes Run, at most once in missWait.
func (l *RevocationLists) ask(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.asked.IsZero() && !passed(l.asked, now, missWait) {
		return
	}
	l.asked = now
	select {
	case l.wake <- struct{}{}:
	default: // woken already
	}
}

// passed says whether a time has gone by. A clock that was set back must not
// make anything wait until it has caught up.
func passed(since, now time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return age < 0 || age >= d
}

// Run keeps the lists up to date until ctx ends, and the alarm RevocationStale
// raised while one of them is missing or past its time. It reads the files
// again every minute.
func (l *RevocationLists) Run(ctx context.Context) {
	missed := false
	for ctx.Err() == nil {
		l.round(ctx, func(s *listSource, now time.Time) bool { return l.due(s, now, missed) })
		timer, stop := l.cfg.Clock.After(listTick)
		missed = false
		select {
		case <-ctx.Done():
		case <-timer:
		case <-l.wake:
			missed = true
		}
		stop()
	}
}

// due says whether a list is to be fetched from s. missed: a verification
// lacked a list.
func (l *RevocationLists) due(s *listSource, now time.Time, missed bool) bool {
	if s.tried.IsZero() {
		return true
	}
	wait := l.cfg.Interval
	if s.list == nil || s.trouble != "" || !l.cfg.Policy.current(s.list, now.Add(beforeEnd)) {
		wait = min(wait, listRetry)
		if missed {
			wait = min(wait, missWait)
		}
	}
	return passed(s.tried, now, wait)
}

// round does what Run does each time: files, fetches that are wanted, alarm.
func (l *RevocationLists) round(ctx context.Context, wanted func(*listSource, time.Time) bool) error {
	l.busy.Lock()
	defer l.busy.Unlock()
	errs := []error{l.reloadFiles()}
	watched := watch(l.cfg.Watched(), l.cfg.Clock.Now())
	l.follow(l.urls(watched))
	for _, url := range sortedKeys(l.sources) {
		s := l.sources[url]
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		if wanted(s, l.cfg.Clock.Now()) {
			errs = append(errs, l.renew(ctx, s, watched.authorities))
		}
	}
	l.judge(watched)
	return errors.Join(errs...)
}

// reloadFiles reads the files again. Trouble is logged when it changes.
func (l *RevocationLists) reloadFiles() error {
	err, text := l.files.Reload(), ""
	if err != nil {
		text = err.Error()
	}
	if text != l.fileErr && text != "" {
		l.cfg.Logger.Error("revocation lists not read again, the old ones stay in use", "error", text)
	}
	l.fileErr = text
	return err
}

// publish puts what was fetched to use.
func (l *RevocationLists) publish() {
	lists := make([]*x509.RevocationList, 0, len(l.held))
	for _, name := range sortedKeys(l.held) {
		lists = append(lists, l.held[name].list)
	}
	l.web.replace(lists)
}

// urls are the addresses to fetch from.
func (l *RevocationLists) urls(w watchedCerts) []string {
	if l.cfg.IgnorePoints {
		return slices.Clone(l.cfg.URLs)
	}
	return w.urls(l.cfg.URLs)
}
