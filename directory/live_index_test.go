// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
)

var _ signer.Origins = (*LiveIndex)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// syncBuffer is a log that tests read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// put replaces a file with a modification time of its own.
func put(t *testing.T, path, content string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestLiveIndexFollowsItsFile(t *testing.T) {
	der := testCertificate(t, "a")
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	clk := clock.NewManual(start)
	var out syncBuffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	path := filepath.Join(t.TempDir(), "index.ldif")
	file := func(domain string) string { return rootLDIF + record(der, "Alfa", domain) }

	if _, err := NewLiveIndex(path, nil, log, clk); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	put(t, path, file("one.example"), start)
	l, err := NewLiveIndex(path, nil, log, clk)
	if err != nil {
		t.Fatal(err)
	}
	first := l.Current()

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	// until moves the clock in steps of a poll until ok, or for too long.
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 2000 {
			if ok() {
				return
			}
			clk.Advance(pollEvery)
			time.Sleep(time.Millisecond)
		}
		t.Fatal("never: " + what)
	}
	manages := func(d string) func() bool {
		return func() bool { _, ok := l.ProviderOfDomain(d); return ok }
	}

	put(t, path, file("two.example"), start.Add(time.Second)) // same size, later
	until("the second version", manages("two.example"))
	if manages("one.example")() {
		t.Error("a domain of the first version is still there")
	}
	if _, ok := first.ProviderOfDomain("one.example"); !ok {
		t.Error("the first index changed")
	}
	if o, ok := l.ProviderByCertificate(mustParse(t, der)); !ok || !o.Domains("two.example") {
		t.Errorf("%v %+v", ok, o)
	}

	put(t, path, file("three.example")[:600], start.Add(2*time.Second)) // cut off
	until("the error", func() bool { return out.count("level=ERROR") == 1 })
	if !manages("two.example")() {
		t.Error("a broken file replaced the index")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until("the second error", func() bool { return out.count("level=ERROR") == 2 })
	for range 100 { // … which is not told again while nothing changes
		clk.Advance(pollEvery)
		time.Sleep(100 * time.Microsecond)
	}
	if n := out.count("level=ERROR"); n != 2 || !manages("two.example")() {
		t.Errorf("%d errors", n)
	}
	put(t, path, file("four.example"), start.Add(3*time.Second))
	until("the file that came back", manages("four.example"))
}

func TestLiveIndexSigned(t *testing.T) {
	der := testCertificate(t, "a")
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "index.ldif.P7M")
	put(t, path, "signed:"+rootLDIF+record(der, "Alfa", "alfa.example"), clk.Now())
	if _, err := NewLiveIndex(path, nil, log, clk); !fault.Is(err, fault.Unsupported) {
		t.Errorf("without a verifier: %v", err)
	}
	untrusted := errors.New("signer not trusted")
	trusted := true
	open := func(p7m []byte) (SignedIndex, error) {
		ldif, ok := bytes.CutPrefix(p7m, []byte("signed:"))
		if !ok || !trusted {
			return SignedIndex{}, untrusted
		}
		return SignedIndex{LDIF: ldif}, nil
	}
	l, err := NewLiveIndex(path, open, log, clk)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, rootLDIF+record(der, "Alfa", "evil.example"), clk.Now())
	if err := l.Reload(context.Background()); !errors.Is(err, untrusted) || !fault.Is(err, fault.Invalid) {
		t.Errorf("unsigned: %v", err)
	}
	if _, ok := l.ProviderOfDomain("alfa.example"); !ok || l.Current().Len() != 1 {
		t.Error("the index in use is gone")
	}
	// An unchanged file that failed is tried again after a while.
	put(t, path, "signed:"+rootLDIF+record(der, "Alfa", "new.example"), clk.Now())
	trusted = false
	l.poll(context.Background())
	trusted = true
	l.poll(context.Background())
	if _, ok := l.ProviderOfDomain("new.example"); ok {
		t.Error("tried again at once")
	}
	clk.Advance(retryEvery)
	l.poll(context.Background())
	if _, ok := l.ProviderOfDomain("new.example"); !ok {
		t.Error("not tried again")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSampleSignedIndex(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "samples", "index")
	path := filepath.Join(dir, "igpec_sample.ldif.p7m")
	if _, err := os.Stat(path); err != nil {
		t.Skip("the sample index is not here:", err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := NewLiveIndex(path, nil, log, clock.System{}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("unverified: %v", err)
	}
	roots, err := signer.LoadCertificates(filepath.Join(dir, "testca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	v := signer.NewVerifier(signer.VerifierConfig{Roots: roots})
	l, err := NewLiveIndex(path, func(p7m []byte) (SignedIndex, error) {
		o, err := v.OpenSigned(p7m, maxSignedIndex, roots[0].NotBefore.Add(time.Hour))
		return SignedIndex{LDIF: o.Content}, err
	}, log, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	if l.Current().Len() != 4 {
		t.Errorf("%d records", l.Current().Len())
	}
}
