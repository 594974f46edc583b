// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/signer"
	"pecd/signer/pki"
)

// listServer is an HTTP server of revocation lists whose answer can be changed.
type listServer struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  []string // paths, in order
}

func newListServer(t testing.TB, answer http.HandlerFunc) *listServer {
	s := &listServer{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *listServer) serve(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// requests returns the paths asked for.
func (s *listServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// body answers with some octets.
func body(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(b) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// silence never answers, until the client goes away: which shows once the
// request was read.
func silence(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// revWorld is revocation lists with everything around them.
type revWorld struct {
	t      testing.TB
	ca     *pki.CA
	leaf   *x509.Certificate
	clock  *armedClock
	alarms *alarm.Board
	logged *lockedBuffer
	cfg    signer.RevocationConfig
	lists  *signer.RevocationLists
}

// armedClock counts how often somebody began to wait.
type armedClock struct {
	*clock.Manual
	armed atomic.Int64
}

func (c *armedClock) After(d time.Duration) (<-chan time.Time, func()) {
	defer c.armed.Add(1)
	return c.Manual.After(d)
}

// tick moves the clock on by minutes, one by one, and each time lets Run do its
// round. Run must be waiting.
func (w *revWorld) tick(minutes int) {
	w.t.Helper()
	for range minutes {
		before := w.clock.armed.Load()
		w.clock.Advance(time.Minute)
		eventually(w.t, "a round of Run", func() bool { return w.clock.armed.Load() > before })
	}
}

// run starts Run, waits for its first round, and returns a function that ends
// it and waits for that.
func (w *revWorld) run() (stop func()) {
	w.t.Helper()
	before := w.clock.armed.Load()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.lists.Run(ctx)
	}()
	eventually(w.t, "the first round of Run", func() bool { return w.clock.armed.Load() > before })
	return func() {
		cancel()
		<-done
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newRevWorld opens lists for a leaf with the distribution points. change may
// alter the configuration.
func newRevWorld(t testing.TB, points []string, change func(*signer.RevocationConfig)) *revWorld {
	t.Helper()
	ca := testCA(t)
	w := &revWorld{t: t, ca: ca, leaf: identity(t, ca, pki.WithCRLPoints(points...)).Certificate, clock: &armedClock{Manual: clock.NewManual(dayOne)}, logged: new(lockedBuffer)}
	log := slog.New(slog.NewTextHandler(w.logged, nil))
	w.alarms = alarm.NewBoard(w.clock, slog.New(slog.DiscardHandler))
	w.cfg = signer.RevocationConfig{
		Watched: func() []*x509.Certificate { return []*x509.Certificate{w.ca.Certificate(), w.leaf} },
		Dir:     t.TempDir(), Policy: signer.RevocationPolicy{Mode: signer.RevocationGrace},
		Alarms: w.alarms, Clock: w.clock, Logger: log,
	}
	if change != nil {
		change(&w.cfg)
	}
	w.open()
	return w
}

// open opens the lists, again.
func (w *revWorld) open() {
	w.t.Helper()
	var err error
	w.lists, err = signer.OpenRevocationLists(w.cfg)
	must(w.t, err)
}

// crl makes a list of the CA that ends after some time.
func (w *revWorld) crl(from time.Time, lasts time.Duration, revoked ...*big.Int) []byte {
	return crlOf(w.t, w.ca, from, lasts, revoked...)
}

func crlOf(t testing.TB, ca *pki.CA, from time.Time, lasts time.Duration, revoked ...*big.Int) []byte {
	t.Helper()
	der, err := ca.CRLAt(from, from.Add(lasts), revoked...)
	must(t, err)
	return der
}

// step verifies the leaf now, under the policy of the lists.
func (w *revWorld) step() signer.Step {
	cfg := signer.PECConfig(w.ca.Certificate())
	cfg.CRLs, cfg.Revocation = w.lists, w.cfg.Policy
	step, _ := signer.CheckCertificate(cfg, w.leaf, w.clock.Now())
	return step
}

func (w *revWorld) want(step signer.Step, raised bool) {
	w.t.Helper()
	if got := w.step(); got != step {
		w.t.Errorf("step %q, want %q\n%s", got, step, w.logged)
	}
	if got := w.alarms.Raised(); (len(got) > 0) != raised {
		w.t.Errorf("alarms: %+v", got)
	} else if raised && (got[0].Name != alarm.RevocationStale || !strings.Contains(got[0].Text, "CA di prova") || !strings.Contains(got[0].Text, " / ")) {
		w.t.Errorf("alarm %+v", got[0])
	}
}

// hugeBody answers with more than a list may have, without saying so before.
func hugeBody(w http.ResponseWriter, _ *http.Request) {
	chunk := bytes.Repeat([]byte{0x30}, 1<<20)
	for range 80 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// slowBody sends a good list an octet at a time.
func slowBody(list []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := range list {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := w.Write(list[i : i+1]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

// redirects sends the client on n times before it gets the list.
func redirects(n int, list []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		step := len(r.URL.Query().Get("n"))
		if step == n {
			w.Write(list)
			return
		}
		http.Redirect(w, r, "/crl?n="+strings.Repeat("x", step+1), http.StatusFound)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 20000 {
		if ok() {
			return
		}
		time.Sleep(500 * time.Microsecond)
	}
	t.Fatal("not in time: " + what)
}

// conditional answers as a cache wants it, and records the conditions of requests.
func conditional(list []byte, etag string, seen *[]string) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		*seen = append(*seen, r.Header.Get("If-None-Match")+"|"+r.Header.Get("If-Modified-Since"))
		w.Header().Set("ETag", etag)
		w.Header().Set("Last-Modified", "Mon, 01 Jun 2026 08:00:00 GMT")
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.Copy(w, bytes.NewReader(list))
	}
}
