// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
	"pecd/scan"
	"pecd/scan/clamdtest"
)

// TestSelfTestOfWhole: engines that answer as they should may still let a bomb
// pass beside something encrypted.
func TestSelfTestOfWhole(t *testing.T) {
	for _, precedence := range []string{"no", "yes"} {
		one := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"HeuristicScanPrecedence": precedence}})
		two := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"HeuristicScanPrecedence": precedence, "AlertEncrypted": ""}})
		first, second := client(t, scan.ClamdConfig{}, one.Addr), client(t, scan.ClamdConfig{}, two.Addr)
		for _, tt := range []struct {
			name   string
			second scan.Engine
			policy scan.Policy
			blind  bool
		}{
			{"reported, alone", nil, scan.Policy{Encrypted: scan.Report}, true},
			{"passed, alone", nil, scan.Policy{Encrypted: scan.Pass}, true},
			{"refused, alone", nil, scan.Policy{}, false},
			{"reported, with a second one", second, scan.Policy{Encrypted: scan.Report}, false},
			{"bombs reported, alone", nil, scan.Policy{Bombs: scan.Report, Encrypted: scan.Report}, false},
		} {
			cfg := scan.ScannerConfig{Engine: first, Policy: tt.policy}
			if tt.second != nil {
				cfg.Second = tt.second
			}
			s := newDesk(cfg)
			err := s.SelfTest(context.Background())
			text := s.raised(alarm.ScannerBlind)
			if fault.Is(err, fault.Invalid) != tt.blind || strings.Contains(text, "scan.second") != tt.blind || (err != nil) != tt.blind {
				t.Errorf("%s, precedence %s: %v, alarm %q", tt.name, precedence, err, text)
			}
			if tt.blind || tt.policy.Bombs != scan.Refuse {
				continue
			}
			// The case behind it: a known virus beside something encrypted.
			m := clamdtest.Message(fresh(),
				clamdtest.File{Name: "s.zip", Content: clamdtest.EncryptedZip(t, "x", clamdtest.File{Name: "s", Content: []byte(fresh())})},
				clamdtest.File{Name: "v", Content: []byte(clamdtest.Virus)})
			if r, err := s.Scan(context.Background(), bytes.NewReader(m)); err != nil || !r.Refuse {
				t.Errorf("%s, precedence %s: %+v, %v", tt.name, precedence, r, err)
			}
		}
	}
}

// TestLargest: an engine that does not take the largest message, or not all of
// it, is blind, and one such message does not make it seem down.
func TestLargest(t *testing.T) {
	for _, tt := range []struct {
		name  string
		conf  map[string]string
		blind string
	}{
		{"as in the manual", nil, ""},
		{"stream", map[string]string{"StreamMaxLength": "2M"}, "StreamMaxLength"},
		{"file", map[string]string{"MaxFileSize": "2M"}, "MaxFileSize and MaxScanSize"},
		{"scan", map[string]string{"MaxFileSize": "2M", "MaxScanSize": "2M"}, "MaxFileSize and MaxScanSize"},
	} {
		d := clamdtest.Start(t, clamdtest.Options{Conf: tt.conf})
		s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, d.Addr), MaxMessage: 3 << 20})
		err := s.SelfTest(context.Background())
		text := s.raised(alarm.ScannerBlind)
		if fault.Is(err, fault.Invalid) != (tt.blind != "") || !strings.Contains(text, tt.blind) || (text == "") != (tt.blind == "") {
			t.Errorf("%s: %v, alarm %q", tt.name, err, text)
		}
		r, err := s.Scan(context.Background(), bigMessage(3<<20))
		if tt.name == "stream" {
			failed(t, err, "StreamMaxLength")
			if !strings.Contains(s.log.String(), "refuses one message") {
				t.Errorf("log:\n%s", s.log)
			}
		} else if err != nil || r.Refuse != (tt.blind != "") {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
		if text := s.raised(alarm.ScannerDown); text != "" {
			t.Errorf("%s: one message raised %q", tt.name, text)
		}
	}
}

// TestLargestDaily: the largest message is sent at first, once a day, and every
// hour until what it showed is mended.
func TestLargestDaily(t *testing.T) {
	const size = 1 << 20
	clk := clock.NewManual(time.Unix(1e9, 0))
	e := &sizing{}
	s := newDesk(scan.ScannerConfig{Engine: e, Policy: scan.Policy{Bombs: scan.Pass, Encrypted: scan.Pass}, Clock: clk, MaxMessage: size})
	for hour, tt := range []struct {
		after time.Duration
		name  string
		err   error
		large int
		kind  fault.Kind
	}{
		{0, "", nil, 1, 0},
		{time.Hour, "", nil, 0, 0},
		{22 * time.Hour, "", nil, 0, 0},
		{time.Hour, "X", nil, 1, fault.Invalid},
		{time.Minute, "", nil, 0, fault.Invalid},
		{time.Hour, "", nil, 1, 0},
		{23 * time.Hour, "", nil, 0, 0},
		{time.Hour, "", errors.New("no time"), 1, fault.Temporary},
		{time.Minute, "", nil, 0, 0},
		{time.Hour, "", nil, 1, 0},
	} {
		clk.Advance(tt.after)
		e.name, e.err, e.large = tt.name, tt.err, 0
		err := s.SelfTest(context.Background())
		if e.large != tt.large || (err == nil) != (tt.kind == 0) || err != nil && !fault.Is(err, tt.kind) {
			t.Errorf("step %d: %d large messages, %v", hour, e.large, err)
		}
		if (s.raised(alarm.ScannerBlind) != "") != (tt.kind == fault.Invalid) || s.raised(alarm.ScannerDown) != "" {
			t.Errorf("step %d: alarms %+v", hour, s.board.Raised())
		}
	}
	if e.size != size {
		t.Errorf("%d octets", e.size)
	}
}

// sizing answers what is large as it is told to, the rest well.
type sizing struct {
	name  string
	err   error
	large int
	size  int64
}

func (e *sizing) Scan(_ context.Context, r io.Reader) (scan.Finding, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil || n < 1<<20 {
		return scan.Finding{}, err
	}
	e.large, e.size = e.large+1, n
	return scan.Finding{Name: e.name}, e.err
}
