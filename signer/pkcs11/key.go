// SPDX-License-Identifier: EUPL-1.2

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
)

// TokenConfig says where the key is on one token.
type TokenConfig struct {
	Module   string // the library: soname or path
	Label    string // of the token
	Serial   string // of the token; empty: any
	KeyLabel string // CKA_LABEL; empty: any
	KeyID    []byte // CKA_ID; empty: any
	PIN      []byte // of the user
	Sessions int    // signatures at once; 0: DefaultSessions
}

// DefaultSessions is how many sessions a token gets. Modules in software gain
// nothing from more, those in hardware say in their manual how many they serve.
const DefaultSessions = 4

// Config is the configuration of a Key.
type Config struct {
	Tokens  []TokenConfig // in the order of preference
	Public  crypto.PublicKey
	Timeout time.Duration // of one signature; then the token is out of use
	// Retry is how often a token out of use is tried again, and one that stands
	// by has to sign.
	Retry  time.Duration
	Clock  clock.Clock
	Alarms *alarm.Board
	Logger *slog.Logger
}

var (
	errClosed    = errors.New("the key is closed")
	errAlgorithm = errors.New("SHA-256 with PKCS#1 v1.5 or ECDSA only")
	errHanging   = errors.New("calls into the library do not return")
)

// Key is a private key on one or more tokens. It implements crypto.Signer and is
// safe for concurrent use.
type Key struct {
	cfg      Config
	tokens   []*token
	modules  map[string]*module
	parallel int

	closed atomic.Bool
	once   sync.Once
	stop   context.CancelFunc
	keeper sync.WaitGroup

	mu     sync.Mutex // of what was last told
	active string     // label of the token that signs
}

// Open brings every token into use and keeps watch over them until Close. One
// that cannot be used is told of by the alarm and tried again; at least one must
// be. The key of each token must be that of Public: it signs once.
//
// Errors are Unsupported for keys that no provider signs with, Denied where a
// PIN was refused, and Temporary otherwise.
func Open(cfg Config) (*Key, error) {
	const op = "pkcs11.Open"
	algo, err := algorithmOf(cfg.Public)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	k := &Key{cfg: cfg, modules: make(map[string]*module)}
	var all []error
	for _, c := range cfg.Tokens {
		if c.Sessions <= 0 {
			c.Sessions = DefaultSessions
		}
		k.parallel = max(k.parallel, c.Sessions)
		if k.modules[c.Module] == nil {
			k.modules[c.Module] = &module{path: c.Module}
		}
		t := &token{cfg: c, module: k.modules[c.Module], algo: algo, clock: cfg.Clock, timeout: cfg.Timeout}
		k.tokens = append(k.tokens, t)
		if err := t.connect(); err != nil {
			all = append(all, fmt.Errorf("token %q: %w", c.Label, err))
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if len(all) == len(k.tokens) {
		kind, err := fault.Temporary, errors.Join(all...)
		if pinRefused(err) {
			kind = fault.Denied
		}
		return nil, fault.New(op, kind, errors.Join(err, k.Close()))
	}
	k.report()
	k.keeper.Go(func() { k.keep(ctx) })
	return k, nil
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.cfg.Public }

// Parallel returns how many signatures are made at once.
func (k *Key) Parallel() int { return k.parallel }

// Sign implements crypto.Signer for a SHA-256 digest: PKCS#1 v1.5 with RSA, DER
// with ECDSA. It waits for a session of the first token in use; where that one
// fails, or does not answer in time, the next one signs. The reader is not used.
// Errors are Invalid for another digest or algorithm, Temporary otherwise.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const op = "pkcs11.Sign"
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fault.New(op, fault.Invalid, errAlgorithm)
	}
	var all []error
	for _, t := range k.tokens {
		if k.closed.Load() {
			return nil, fault.New(op, fault.Temporary, errClosed)
		}
		sig, err := t.sign(digest)
		if err == nil {
			if len(all) > 0 {
				k.report()
			}
			return sig, nil
		}
		all = append(all, fmt.Errorf("token %q: %w", t.cfg.Label, err))
	}
	k.report()
	return nil, fault.New(op, fault.Temporary, errors.Join(all...))
}

// keep looks after the tokens until ctx ends.
func (k *Key) keep(ctx context.Context) {
	for {
		timer, stop := k.cfg.Clock.After(k.cfg.Retry)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-timer:
		}
		for _, t := range k.tokens {
			if ctx.Err() != nil {
				return
			}
			if _, err := t.current(); err != nil {
				_ = t.connect() // the report says why not
			} else {
				_, _ = t.sign(trialDigest()) // a failure takes it out of use
			}
		}
		k.report()
	}
}

// report tells, where something changed, which token signs and which are out of
// use: to the log, and to the operator by the alarm.
func (k *Key) report() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed.Load() {
		return // what Close takes out of use is no news
	}
	active, reasons := "", []string(nil)
	for _, t := range k.tokens {
		_, err := t.current()
		switch {
		case err != nil:
			reasons = append(reasons, fmt.Sprintf("%q: %s", t.cfg.Label, t.reason(err)))
		case active == "":
			active = t.cfg.Label
		}
	}
	if active != k.active && active != "" {
		k.cfg.Logger.Warn("signing token in use", "token", active, "before", k.active)
	}
	k.active = active
	text := strings.Join(reasons, "; ")
	switch {
	case text == "":
		k.cfg.Alarms.Clear(alarm.SigningToken)
	case active == "":
		k.cfg.Alarms.Raise(alarm.SigningToken, "nessun token firma, la posta attende / no token signs, mail waits: "+text)
	default:
		k.cfg.Alarms.Raise(alarm.SigningToken, fmt.Sprintf("firma il token %q, altri sono fuori uso / token %q signs, others are out of use: %s", active, active, text))
	}
}

// reason is why a token is out of use, in one line.
func (t *token) reason(err error) string {
	s := strings.ReplaceAll(err.Error(), "\n", "; ")
	if n := t.stuck.Load(); n > 0 {
		s += fmt.Sprintf(" (%d chiamate non tornano / calls do not return)", n)
	}
	return s
}

// Close ends the sessions after the signatures under way, and the libraries'
// use. Later signatures fail. Where calls do not return within the time of a
// signature the error is Temporary; their threads stay.
func (k *Key) Close() (err error) {
	k.once.Do(func() { err = fault.Wrap("pkcs11.Close", k.close()) })
	return err
}

func (k *Key) close() error {
	k.closed.Store(true)
	k.stop()
	k.keeper.Wait()
	hanging := false
	for _, t := range k.tokens {
		if l, err := t.current(); err == nil {
			t.takeOut(l, errClosed)
		}
	}
	for _, t := range k.tokens {
		hanging = !t.idle() || hanging
	}
	if hanging {
		return fault.New("pkcs11.close", fault.Temporary, errHanging)
	}
	var all []error
	for _, m := range k.modules {
		all = append(all, m.finalise())
	}
	return errors.Join(all...)
}

// idle waits for whatever calls the library for a token out of use, and reports
// false where that does not end in time.
func (t *token) idle() bool {
	if t.stuck.Load() > 0 {
		return false // its time was up already
	}
	ended := make(chan struct{})
	go func() { // ends with the workers
		t.workers.Wait()
		close(ended)
	}()
	timer, stop := t.clock.After(t.timeout)
	defer stop()
	select {
	case <-ended:
		return true
	case <-timer:
		return false
	}
}
