// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pecd/alarm"
	"pecd/fault"
	"pecd/scan"
)

// engine is an Engine that says what it is told to.
type engine struct {
	name string
	err  error
	half bool // reads nothing
	seen []string
}

func (e *engine) Scan(_ context.Context, r io.Reader) (scan.Finding, error) {
	if e.err != nil {
		return scan.Finding{}, e.err
	}
	if !e.half {
		b, err := io.ReadAll(r)
		if err != nil {
			return scan.Finding{}, errors.New("the engine's own words")
		}
		e.seen = append(e.seen, string(b))
	}
	if e.name == "" {
		return scan.Finding{}, nil
	}
	return scan.Found(e.name), nil
}

// TestClasses: clamd's names by class, under every policy.
func TestClasses(t *testing.T) {
	names := map[string]scan.Class{
		"":                            scan.Clean,
		"Heuristics.Limits.Exceeded":  scan.Bomb,
		"Heuristics.Limits.Exceeded.": scan.Bomb,
		"Heuristics.Limits.Exceeded.MaxRecursion":              scan.Bomb,
		"Heuristics.Limits.Exceeded.EmailHeaders":              scan.Bomb,
		"Heuristics.Limits.ExceededX":                          scan.Virus,
		"Heuristics.Limits":                                    scan.Virus,
		"heuristics.limits.exceeded.MaxFiles":                  scan.Virus,
		"Win.Heuristics.Limits.Exceeded.MaxFiles":              scan.Virus,
		"Heuristics.Encrypted.Zip":                             scan.Encrypted,
		"Heuristics.Encrypted.PDF":                             scan.Encrypted,
		"Heuristics.EncryptedStuff":                            scan.Virus,
		"Heuristics.Zip.OverlappingFiles":                      scan.Virus,
		"Heuristics.Phishing.Email.SpoofedDomain":              scan.Virus,
		"Eicar-Test-Signature":                                 scan.Virus,
		"Heuristics.Encrypted.Zip\nHeuristics.Limits.Exceeded": scan.Encrypted,
	}
	actions := []string{"refuse", "report", "pass"}
	for name, class := range names {
		for _, bombs := range actions {
			for _, encrypted := range actions {
				p, err := scan.ParsePolicy(bombs, encrypted)
				if err != nil || p.Bombs.String() != bombs || p.Encrypted.String() != encrypted {
					t.Fatalf("%s, %s: %+v, %v", bombs, encrypted, p, err)
				}
				word := map[scan.Class]string{scan.Clean: "pass", scan.Virus: "refuse", scan.Bomb: bombs, scan.Encrypted: encrypted}[class]
				r, err := newDesk(scan.ScannerConfig{Engine: &engine{name: name}, Policy: p}).Scan(context.Background(), strings.NewReader("x"))
				if err != nil || r.Class != class || r.Refuse != (word == "refuse") || r.Report != (word == "report") || (r.Name == "") != (class == scan.Clean) {
					t.Errorf("%q with bombs = %s, encrypted = %s: %+v, %v", name, bombs, encrypted, r, err)
				}
			}
		}
	}
}

// TestWords: what logs and metrics call the classes and actions.
func TestWords(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{scan.Clean: "clean", scan.Virus: "virus", scan.Bomb: "bomb", scan.Encrypted: "encrypted",
		scan.Class(9): "unknown", scan.Refuse: "refuse", scan.Report: "report", scan.Pass: "pass", scan.Action(9): "unknown"} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	if p, err := scan.ParsePolicy("", ""); err != nil || p != scan.DefaultPolicy() || p.Bombs != scan.Refuse || p.Encrypted != scan.Report {
		t.Errorf("default: %+v, %v", p, err)
	}
	for _, w := range []string{"Refuse", "reject", " pass", "yes"} {
		for _, words := range [][2]string{{w, ""}, {"", w}} {
			if p, err := scan.ParsePolicy(words[0], words[1]); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), w) {
				t.Errorf("%q: %+v, %v", words, p, err)
			}
		}
	}
}

