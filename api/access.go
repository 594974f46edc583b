// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/storage"
)

// caller is who asks.
type caller struct {
	storage.APIToken
	address string // of the mailbox, for its application
}

// request is what is known of a request, for its log line.
type request struct {
	id     string
	remote string // host:port of the client
	caller caller
}

type requestKey struct{}

// requestOf returns the request of a context; empty outside of one.
func requestOf(ctx context.Context) *request {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return new(request)
	}
	return r
}

func callerOf(ctx context.Context) caller { return requestOf(ctx).caller }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.Clock.Now()
	var id [8]byte
	rand.Read(id[:]) // never fails
	about := &request{id: hex.EncodeToString(id[:]), remote: r.RemoteAddr}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, about))
	out := &answer{ResponseWriter: w, status: http.StatusOK}
	h := w.Header()
	h.Set("X-Request-Id", about.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, route := s.mux.Handler(r)
	if route == "" {
		s.noRoute(out, r)
	} else {
		s.mux.ServeHTTP(out, r)
	}
	level := s.Logger.Debug
	if r.Method != http.MethodGet {
		level = s.Logger.Info
	}
	// The route, not the path: a path may hold what its client did not mean to tell.
	level("api", "request", about.id, "route", route, "status", out.status, "token", about.caller.ID,
		"duration", s.Clock.Now().Sub(began), "remote", r.RemoteAddr)
}

// noRoute answers what no operation is at, as the mux would, in our form.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	found := &verdict{header: make(http.Header)}
	s.mux.ServeHTTP(found, r)
	if found.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", found.header.Get("Allow"))
		writeProblem(w, r, http.StatusMethodNotAllowed, "metodi ammessi: "+found.header.Get("Allow")+" / allowed methods: "+found.header.Get("Allow"))
		return
	}
	writeProblem(w, r, http.StatusNotFound, "nessuna operazione a questo indirizzo / no operation at this address")
}

// verdict hears what the mux would answer.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }

// answer remembers the status. What its client does not take any more is let go:
// the library would panic for it.
type answer struct {
	http.ResponseWriter
	status int
	gone   bool
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if !a.gone {
		_, err := a.ResponseWriter.Write(b)
		a.gone = err != nil
	}
	return len(b), nil
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// authenticate lets those through who may do an operation.
func (s *Server) authenticate(c huma.Context, next func(huma.Context)) {
	ctx := c.Context()
	who := roles()[c.Operation().OperationID]
	if who == anybody {
		next(c)
		return
	}
	remote := addrOf(c.RemoteAddr())
	if !s.Guesses.Allowed(ctx, tryFrom(remote)) {
		c.SetHeader("Retry-After", "60")
		s.refuse(c, http.StatusTooManyRequests, "troppi tentativi falliti, riprovare più tardi / too many failed attempts, try later")
		return
	}
	scheme, secret, _ := strings.Cut(c.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		c.SetHeader("WWW-Authenticate", `Bearer realm="pecd"`)
		s.refuse(c, http.StatusUnauthorized, "serve un token: Authorization: Bearer … / a token is needed: Authorization: Bearer …")
		return
	}
	by, err := s.callerWith(ctx, strings.TrimSpace(secret))
	switch {
	case fault.Is(err, fault.Denied):
		s.Guesses.Failed(ctx, tryFrom(remote), false)
		c.SetHeader("WWW-Authenticate", `Bearer realm="pecd", error="invalid_token"`)
		s.refuse(c, http.StatusUnauthorized, fault.CodesOf(err).Text)
		return
	case err != nil:
		s.Logger.Error("api: token not judged", "error", err)
		s.refuse(c, http.StatusServiceUnavailable, fault.CodesOf(err).Text)
		return
	}
	requestOf(ctx).caller = by
	if wait := s.paces.take(by.ID); wait > 0 {
		c.SetHeader("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.refuse(c, http.StatusTooManyRequests, "troppe richieste con questo token / too many requests with this token")
		return
	}
	if who&roleOf(by.Role) == 0 {
		s.refuse(c, http.StatusForbidden, "operazione non consentita al ruolo di questo token / not permitted to the role of this token")
		return
	}
	next(huma.WithContext(c, directory.AsActor(ctx, by.actor())))
}

// callerWith returns whose a secret is. The application of a mailbox that is not in
// use any more is nobody.
func (s *Server) callerWith(ctx context.Context, secret string) (caller, error) {
	t, err := s.Directory.Token(ctx, secret)
	if err != nil || t.Role != storage.TokenMailbox {
		return caller{APIToken: t}, err
	}
	m, err := s.Store.MailboxByID(ctx, t.Mailbox)
	if err != nil {
		return caller{}, err
	}
	if m.State == storage.MailboxDeactivated || m.State == storage.MailboxClosed {
		return caller{}, fault.Say("api.callerWith", fault.Denied, "casella non attiva / mailbox not in use")
	}
	return caller{t, m.Address}, nil
}

// refuse answers a request that does not reach its operation. An answer that
// cannot be written has nobody to read it.
func (s *Server) refuse(c huma.Context, status int, detail string) {
	_ = huma.WriteErr(s.api, c, status, detail)
}

// addrOf is the address of a client for those who count by it.
func addrOf(remote string) net.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(ap)
}

// A token may ask paceBurst times at once and then once every paceEvery.
const (
	paceBurst = 200
	paceEvery = 50 * time.Millisecond
)

// maxPaces is how many tokens are remembered before those whose burst is back are
// forgotten.
const maxPaces = 10_000

// paces counts the requests of each token.
type paces struct {
	clk clock.Clock

	mu   sync.Mutex
	full map[int64]time.Time // when a token's whole burst is back
}

func newPaces(clk clock.Clock) *paces { return &paces{clk: clk, full: make(map[int64]time.Time)} }

// take counts a request, or returns how long to wait.
func (p *paces) take(token int64) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clk.Now()
	full := p.full[token]
	if full.Before(now) {
		full = now
	}
	if wait := full.Sub(now) - (paceBurst-1)*paceEvery; wait > 0 {
		return wait
	}
	if len(p.full) >= maxPaces {
		maps.DeleteFunc(p.full, func(_ int64, full time.Time) bool { return full.Before(now) })
	}
	p.full[token] = full.Add(paceEvery)
	return 0
}

// tryFrom is a secret that is tried from remote, which counts for that client alone.
func tryFrom(remote net.Addr) guesses.Try {
	return guesses.Try{Protocol: "api", From: directory.ClientNetwork(remote)}
}
