// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
)

// stepClock tells when somebody has begun to wait for it.
type stepClock struct {
	*clock.Manual
	parked chan struct{}
}

// After implements clock.Clock.
func (c stepClock) After(d time.Duration) (<-chan time.Time, func()) {
	ch, stop := c.Manual.After(d)
	c.parked <- struct{}{}
	return ch, stop
}

// runner moves the clock of a fetcher that runs.
type runner struct {
	*press
	parked chan struct{}
	last   int64 // requests seen
}

func (p *press) run(edits ...func(*FetcherConfig)) *runner {
	p.t.Helper()
	r := &runner{press: p, parked: make(chan struct{}, 1)}
	f := p.fetcher(append(edits, func(c *FetcherConfig) { c.Clock = stepClock{p.clk, r.parked} })...)
	if _, err := f.First(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	r.last = p.asked.Load()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(ctx) })
	p.t.Cleanup(func() { cancel(); wg.Wait() })
	<-r.parked
	return r
}

// minutes moves the clock by minutes until the server is asked again, and
// returns how many it took.
func (r *runner) minutes() int {
	r.t.Helper()
	for n := 0; n < 100*60; n++ {
		if now := r.asked.Load(); now != r.last {
			r.last = now
			return n
		}
		r.clk.Advance(time.Minute)
		<-r.parked
	}
	r.t.Fatal("the server is not asked again")
	return 0
}

// TestRFC6109_4_5_DailyFetch: once a day; after a failure soon, then ever
// later; a refused index hourly; the alarm of age after two days.
func TestRFC6109_4_5_DailyFetch(t *testing.T) {
	p := newPress(t)
	base := national(t)
	p.first(base)
	r := p.run()
	for range 2 {
		if n := r.minutes(); n != 24*60 {
			t.Errorf("asked after %d minutes", n)
		}
	}
	p.answers(http.NotFound)
	if n := r.minutes(); n != 24*60 {
		t.Errorf("asked after %d minutes", n)
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		if n := r.minutes(); n != want {
			t.Errorf("asked again after %d minutes, want %d", n, want)
		}
	}
	if p.raised(alarm.IndexStale) != "" {
		t.Error("stale after little more than a day")
	}
	for range 24 {
		r.minutes()
	}
	if p.raised(alarm.IndexStale) == "" {
		t.Error("not stale after two days")
	}
	p.publishes(p.auth.sign(t, ldifOf(t, halved(base))))
	if n := r.minutes(); n != 60 || p.raised(alarm.IndexRefused) == "" {
		t.Errorf("%d minutes, alarms %v", n, p.board.Raised())
	}
	p.publishes(p.auth.sign(t, ldifOf(t, more(base, "new.example"))))
	if n := r.minutes(); n != 60 || len(p.board.Raised()) != 0 {
		t.Errorf("%d minutes, alarms %v", n, p.board.Raised())
	}
	if n := r.minutes(); n != 24*60 {
		t.Errorf("asked after %d minutes", n)
	}
}

// TestFetchAfterRestart: the day goes on; one that has passed is made up for at
// once.
func TestFetchAfterRestart(t *testing.T) {
	base := national(t)
	for name, c := range map[string]struct {
		away time.Duration
		edit func(*FetcherConfig)
		want int // minutes until the server is asked
	}{
		"same day":  {10 * time.Hour, func(*FetcherConfig) {}, 14 * 60},
		"later day": {30 * time.Hour, func(*FetcherConfig) {}, 0},
		"spread":    {0, func(c *FetcherConfig) { c.Random = func() float64 { return 0.5 } }, 24*60 - 36},
		"own hours": {0, func(c *FetcherConfig) { c.Every = 6 * time.Hour }, 6 * 60},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress(t)
			p.first(base)
			before := p.asked.Load()
			p.clk.Advance(c.away)
			r := p.run(c.edit)
			r.last = before
			if n := r.minutes(); n != c.want {
				t.Errorf("asked after %d minutes, want %d", n, c.want)
			}
		})
	}
}

// TestClockSetBack: a clock that was ahead for a while puts nothing off.
func TestClockSetBack(t *testing.T) {
	p := newPress(t)
	f, _ := p.first(national(t))
	if f.isDue() {
		t.Error("due at once")
	}
	p.clk.Advance(-30 * 24 * time.Hour)
	if !f.isDue() || f.Status().LastSuccess.After(p.clk.Now()) {
		t.Errorf("%+v", f.Status())
	}
}

// TestServerCertificateByOurClock: the clock that was handed in says whether the
// server's certificate is still valid.
func TestServerCertificateByOurClock(t *testing.T) {
	p := newPress(t)
	f, _ := p.first(national(t))
	p.clk.Advance(400 * 24 * time.Hour)
	if _, err := f.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "x509: certificate has expired") {
		t.Errorf("%v", err)
	}
}

