// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
)

// Result is the verdict on one message. Refuse and Report are never both set.
type Result struct {
	Class  Class
	Name   string // of what was found, printable ASCII of at most 200 octets; "" for Clean
	Refuse bool
	Report bool // let through, to be said in the log
}

// ScannerConfig is what a scanner needs.
type ScannerConfig struct {
	Engine Engine
	// Second is asked about messages in which Engine found encrypted contents
	// that the policy lets through; it reports none itself (clamd.conf:
	// AlertEncrypted no). clamd names one finding, and where a message holds
	// something encrypted and exceeds a limit as well, it may be either: a file
	// that was not looked at could pass behind an encrypted one. nil: not asked.
	Second Engine
	Policy Policy
	// MaxMessage is the largest message in octets that the engines must take: the
	// self-test sends them one. 0: they are not asked.
	MaxMessage int64
	Board      *alarm.Board
	Clock      clock.Clock
	Logger     *slog.Logger
}

// Scanner makes verdicts of what an engine finds. It is safe for concurrent use.
type Scanner struct {
	cfg ScannerConfig
	// doubted receives a value when a message was left without a verdict: Run
	// looks at the engines soon.
	doubted chan struct{}

	testing sync.Mutex // held by the self-test
	large   map[string]largeTest
}

// NewScanner returns a scanner. Run keeps an eye on its engine.
func NewScanner(cfg ScannerConfig) *Scanner {
	return &Scanner{cfg: cfg, doubted: make(chan struct{}, 1), large: make(map[string]largeTest)}
}

// textDown is what a client is told. SMTP wants ASCII.
const textDown = "controllo antivirus non disponibile, riprovare / virus check not available, try again"

// Scan looks into the message that r reads, to its end. With a second engine r
// must be an io.Seeker as well.
//
// An error is not a verdict: the message waits. An engine that fails is
// Temporary and raises alarm.ScannerDown, which the next verdict clears, or Run,
// which looks at the engines within a minute. An engine that is well and refuses
// this one message is Temporary and raises nothing, nor does a caller who gives
// up; errors of r keep their kind and raise nothing.
func (s *Scanner) Scan(ctx context.Context, r io.Reader) (Result, error) {
	res, err := s.judge(ctx, s.cfg.Engine, r)
	var f failure
	if errors.As(err, &f) {
		s.failed(ctx, f.error)
	}
	if err != nil {
		return Result{}, err
	}
	s.cfg.Board.Clear(alarm.ScannerDown)
	return res, nil
}

// judge makes the verdict of what first finds, and the second engine where it
// has a say.
func (s *Scanner) judge(ctx context.Context, first Engine, r io.Reader) (Result, error) {
	again, err := s.rewinder(r)
	if err != nil {
		return Result{}, err
	}
	res, err := s.ask(ctx, first, r)
	if err != nil {
		return Result{}, err
	}
	if s.cfg.Second != nil && res.Class == Encrypted && !res.Refuse {
		if err := again(); err != nil {
			return Result{}, err
		}
		behind, err := s.ask(ctx, s.cfg.Second, r)
		if err != nil {
			return Result{}, err
		}
		if behind.Class != Clean {
			res = behind
		}
	}
	return res, nil
}

// rewinder returns what brings r back to where it is now. A reader that cannot
// be read twice is noticed by the first message, not by the first encrypted one.
func (s *Scanner) rewinder(r io.Reader) (func() error, error) {
	const op = "scan.Scan"
	if s.cfg.Second == nil {
		return nil, nil
	}
	seeker, ok := r.(io.Seeker)
	if !ok {
		return nil, fault.New(op, fault.Internal, fmt.Errorf("a second look needs an io.Seeker, not a %T", r))
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	return func() error {
		_, err := seeker.Seek(start, io.SeekStart)
		return fault.Wrap(op, err)
	}, nil
}

// failure is an engine's.
type failure struct{ error }

// Unwrap gives what failed.
func (f failure) Unwrap() error { return f.error }

// ask lets one engine look. What is wrong with the engine is a failure.
func (s *Scanner) ask(ctx context.Context, e Engine, r io.Reader) (Result, error) {
	const op = "scan.Scan"
	src := &source{r: r}
	f, err := e.Scan(ctx, src)
	switch {
	case src.err != nil:
		return Result{}, fault.Wrap(op, src.err)
	case err == nil && !src.ended:
		err = errors.New("the engine did not read the message to its end")
	}
	if err != nil {
		return Result{}, &fault.Error{Op: op, Kind: fault.Temporary, Text: textDown, Err: failure{err}}
	}
	c := classOf(f.Name)
	a := s.cfg.Policy.action(c)
	return Result{Class: c, Name: f.Name, Refuse: a == Refuse, Report: a == Report}, nil
}

// failed has Run look at the engines soon, and raises the alarm unless the
// engine is well and refuses this message, or it is the caller who gave up.
func (s *Scanner) failed(ctx context.Context, err error) {
	select {
	case s.doubted <- struct{}{}:
	default:
	}
	switch {
	case errors.Is(err, errRefused):
		s.cfg.Logger.Warn("scan: the engine refuses one message, which waits", "err", err)
	case ctx.Err() == nil:
		s.down(err)
	}
}

func (s *Scanner) down(err error) {
	s.cfg.Board.Raise(alarm.ScannerDown, "l'antivirus non risponde, la posta attende / the antivirus does not answer, mail waits: "+err.Error())
}

// source remembers how reading a message ended: its own failure is not the
// engine's, and a verdict on half of it is none.
type source struct {
	r     io.Reader
	ended bool
	err   error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	switch {
	case err == io.EOF:
		s.ended = true
	case err != nil:
		s.err = err
	}
	return n, err
}
