// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
	"pecd/scan"
	"pecd/scan/clamdtest"
)

// TestSelfTest: each setting of clamd.conf that is missing is named, unless the
// policy does not care.
func TestSelfTest(t *testing.T) {
	tests := []struct {
		name             string
		conf             map[string]string
		bombs, encrypted string
		blind            []string // words of the alarm; nil: none
	}{
		{"as in the manual", nil, "", "", nil},
		{"deepest recursion", map[string]string{"MaxRecursion": "100"}, "", "", nil},
		{"no AlertEncrypted", map[string]string{"AlertEncrypted": ""}, "", "", []string{"AlertEncrypted yes", "(OK)"}},
		{"no AlertEncrypted, refused", map[string]string{"AlertEncrypted": ""}, "", "refuse", []string{"AlertEncrypted yes"}},
		{"no AlertEncrypted, passed", map[string]string{"AlertEncrypted": ""}, "", "pass", nil},
		{"no AlertExceedsMax", map[string]string{"AlertExceedsMax": ""}, "", "", []string{"AlertExceedsMax yes"}},
		{"no AlertExceedsMax, reported", map[string]string{"AlertExceedsMax": ""}, "report", "", []string{"AlertExceedsMax yes"}},
		{"no AlertExceedsMax, passed", map[string]string{"AlertExceedsMax": ""}, "pass", "", nil},
		{"neither", map[string]string{"AlertExceedsMax": "", "AlertEncrypted": ""}, "", "", []string{"AlertEncrypted yes", "AlertExceedsMax yes"}},
		{"neither, both passed", map[string]string{"AlertExceedsMax": "", "AlertEncrypted": ""}, "pass", "pass", nil},
		{"mail is not read", map[string]string{"ScanMail": "no"}, "", "", []string{"AlertEncrypted yes"}},
		{"archives are not read", map[string]string{"ScanArchive": "no"}, "", "", []string{"AlertExceedsMax yes"}},
	}
	silent := client(t, scan.ClamdConfig{}, clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"AlertEncrypted": ""}}).Addr)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := clamdtest.Start(t, clamdtest.Options{Conf: tt.conf})
			p, err := scan.ParsePolicy(tt.bombs, tt.encrypted)
			if err != nil {
				t.Fatal(err)
			}
			s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, d.Addr), Second: silent, Policy: p})
			// Twice: clamd must not take the second samples for known ones.
			for range 2 {
				err = s.SelfTest(context.Background())
			}
			text := s.raised(alarm.ScannerBlind)
			if (err == nil) != (tt.blind == nil) || (text == "") != (tt.blind == nil) || err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("%v, alarm %q", err, text)
			}
			for _, w := range append(tt.blind, d.Addr) {
				if text != "" && !strings.Contains(text, w) {
					t.Errorf("alarm %q does not say %q", text, w)
				}
			}
			if s.raised(alarm.ScannerDown) != "" {
				t.Error("down")
			}
		})
	}
}

// TestSelfTestOfPool: one blind daemon among several is found, and one that is
// down raises no alarm while mail flows.
func TestSelfTestOfPool(t *testing.T) {
	good := clamdtest.Start(t, clamdtest.Options{})
	blind := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"AlertExceedsMax": ""}})
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, good.Addr, blind.Addr)}) // refuses
	for range 3 {
		if err := s.SelfTest(context.Background()); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if text := s.raised(alarm.ScannerBlind); !strings.Contains(text, blind.Addr) || strings.Contains(text, good.Addr) {
			t.Errorf("alarm %q", text)
		}
	}
	good.Stop()
	failed(t, s.SelfTest(context.Background()), good.Addr) // and is looked at again soon
	if s.raised(alarm.ScannerBlind) == "" {
		t.Error("the blind engine is forgotten over the silent one")
	}
	good.Restart()
	blind.Stop()
	err := s.SelfTest(context.Background())
	failed(t, err, blind.Addr)
	if s.raised(alarm.ScannerDown) != "" || !strings.Contains(s.log.String(), "did not answer its self-test") {
		t.Errorf("alarm %q, log:\n%s", s.raised(alarm.ScannerDown), s.log)
	}
	if s.raised(alarm.ScannerBlind) == "" {
		t.Error("a blind engine that does not answer is taken for mended")
	}
	good.Stop()
	failed(t, s.SelfTest(context.Background()), good.Addr, blind.Addr)
	if s.raised(alarm.ScannerDown) == "" {
		t.Error("no alarm")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	good.Restart()
	if err := s.SelfTest(ctx); err == nil || s.raised(alarm.ScannerDown) == "" {
		t.Errorf("a self-test that was ended is taken for one that succeeded: %v", err)
	}
	if err := s.SelfTest(context.Background()); err == nil || s.raised(alarm.ScannerDown) != "" {
		t.Errorf("%v, alarm %q", err, s.raised(alarm.ScannerDown))
	}
}

