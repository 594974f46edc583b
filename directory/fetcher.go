// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
)

// DefaultMaxSignedAge is how old the signature of the index in use may be, unless
// told otherwise: it is published daily (RFC 6109 §4.5), with some days of rest.
const DefaultMaxSignedAge = 7 * 24 * time.Hour

// The values of a FetcherConfig that are not set.
const (
	defaultEvery      = 24 * time.Hour // RFC 6109 §4.5: on a daily basis
	defaultStaleAfter = 48 * time.Hour
	defaultTimeout    = 10 * time.Minute
)

// SignedIndex is what a signed index file holds.
type SignedIndex struct {
	LDIF []byte
	// SignedAt is the signer's signingTime (RFC 5652 §11.3), zero without one.
	// It is what keeps an older file from being passed off as a new one.
	SignedAt time.Time
	// By is who signed.
	By *x509.Certificate
	// Unknown is why it cannot be told now whether the signer's certificate was
	// revoked: there is no current revocation list. Nil where it was not. Such an
	// index is believed where there is no other one, and nowhere else.
	Unknown error
}

// FetcherConfig says where the whole index comes from and what is believed.
type FetcherConfig struct {
	URL  string // https, without user and password
	File string // the index in use; its name ends in ".p7m"

	// TLS holds the client certificate by which we are known (RFC 6109 §5.6)
	// and the authorities of the server's. nil: none and the system's.
	TLS *tls.Config
	// Open verifies the signature and returns what was signed.
	Open func(p7m []byte) (SignedIndex, error)

	Own string // our providerName; "" as long as the index does not list us
	// OwnRecord returns our record as we publish it, nil where that is not known
	// (yet): then any certificate that comes into our record or leaves it needs
	// Accept. It may be nil.
	OwnRecord func() []Provider

	Every      time.Duration // between two fetches, 0: a day
	StaleAfter time.Duration // age of the last good fetch that raises the alarm, 0: two days
	Timeout    time.Duration // of one fetch, 0: ten minutes
	// MaxSignedAge is how long ago the index in use may have been signed before
	// the alarm of a stale index is raised: a server that gives out the same file
	// for ever is fetched from in vain. 0: no such limit. It does not count where
	// the signature has no time.
	MaxSignedAge time.Duration
	MaxBytes     int64   // of the file, 0: 256 MiB, which is also the most
	MaxLoss      float64 // of providers or of domains at once, 0: a fifth

	Random func() float64 // in [0,1), spreads the fetches of providers; nil: math/rand
	// Loaded is told of each index taken over, for the log: before whoever asked
	// for it is answered, and again from Run until it returns no error, also
	// after a restart. After a crash it may be told twice. The first index is told
	// from Run alone. It must not call the Fetcher. It may be nil.
	Loaded func(ctx context.Context, s Summary) error

	Alarms *alarm.Board
	Clock  clock.Clock
	Log    *slog.Logger
}

// Summary is what the log says of an index that was taken over.
type Summary struct {
	Providers, Domains, Certificates int // of the new index
	Changes                              // from the one before, which is none at the first

	SHA256   string    // of the signed file, in hexadecimal
	SignedAt time.Time // zero where the signature has no time
	ByHand   bool      // by Accept
	// Unchanged: the file is the one in use already. Nothing was taken over and
	// Loaded was not called.
	Unchanged bool
}

// Fetcher keeps the index in use fresh: it fetches the published one daily,
// verifies it, has it judged by the one in use, and replaces the file. Whatever
// is wrong with the new one, the old one stays. Methods may be called
// concurrently.
type Fetcher struct {
	cfg    FetcherConfig
	client *http.Client
	rename func(from, to string) error // os.Rename

	busy chan struct{} // holds a value while somebody fetches, accepts or opens
	live *LiveIndex    // of the busy one; nil before First

	mu       sync.Mutex // of what follows
	state    fetchState
	attempt  time.Time // the last one
	failure  string    // of the last attempt, "" for none
	failures int       // in a row
	due      time.Time // of the next attempt
	// signer is that of the last index whose signature held, in use or not.
	signer *x509.Certificate
	// unproven: the last index was taken over without knowing whether its signer
	// was revoked.
	unproven bool
}

// NewFetcher returns a fetcher that has done nothing yet: First comes next. An
// error, of kind Invalid, says which value is wrong.
func NewFetcher(cfg FetcherConfig) (*Fetcher, error) {
	if err := cfg.check(); err != nil {
		return nil, fault.New("directory.NewFetcher", fault.Invalid, err)
	}
	cfg.setDefaults()
	f := &Fetcher{cfg: cfg, client: newIndexClient(cfg), rename: os.Rename, busy: make(chan struct{}, 1)}
	f.state = f.loadState()
	if last := f.state.Fetched; !last.IsZero() {
		f.due = last.Add(f.spread(cfg.Every))
	}
	return f, nil
}