// TestFound: what an engine calls its finding goes into headers, XML and logs.
func TestFound(t *testing.T) {
	for in, want := range map[string]string{
		"Eicar":                        "Eicar",
		" a b \r\n":                    "a b",
		"a\r\nBcc: x":                  "a??Bcc: x",
		"\x00\x7fé":                    "????",
		"":                             "unnamed",
		" \t":                          "unnamed",
		strings.Repeat("x", 300):       strings.Repeat("x", 200),
		strings.Repeat(" ", 300) + "x": "x",
		strings.Repeat("x", 199) + strings.Repeat(" ", 300) + "x": strings.Repeat("x", 199),
	} {
		if got := scan.Found(in).Name; got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}

// TestScannerFailsClosed: what is no verdict is never one.
func TestScannerFailsClosed(t *testing.T) {
	e := &engine{err: errors.New("broken")}
	s := newDesk(scan.ScannerConfig{Engine: e, Policy: scan.DefaultPolicy()})
	check := func(ctx context.Context) error {
		r, err := s.Scan(ctx, strings.NewReader("x"))
		if err != nil && r != (scan.Result{}) {
			t.Errorf("a result beside the error: %+v", r)
		}
		return err
	}
	failed(t, check(context.Background()), "broken")
	if text := s.raised(alarm.ScannerDown); !strings.Contains(text, "broken") {
		t.Errorf("alarm %q", text)
	}
	e.err = nil
	if err := check(context.Background()); err != nil || s.raised(alarm.ScannerDown) != "" {
		t.Errorf("%v, alarm %q", err, s.raised(alarm.ScannerDown))
	}
	e.half = true
	failed(t, check(context.Background()), "to its end")
	if s.raised(alarm.ScannerDown) == "" {
		t.Error("no alarm for a verdict on half a message")
	}
	// A client that leaves is no failure of the engine.
	e.half, e.err = false, nil
	if err := check(context.Background()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.err = ctx.Err()
	failed(t, check(ctx))
	if s.raised(alarm.ScannerDown) != "" {
		t.Error("an alarm for a client that left")
	}
}

// TestSecondLook: what stands behind something encrypted decides.
func TestSecondLook(t *testing.T) {
	const secret, bomb = "Heuristics.Encrypted.Zip", "Heuristics.Limits.Exceeded.MaxFiles"
	tests := []struct {
		first, second string
		encrypted     string // policy
		want          scan.Result
		asked         bool
	}{
		{"", "x", "report", scan.Result{}, false},
		{"x", "", "report", scan.Result{Class: scan.Virus, Name: "x", Refuse: true}, false},
		{bomb, "", "report", scan.Result{Class: scan.Bomb, Name: bomb, Refuse: true}, false},
		{secret, "", "report", scan.Result{Class: scan.Encrypted, Name: secret, Report: true}, true},
		{secret, "", "pass", scan.Result{Class: scan.Encrypted, Name: secret}, true},
		{secret, "x", "refuse", scan.Result{Class: scan.Encrypted, Name: secret, Refuse: true}, false},
		{secret, bomb, "report", scan.Result{Class: scan.Bomb, Name: bomb, Refuse: true}, true},
		{secret, "x", "pass", scan.Result{Class: scan.Virus, Name: "x", Refuse: true}, true},
	}
	for _, tt := range tests {
		p, err := scan.ParsePolicy("", tt.encrypted)
		if err != nil {
			t.Fatal(err)
		}
		first, second := &engine{name: tt.first}, &engine{name: tt.second}
		s := newDesk(scan.ScannerConfig{Engine: first, Second: second, Policy: p})
		r := strings.NewReader("before the message")
		if _, err := r.Seek(11, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Scan(context.Background(), r); err != nil || got != tt.want {
			t.Errorf("%+v: %+v, %v", tt, got, err)
		}
		if len(second.seen) == 1 != tt.asked || tt.asked && second.seen[0] != "message" || first.seen[0] != "message" {
			t.Errorf("%+v: the engines saw %q and %q", tt, first.seen, second.seen)
		}
	}
	// An engine that fails is no second opinion.
	s := newDesk(scan.ScannerConfig{Engine: &engine{name: secret}, Second: &engine{err: errors.New("broken")}, Policy: scan.DefaultPolicy()})
	_, err := s.Scan(context.Background(), strings.NewReader("x"))
	failed(t, err, "broken")
	if s.raised(alarm.ScannerDown) == "" {
		t.Error("no alarm")
	}
	// A message that cannot be read again is noticed at once, not when it is encrypted.
	s = newDesk(scan.ScannerConfig{Engine: &engine{}, Second: &engine{}, Policy: scan.DefaultPolicy()})
	if _, err := s.Scan(context.Background(), io.LimitReader(bytes.NewReader(nil), 1)); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "io.Seeker") {
		t.Errorf("a message that cannot be read again: %v", err)
	}
}
