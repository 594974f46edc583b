// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

const (
	testEvery = time.Hour
	// testAgain is when a test is repeated that found an engine silent, so that
	// the alarm does not outlast the failure by an hour on a quiet node.
	testAgain = time.Minute
)

// expectation is what an engine must say of a sample.
type expectation struct {
	sample []byte
	class  Class
	// blind says what is wrong with an engine that says something else, %s is what.
	blind string
}

// SelfTest sends every engine (each member of a Pool) made-up samples: a clean
// message, an encrypted archive and a bomb. Where each engine answers as it
// should, it looks whether a bomb beside an encrypted archive is refused, by all
// engines and the policy together. At first, and then once a day, every engine
// gets a message of the largest size.
//
// It raises alarm.ScannerBlind, with the setting of clamd.conf that is missing,
// when an engine does not report what the policy refuses or reports, or does not
// take the largest message, and alarm.ScannerDown when none answers; it clears
// what it finds mended. It says nothing about viruses: which signatures an
// engine has is not for us to assume.
//
// The error repeats the alarms: Temporary where an engine does not answer, else
// Invalid where the settings of one do not fit.
func (s *Scanner) SelfTest(ctx context.Context) error {
	const op = "scan.SelfTest"
	s.testing.Lock()
	defer s.testing.Unlock()
	made, err := newSamples()
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	all := s.test(ctx, "first", s.cfg.Engine, s.expectations(made, false))
	answered := all.answered > 0
	if s.cfg.Second != nil {
		second := s.test(ctx, "second", s.cfg.Second, s.expectations(made, true))
		answered = answered && second.answered > 0
		all.add(second)
	}
	if answered && len(all.blind) == 0 {
		hiding, err := s.hiding(ctx)
		if err != nil {
			return fault.New(op, fault.Internal, err)
		}
		all.add(hiding)
	}
	if ctx.Err() != nil {
		return fault.New(op, fault.Temporary, ctx.Err())
	}
	silent := strings.Join(all.silent, "; ")
	for _, text := range all.silent {
		s.cfg.Logger.Warn("scan: an engine did not answer its self-test", "err", text)
	}
	if answered {
		s.cfg.Board.Clear(alarm.ScannerDown)
	} else {
		s.down(errors.New(silent))
	}
	blind := strings.Join(all.blind, "; ")
	if blind != "" {
		s.cfg.Board.Raise(alarm.ScannerBlind, blind)
	}
	switch {
	case silent != "":
		return &fault.Error{Op: op, Kind: fault.Temporary, Text: textDown, Err: errors.New(silent)}
	case blind != "":
		return fault.Say(op, fault.Invalid, blind)
	}
	s.cfg.Board.Clear(alarm.ScannerBlind)
	return nil
}

// expectations lists what an engine must say, as far as the policy cares. The
// second engine must not see that something is encrypted: it would hide the
// limits behind it as the first one does.
func (s *Scanner) expectations(made samples, second bool) []expectation {
	list := []expectation{{made.clean, Clean,
		"trova qualcosa in un messaggio innocuo (%s) / finds something in a harmless message (%[1]s)"}}
	switch {
	case second:
		list = append(list, expectation{made.encrypted, Clean,
			"deve tacere sui contenuti cifrati (%s): AlertEncrypted no in clamd.conf / must not report encrypted contents (%[1]s): AlertEncrypted no in clamd.conf"})
	case s.cfg.Policy.Encrypted != Pass:
		list = append(list, expectation{made.encrypted, Encrypted,
			"non segnala i contenuti cifrati (%s): AlertEncrypted yes in clamd.conf (ScanMail, ScanArchive: yes) / does not report encrypted contents (%[1]s): AlertEncrypted yes in clamd.conf (ScanMail, ScanArchive: yes)"})
	}
	if s.cfg.Policy.Bombs != Pass {
		list = append(list, expectation{made.bomb, Bomb,
			"non segnala i limiti superati (%s): AlertExceedsMax yes in clamd.conf (ScanMail, ScanArchive: yes) / does not report exceeded limits (%[1]s): AlertExceedsMax yes in clamd.conf (ScanMail, ScanArchive: yes)"})
	}
	return list
}

// outcome is what the self-test of an engine's members gave.
type outcome struct {
	answered      int
	silent, blind []string
}

func (o *outcome) add(p outcome) {
	o.answered += p.answered
	o.silent, o.blind = append(o.silent, p.silent...), append(o.blind, p.blind...)
}

// test looks at each member of e, which is called name among the engines.
func (s *Scanner) test(ctx context.Context, name string, e Engine, list []expectation) (o outcome) {
	for _, m := range members(e) {
		blind, err := look(ctx, m, list)
		if err != nil {
			o.silent = append(o.silent, err.Error())
			continue
		}
		o.answered++
		o.blind = append(o.blind, blind...)
		o.add(s.takesLargest(ctx, name, m))
	}
	return o
}

func members(e Engine) []Member {
	if p, ok := e.(Pool); ok {
		return p.Members()
	}
	return []Member{{Address: "antivirus", Engine: e}}
}

// look asks one engine about all samples. An error says that it does not answer.
func look(ctx context.Context, m Member, list []expectation) (blind []string, err error) {
	for _, x := range list {
		f, err := m.Engine.Scan(ctx, bytes.NewReader(x.sample))
		if err != nil {
			return nil, err
		}
		if classOf(f.Name) == x.class {
			continue
		}
		blind = append(blind, m.Address+": "+fmt.Sprintf(x.blind, said(f.Name)))
	}
	return blind, nil
}

// Run repeats the self-test every hour until ctx ends, every minute while an
// engine does not answer, and within a minute of a message that was left
// without a verdict. It begins with one.
func (s *Scanner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.doubted: // the test that follows is the answer
		default:
		}
		if err := s.SelfTest(ctx); fault.Is(err, fault.Temporary) || !s.pause(ctx, s.doubted, testEvery) {
			s.pause(ctx, nil, testAgain)
		}
	}
}

// pause waits for d, or less: until ctx ends, or else, with false, until stop
// receives a value.
func (s *Scanner) pause(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	fire, release := s.cfg.Clock.After(d)
	defer release()
	select {
	case <-fire:
	case <-ctx.Done():
	case <-stop:
		return false
	}
	return true
}