// TestFetchCancelled: a fetch that is called off is no failure.
func TestFetchCancelled(t *testing.T) {
	p := newPress(t)
	f, _ := p.first(national(t))
	ctx, cancel := context.WithCancel(context.Background())
	p.answers(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := f.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if st := f.Status(); st.LastError != "" || len(p.board.Raised()) != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRevocationNotKnownNow: a signature that cannot be judged now is no refused
// index; it is fetched again soon.
func TestRevocationNotKnownNow(t *testing.T) {
	p := newPress(t)
	base := national(t)
	p.first(base)
	unknown := fault.Say("test", fault.Temporary, "liste di revoca non disponibili / no revocation lists")
	down := false
	f := p.fetcher(func(c *FetcherConfig) {
		open := c.Open
		c.Open = func(p7m []byte) (SignedIndex, error) {
			if down {
				return SignedIndex{}, unknown
			}
			return open(p7m)
		}
	})
	if _, err := f.First(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.publishes(p.auth.sign(t, ldifOf(t, more(base, "new.example"))))
	down = true
	if _, err := f.Refresh(context.Background()); !errors.Is(err, unknown) || !fault.Is(err, fault.Temporary) || fault.TextOf(err) != unknown.Text {
		t.Errorf("%v", err)
	}
	if st := f.Status(); len(p.board.Raised()) != 0 || !st.Next.Equal(p.clk.Now().Add(time.Minute)) {
		t.Errorf("%+v, alarms %v", st, p.board.Raised())
	}
}

// TestDiskFull: an index that cannot be written leaves everything as it was.
func TestDiskFull(t *testing.T) {
	p := newPress(t)
	base := national(t)
	f, live := p.first(base)
	inUse, before := p.file(""), live.Current()
	full := errors.New("no space left")
	f.rename = func(from, to string) error {
		written, err := os.ReadFile(from)
		if err != nil || filepath.Dir(from) != filepath.Dir(to) || to == p.cfg.File && !bytes.Contains(written, []byte("new.example")) {
			t.Errorf("%s to %s: %v", from, to, err)
		}
		return full
	}
	p.publishes(p.auth.sign(t, ldifOf(t, more(base, "new.example"))))
	if _, err := f.Refresh(context.Background()); !errors.Is(err, full) || !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(p.file(""), inUse) || live.Current() != before || p.names() != "igpec.ldif.p7m igpec.ldif.p7m.state" {
		t.Errorf("touched; %s", p.names())
	}
	p.publishes(p.auth.sign(t, ldifOf(t, halved(base)))) // a refusal that cannot be kept is still one
	if _, err := f.Refresh(context.Background()); !fault.Is(err, fault.Denied) || f.Status().Refused != nil || p.raised(alarm.IndexRefused) == "" {
		t.Errorf("%v", err)
	}
}

// crashDir tells TestCrashBeforeRename's child where its index is.
const crashDir = "PECD_TEST_CRASH_DIR"

// TestCrashBeforeRename: killed when the new file is complete but has not got
// the name yet, a node starts with the old one, and cleans up.
func TestCrashBeforeRename(t *testing.T) {
	der := testCertificate(t, "a")
	version := func(domain string) []byte { return []byte("signed:" + rootLDIF + record(der, "Alfa", domain)) }
	config := func(dir string) FetcherConfig {
		log := slog.New(slog.DiscardHandler)
		return FetcherConfig{
			URL: "https://127.0.0.1:9/x.p7m", File: filepath.Join(dir, "x.p7m"),
			Open: func(p7m []byte) (SignedIndex, error) {
				ldif, ok := bytes.CutPrefix(p7m, []byte("signed:"))
				if !ok {
					return SignedIndex{}, errors.New("not signed")
				}
				return SignedIndex{LDIF: ldif}, nil
			},
			Alarms: alarm.NewBoard(clock.System{}, log), Clock: clock.System{}, Log: log,
		}
	}
	if dir := os.Getenv(crashDir); dir != "" { // the child
		f, err := NewFetcher(config(dir))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.First(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.rename = func(from, to string) error {
			if to != f.cfg.File {
				return os.Rename(from, to)
			}
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		c, err := f.open(version("new.example"))
		if err != nil {
			t.Fatal(err)
		}
		t.Fatal("alive: ", f.takeOver(context.Background(), c))
	}
	dir := t.TempDir()
	old := version("old.example")
	if err := os.WriteFile(filepath.Join(dir, "x.p7m"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestCrashBeforeRename$")
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, out)
	}
	names := func() (all []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if n := names(); len(n) != 3 || !strings.HasPrefix(n[0], ".x.p7m.") || strings.HasPrefix(n[0], ".x.p7m.state") {
		t.Fatalf("no file half done: %v", n)
	}
	f, err := NewFetcher(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	live, err := f.First(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "x.p7m")); err != nil || !bytes.Equal(b, old) {
		t.Errorf("the old file is another: %v", err)
	}
	if _, ok := live.ProviderOfDomain("old.example"); !ok || strings.Join(names(), " ") != "x.p7m x.p7m.state" {
		t.Errorf("in use: %v; files %v", ok, names())
	}
}
