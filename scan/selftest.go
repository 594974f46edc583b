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
// message, an encrypted archive and a bomb. It raises alarm.ScannerBlind, with
// the setting of clamd.conf that is missing, when an engine does not report what
// the policy refuses or reports, and alarm.ScannerDown when none answers; it
// clears what it finds mended. It says nothing about viruses: which signatures
// an engine has is not for us to assume.
//
// The error repeats the alarms: Temporary for an engine that does not answer,
// Invalid for one whose settings do not fit.
func (s *Scanner) SelfTest(ctx context.Context) error {
	const op = "scan.SelfTest"
	made, err := newSamples()
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	first := s.test(ctx, s.cfg.Engine, s.expectations(made, false))
	second := outcome{answered: 1}
	if s.cfg.Second != nil {
		second = s.test(ctx, s.cfg.Second, s.expectations(made, true))
	}
	if ctx.Err() != nil {
		return fault.New(op, fault.Temporary, ctx.Err())
	}
	silent, blind := append(first.silent, second.silent...), append(first.blind, second.blind...)
	for _, text := range silent {
		s.cfg.Logger.Warn("scan: an engine did not answer its self-test", "err", text)
	}
	if first.answered > 0 && second.answered > 0 {
		s.cfg.Board.Clear(alarm.ScannerDown)
	} else {
		s.down(errors.New(strings.Join(silent, "; ")))
	}
	if len(blind) > 0 {
		text := strings.Join(blind, "; ")
		s.cfg.Board.Raise(alarm.ScannerBlind, text)
		return fault.Say(op, fault.Invalid, text)
	}
	if len(silent) > 0 {
		return &fault.Error{Op: op, Kind: fault.Temporary, Text: textDown, Err: errors.New(strings.Join(silent, "; "))}
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

func (s *Scanner) test(ctx context.Context, e Engine, list []expectation) (o outcome) {
	members := []Member{{Address: "antivirus", Engine: e}}
	if p, ok := e.(Pool); ok {
		members = p.Members()
	}
	for _, m := range members {
		blind, err := look(ctx, m, list)
		if err != nil {
			o.silent = append(o.silent, err.Error())
			continue
		}
		o.answered++
		o.blind = append(o.blind, blind...)
	}
	return o
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
		said := f.Name
		if said == "" {
			said = "OK"
		}
		blind = append(blind, m.Address+": "+fmt.Sprintf(x.blind, said))
	}
	return blind, nil
}

// Run repeats the self-test every hour until ctx ends, and every minute while
// an engine does not answer. It begins with one.
func (s *Scanner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := testEvery
		if err := s.SelfTest(ctx); fault.Is(err, fault.Temporary) {
			pause = testAgain
		}
		fire, release := s.cfg.Clock.After(pause)
		select {
		case <-fire:
		case <-ctx.Done():
		}
		release()
	}
}