// TestEncryptedHidesBomb: clamd 1.4 names either of two heuristic findings, at
// random. A second one that is silent about encrypted contents decides.
func TestEncryptedHidesBomb(t *testing.T) {
	few := map[string]string{"MaxFiles": "20"}
	silent := map[string]string{"MaxFiles": "20", "AlertEncrypted": ""}
	one, two := clamdtest.Start(t, clamdtest.Options{Conf: few}), clamdtest.Start(t, clamdtest.Options{Conf: silent})
	engine := client(t, scan.ClamdConfig{}, one.Addr)
	var many []clamdtest.File
	for i := range 30 {
		many = append(many, clamdtest.File{Name: fmt.Sprint(i), Content: fmt.Appendf(nil, "file %d", i)})
	}
	message := func() []byte {
		return clamdtest.Message(fresh(),
			clamdtest.File{Name: "s.zip", Content: clamdtest.EncryptedZip(t, "x", clamdtest.File{Name: "s", Content: []byte(fresh())})},
			clamdtest.File{Name: "m.zip", Content: clamdtest.Zip(t, many...)},
			clamdtest.File{Name: "v", Content: []byte(clamdtest.Virus)})
	}
	s := newDesk(scan.ScannerConfig{Engine: engine, Second: client(t, scan.ClamdConfig{}, two.Addr), Policy: scan.DefaultPolicy()})
	if err := s.SelfTest(context.Background()); err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for range 12 {
		m := message()
		names[look(t, engine, m)]++
		if r, err := s.Scan(context.Background(), bytes.NewReader(m)); err != nil || !r.Refuse {
			t.Errorf("%+v, %v", r, err)
		}
	}
	t.Logf("alone, the first engine says: %v", names)
	// The self-test sees to it that the second one is silent.
	s = newDesk(scan.ScannerConfig{Engine: engine, Second: engine, Policy: scan.DefaultPolicy()})
	if err := s.SelfTest(context.Background()); err == nil || !strings.Contains(s.raised(alarm.ScannerBlind), "AlertEncrypted no") {
		t.Errorf("%v, alarm %q", err, s.raised(alarm.ScannerBlind))
	}
	two.Stop()
	s = newDesk(scan.ScannerConfig{Engine: engine, Second: client(t, scan.ClamdConfig{}, two.Addr), Policy: scan.DefaultPolicy()})
	failed(t, s.SelfTest(context.Background()), two.Addr)
	if s.raised(alarm.ScannerDown) == "" {
		t.Error("no alarm for a second engine that does not answer")
	}
}

// TestFoundInHarmless: an engine that calls everything infected is said to.
func TestFoundInHarmless(t *testing.T) {
	s := newDesk(scan.ScannerConfig{Engine: &engine{name: "Everything"}, Policy: scan.Policy{Bombs: scan.Pass, Encrypted: scan.Pass}})
	if err := s.SelfTest(context.Background()); !fault.Is(err, fault.Invalid) || !strings.Contains(s.raised(alarm.ScannerBlind), "Everything") {
		t.Errorf("%v, alarm %q", err, s.raised(alarm.ScannerBlind))
	}
}

// TestRun: a self-test at once, then every hour, and every minute while the
// engine is silent.
func TestRun(t *testing.T) {
	d := clamdtest.Start(t, clamdtest.Options{})
	clk := clock.NewManual(time.Unix(1e9, 0))
	tested := make(chan struct{}, 100)
	c := client(t, scan.ClamdConfig{}, d.Addr)
	s := newDesk(scan.ScannerConfig{Engine: c, Clock: waiting{clk, tested}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	expect := func(what string, after time.Duration, down bool) {
		t.Helper()
		if after > 0 {
			clk.Advance(after - time.Second)
			select {
			case <-tested:
				t.Errorf("%s: tested too early", what)
			case <-time.After(20 * time.Millisecond):
			}
			clk.Advance(time.Second)
		}
		select {
		case <-tested:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: not tested", what)
		}
		if got := s.raised(alarm.ScannerDown) != ""; got != down {
			t.Errorf("%s: down %v", what, got)
		}
	}
	expect("at the start", 0, false)
	d.Stop()
	expect("after an hour", time.Hour, true)
	expect("a minute later", time.Minute, true)
	d.Restart()
	expect("another minute later", time.Minute, false)
	expect("after another hour", time.Hour, false)
	d.Stop()
	_, err := s.Scan(context.Background(), strings.NewReader("x"))
	failed(t, err, d.Addr)
	expect("a message without a verdict", 0, true) // the pause is shortened
	d.Restart()
	expect("a minute after it", time.Minute, false)
	cancel()
	<-done
}

// waiting is a clock that tells when somebody begins to wait.
type waiting struct {
	clock.Clock
	begun chan struct{}
}

func (w waiting) After(d time.Duration) (<-chan time.Time, func()) {
	fire, release := w.Clock.After(d)
	w.begun <- struct{}{}
	return fire, release
}
