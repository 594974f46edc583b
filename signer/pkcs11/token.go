// SPDX-License-Identifier: EUPL-1.2

package pkcs11

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
)

var (
	errNoPIN   = errors.New("no PIN given")
	errDown    = errors.New("the token was taken out of use")
	errTimeout = errors.New("the library did not answer in time")
	errStuck   = errors.New("too many calls into the library have not returned")
	errWrong   = errors.New("the token's signature does not verify with the certificate's key")
)

// moreStuck is how many attempts to use a token again may hang, beside the
// sessions that did. Each costs a thread for as long as the library keeps it.
const moreStuck = 4

// token is one token with the key.
type token struct {
	cfg     TokenConfig
	module  *module
	algo    algorithm
	clock   clock.Clock
	timeout time.Duration

	stuck   atomic.Int32   // calls that were abandoned and have not returned
	workers sync.WaitGroup // whoever calls the library

	loginMu sync.Mutex // one login at a time, and none after a refused PIN
	refused error

	mu   sync.Mutex
	link *link // nil: out of use
	why  error // it is
}

// link is a token in use: its sessions, each with a worker that owns it.
type link struct {
	jobs chan *job
	down chan struct{}
	once sync.Once
}

// end tells the workers to end after what they are at.
func (l *link) end() { l.once.Do(func() { close(l.down) }) }

// job is a call whose caller may give it up.
type job struct {
	digest []byte
	state  atomic.Int32
	done   chan outcome // holds one
}

type outcome struct {
	sig  []byte
	link *link
	err  error
}

// States of a job: who of caller and worker was first.
const (
	jobOpen int32 = iota
	jobDone
	jobAbandoned
)

// finish hands the outcome over. It reports false where nobody waits any more.
func (j *job) finish(o outcome) bool {
	if !j.state.CompareAndSwap(jobOpen, jobDone) {
		return false
	}
	j.done <- o
	return true
}

// wait waits for the outcome at most for the time.
func (t *token) wait(j *job, limit time.Duration) outcome {
	timer, stop := t.clock.After(limit)
	defer stop()
	select {
	case o := <-j.done:
		return o
	case <-timer:
	}
	if !j.state.CompareAndSwap(jobOpen, jobAbandoned) {
		return <-j.done
	}
	t.stuck.Add(1)
	return outcome{err: fmt.Errorf("%w: %v", errTimeout, limit)}
}

// returned counts an abandoned call that came back after all.
func (t *token) returned() { t.stuck.Add(-1) }

// sign signs on the token. An error takes it out of use.
func (t *token) sign(digest []byte) ([]byte, error) {
	l, err := t.current()
	if err != nil {
		return nil, err
	}
	j := &job{digest: bytes.Clone(digest), done: make(chan outcome, 1)}
	select {
	case <-l.down:
		return nil, errDown
	case l.jobs <- j:
	}
	o := t.wait(j, t.timeout)
	if o.err != nil {
		t.takeOut(l, o.err)
	}
	return o.sig, o.err
}

// current is the link in use, or why there is none.
func (t *token) current() (*link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link == nil {
		return nil, t.why
	}
	return t.link, nil
}

// takeOut takes a link out of use. One that was already is left alone.
func (t *token) takeOut(l *link, why error) {
	l.end()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link == l {
		t.link, t.why = nil, why
	}
}

// connect brings a token into use, or says why it cannot be.
func (t *token) connect() error {
	err := t.tryConnect()
	if err != nil {
		t.mu.Lock()
		t.why = err
		t.mu.Unlock()
	}
	return err
}

// tryConnect is connect. Opening sessions may hang as signing may.
func (t *token) tryConnect() error {
	if int(t.stuck.Load()) >= t.cfg.Sessions+moreStuck {
		return errStuck
	}
	j := &job{done: make(chan outcome, 1)}
	t.workers.Go(func() {
		l, err := t.openLink()
		if !j.finish(outcome{link: l, err: err}) {
			t.returned()
			if err == nil {
				l.end()
			}
		}
	})
	o := t.wait(j, connectFactor*t.timeout)
	if o.err != nil {
		return o.err
	}
	t.mu.Lock()
	t.link, t.why = o.link, nil
	t.mu.Unlock()
	return nil
}

// connectFactor is how many times the time of a signature opening a token may
// take: many sessions, a login, a search.
const connectFactor = 3

// trialDigest is what is signed to try a token.
func trialDigest() []byte {
	sum := sha256.Sum256([]byte("pecd"))
	return sum[:]
}

// openLink opens all sessions, has the first sign and starts the workers.
func (t *token) openLink() (l *link, err error) {
	var open []*session
	defer func() {
		if err != nil {
			for _, s := range open {
				err = errors.Join(err, s.close())
			}
		}
	}()
	for range t.cfg.Sessions {
		s, err := t.openSession()
		if err != nil {
			return nil, err
		}
		open = append(open, s)
	}
	sig, err := open[0].sign(trialDigest())
	if err != nil {
		return nil, err
	}
	if !t.algo.verifies(trialDigest(), sig) {
		return nil, errWrong
	}
	l = &link{jobs: make(chan *job), down: make(chan struct{})}
	for _, s := range open {
		t.workers.Go(func() { t.work(l, s) })
	}
	return l, nil
}

// work signs with a session until the link ends.
func (t *token) work(l *link, s *session) {
	defer func() { _ = s.close() }() // of a token out of use: it may be gone
	for {
		select {
		case <-l.down:
			return
		case j := <-l.jobs:
			var o outcome
			s, o = t.signOnce(s, j.digest)
			if !j.finish(o) {
				t.returned()
			}
		}
	}
}

// signOnce signs with the session, or where that fails with a new one: a session
// or its login may be lost without the token being so. It returns the session to
// go on with.
func (t *token) signOnce(s *session, digest []byte) (*session, outcome) {
	sig, err := s.sign(digest)
	if err != nil {
		again, openErr := t.openSession()
		if openErr != nil {
			return s, outcome{err: errors.Join(err, openErr)}
		}
		_ = s.close() // it may be lost already
		s = again
		sig, err = s.sign(digest)
	}
	if err == nil && !t.algo.verifies(digest, sig) {
		err = errWrong
	}
	if err != nil {
		return s, outcome{err: err}
	}
	return s, outcome{sig: sig}
}

// login logs a session in. A PIN that was refused once is not tried again: a few
// more times would lock the token.
func (t *token) login(s *session) error {
	t.loginMu.Lock()
	defer t.loginMu.Unlock()
	if t.refused != nil {
		return t.refused
	}
	err := s.login(t.cfg.PIN)
	if pinRefused(err) {
		t.refused = fmt.Errorf("%w; the PIN is not tried again before a restart", err)
		return t.refused
	}
	return err
}
