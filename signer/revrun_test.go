// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/signer"
)

// TestRunFetchesEveryHour, and before the end of a list.
func TestRunFetchesEveryHour(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newListServer(t, nil)
	defer s.Close()
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	s.serve(body(w.crl(epoch, 30*day)))
	defer w.run()()
	fetches := func(n int) {
		t.Helper()
		if got := len(s.requests()); got != n {
			t.Errorf("%d fetches after %v, want %d", got, w.clock.Now().Sub(dayOne), n)
		}
	}
	fetches(1)
	w.tick(59)
	fetches(1)
	s.serve(body(w.crl(w.clock.Now(), 2*time.Hour, w.leaf.SerialNumber)))
	w.tick(1)
	fetches(2)
	w.want(signer.StepRevoked, false)
	w.tick(60)
	fetches(3)
	// It ends in less than an hour: it is asked for before that, every few
	// minutes while there is no other.
	w.tick(44)
	fetches(3)
	w.tick(1)
	fetches(4)
	w.tick(10)
	fetches(6)
	w.want(signer.StepRevoked, false)
	w.tick(4)
	w.want(signer.StepRevoked, false)
	w.tick(1)
	w.want(signer.StepRevoked, true)
	s.serve(body(w.crl(w.clock.Now(), 30*day)))
	w.tick(5)
	eventually(t, "the new list", func() bool { return w.step() == signer.StepOK })
}

// TestMissWakesRun: a verification without a current list asks for one, once a
// minute at most.
func TestMissWakesRun(t *testing.T) {
	s := newListServer(t, status(http.StatusServiceUnavailable))
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	stop := w.run()
	defer stop()
	s.serve(body(w.crl(epoch, 30*day)))
	w.want(signer.StepUnknownRevocation, true)
	eventually(t, "the round after the first miss", func() bool { return w.clock.armed.Load() == 2 })
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d fetches at once", n)
	}
	for range 200 {
		w.want(signer.StepUnknownRevocation, true)
	}
	w.tick(1) // without a miss the next attempt is after five minutes
	if n := len(s.requests()); n != 1 || w.clock.armed.Load() != 3 {
		t.Errorf("%d fetches and %d rounds within a minute", n, w.clock.armed.Load())
	}
	w.want(signer.StepUnknownRevocation, true)
	eventually(t, "the list", func() bool { return w.clock.armed.Load() == 4 })
	w.want(signer.StepOK, false)
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// TestMovedClock: a clock that jumps makes nothing valid, and nothing wait.
func TestMovedClock(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	s.serve(body(w.crl(epoch, 2*day)))
	stop := w.run()
	w.want(signer.StepOK, false)
	w.clock.Advance(3 * day)
	eventually(t, "the alarm", func() bool { return len(w.alarms.Raised()) == 1 })
	w.want(signer.StepUnknownRevocation, true)
	stop()
	s.serve(body(w.crl(dayOne.Add(3*day), 2*day)))
	w.clock.Advance(-3*day + time.Minute) // and back: the newer list is now from the future
	n := len(s.requests())
	defer w.run()()
	if len(s.requests()) == n {
		t.Error("no fetch after the jump back")
	}
	w.want(signer.StepOK, false)
}

// TestConditionalFetch: a list that did not change is not sent again; one that
// is about to end is asked for whole.
func TestConditionalFetch(t *testing.T) {
	var seen []string
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	s.serve(conditional(w.crl(epoch, 2*day), `"eins"`, &seen))
	for range 2 {
		must(t, w.lists.Refresh(context.Background()))
	}
	w.clock.Advance(day - 10*time.Minute)
	must(t, w.lists.Refresh(context.Background()))
	if want := []string{"|", `"eins"|Mon, 01 Jun 2026 08:00:00 GMT`, "|"}; !slices.Equal(seen, want) {
		t.Errorf("conditions %q", seen)
	}
	// What cannot be sent back is not.
	seen = nil
	s.serve(conditional(w.crl(epoch, 3*day), "\"\xe9\"", &seen))
	for range 2 {
		must(t, w.lists.Refresh(context.Background()))
	}
	if len(seen) != 2 || seen[1] != "|Mon, 01 Jun 2026 08:00:00 GMT" {
		t.Errorf("conditions %q", seen)
	}
}

// TestListsOverTLS, with a transport of the caller's.
func TestListsOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	s.Config.Handler = body(w.crl(epoch, 2*day))
	if err := w.lists.Refresh(context.Background()); err == nil {
		t.Error("an unknown server certificate was accepted")
	}
	w.cfg.Transport = s.Client().Transport
	w.open()
	must(t, w.lists.Refresh(context.Background()))
	w.want(signer.StepOK, false)
}

// TestFilesAreReadAgain by Run; trouble with them is logged once.
func TestFilesAreReadAgain(t *testing.T) {
	w := newRevWorld(t, nil, nil)
	dir := t.TempDir()
	path := write(t, dir, "ca.crl", w.crl(epoch, 30*day))
	w.cfg.Files = []string{path}
	w.open()
	defer w.run()()
	w.want(signer.StepOK, false)
	must(t, os.WriteFile(path, []byte("rotto"), 0o600))
	w.tick(3)
	w.want(signer.StepOK, false)
	must(t, os.WriteFile(path, w.crl(epoch.Add(time.Hour), 30*day, w.leaf.SerialNumber), 0o600))
	w.tick(1)
	w.want(signer.StepRevoked, false)
	if n := len(slices.DeleteFunc([]byte(w.logged.String()), func(b byte) bool { return b != '\n' })); n != 1 {
		t.Errorf("%d lines logged:\n%s", n, w.logged)
	}
}

// TestRefreshEnds with its context.
func TestRefreshEnds(t *testing.T) {
	s := newListServer(t, silence)
	w := newRevWorld(t, []string{s.URL + "/a", s.URL + "/b"}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := w.lists.Refresh(ctx); err == nil {
		t.Error("no error")
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
	if w.logged.String() != "" {
		t.Errorf("the end of the process was logged as a failure:\n%s", w.logged)
	}
}