func (c *FetcherConfig) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" || u.Host == "" || u.User != nil:
		return fmt.Errorf("%s is no https address without user", u.Redacted())
	case !isSigned(c.File):
		return fmt.Errorf("%s: a fetched index is signed, its file's name ends in .p7m", c.File)
	case c.Open == nil || c.Alarms == nil || c.Clock == nil || c.Log == nil:
		return errors.New("one of Open, Alarms, Clock, Log is missing")
	case c.TLS != nil && c.TLS.InsecureSkipVerify:
		return errors.New("the server's certificate is not to be verified")
	case c.Every < 0 || c.StaleAfter < 0 || c.Timeout < 0 || c.MaxSignedAge < 0:
		return errors.New("negative duration")
	case c.MaxBytes < 0 || c.MaxBytes > maxSignedIndex:
		return fmt.Errorf("MaxBytes is not within 0 and %d", maxSignedIndex)
	case c.MaxLoss < 0 || c.MaxLoss >= 1:
		return errors.New("MaxLoss is not a fraction")
	}
	return nil
}

func (c *FetcherConfig) setDefaults() {
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	if c.StaleAfter == 0 {
		c.StaleAfter = defaultStaleAfter
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = maxSignedIndex
	}
	if c.MaxLoss == 0 {
		c.MaxLoss = defaultMaxLoss
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.OwnRecord == nil {
		c.OwnRecord = func() []Provider { return nil }
	}
	if c.Loaded == nil {
		c.Loaded = func(context.Context, Summary) error { return nil }
	}
}

// First opens the index in use and returns it. Where the file is missing the
// index is fetched now, once, and believed on its signature (and on holding our
// record): the node must not take mail before. An error tells the operator
// what to do.
func (f *Fetcher) First(ctx context.Context) (*LiveIndex, error) {
	const op = "directory.First"
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	defer f.leave()
	if f.live != nil {
		return f.live, nil
	}
	f.removeLeftovers()
	_, err := os.Stat(f.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = f.fetch(ctx)
		f.note(ctx, err)
	}
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err, Text: fmt.Sprintf(
			"manca l'indice dei gestori (%[1]s) e non si ottiene da %[2]s: %[3]v. Correggere la causa, accettare l'indice rifiutato (pecd index status, pecd index accept) o copiare il file a mano"+
				" / there is no provider index (%[1]s) and none is to be had from %[2]s: %[3]v. Mend the cause, accept the refused index (pecd index status, pecd index accept), or put the file there by hand",
			f.cfg.File, f.cfg.URL, err)}
	}
	live, err := f.use()
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err, Text: fmt.Sprintf(
			"l'indice dei gestori non è utilizzabile: %[1]v. Per scaricarlo di nuovo, spostare il file"+
				" / the provider index is not usable: %[1]v. To have it fetched anew, move the file away", err)}
	}
	return live, nil
}

// Existing opens the index in use where there is one, and fetches none: it is
// First for those who can do without an index. Nil, without an error, where the
// file is missing.
func (f *Fetcher) Existing(ctx context.Context) (*LiveIndex, error) {
	const op = "directory.Existing"
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	defer f.leave()
	if f.live != nil {
		return f.live, nil
	}
	if _, err := os.Stat(f.cfg.File); errors.Is(err, fs.ErrNotExist) {
		f.recall()
		return nil, nil
	}
	live, err := f.use()
	return live, fault.Wrap(op, err)
}

// use opens the file of the index.
func (f *Fetcher) use() (*LiveIndex, error) {
	defer f.recall()
	live, err := NewLiveIndex(f.cfg.File, f.openSigned, f.cfg.Log, f.cfg.Clock)
	if err != nil {
		return nil, err
	}
	f.live = live
	return live, nil
}

// openSigned is Open. It remembers the signer, whose lists are to be watched.
func (f *Fetcher) openSigned(p7m []byte) (SignedIndex, error) {
	s, err := f.cfg.Open(p7m)
	if err == nil && s.By != nil {
		f.mu.Lock()
		f.signer = s.By
		f.mu.Unlock()
	}
	return s, err
}

// Signer returns the certificate that signed the last index seen, in use or
// not; nil before there was one. Its revocation must be learned of even before
// an index of that signer is believed.
func (f *Fetcher) Signer() *x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.signer
}

// recall raises what was so before a restart.
func (f *Fetcher) recall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.state.Refused; r != nil {
		f.cfg.Alarms.Raise(alarm.IndexRefused, r.Reason)
	}
	f.judgeAge()
}

// enter waits for whoever is at the file.
func (f *Fetcher) enter(ctx context.Context) error {
	select {
	case f.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.New("directory.enter", fault.Temporary, ctx.Err())
	}
}

func (f *Fetcher) leave() { <-f.busy }

// isSigned reports whether a file's name is that of a signed index.
func isSigned(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".p7m") }
