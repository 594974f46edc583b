// SPDX-License-Identifier: EUPL-1.2

package guesses

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pecd/clock"
)

const (
	reportEvery = 15 * time.Minute
	lastTime    = 5 * time.Second // for the last report, at the end
	maxSubjects = 4096            // that are told apart in one report

	// pressed is how many wrong passwords of strangers make a login from a new
	// network worth a look.
	pressed = 10
)

// Try is one login that is being tried.
type Try struct {
	Protocol string       // "smtp", "imap", "pop3", …: a label of metrics, so one of a few
	From     netip.Prefix // the client's network
	Login    string       // what the client says it is, in canonical form; "" for nothing
}

// Turned is how often a client or an account was turned away.
type Turned struct {
	Client  netip.Prefix // zero for an account
	Account string       // "" for a client, for logins that nobody has, and for what is told together
	Count   int64
}

// Refusals is how many logins a protocol refused for one reason.
type Refusals struct {
	Protocol string
	Reason   Reason
	Count    int64
}

// Config is what a Guard needs.
type Config struct {
	Counter Counter
	Clock   clock.Clock
	Logger  *slog.Logger
	// Report is given every quarter of an hour who was turned away in it, and not
	// called for nobody. What it fails with is told again later. nil: nobody is told.
	Report func(ctx context.Context, all []Turned) error
	// Pressed is told of an account that was opened from a network which was new
	// to it, after strangers had tried many passwords. nil: nobody is told.
	Pressed func(login string)
}

// Guard is what every door asks before it looks at a password. It is safe for
// concurrent use.
type Guard struct {
	cfg Config

	mu       sync.Mutex
	turned   map[Turned]int64 // by the subject, Count 0
	refusals map[Refusals]int64
}

// NewGuard returns a Guard, whose Run is yet to be called where there is a Report.
func NewGuard(cfg Config) *Guard {
	return &Guard{cfg: cfg, turned: make(map[Turned]int64), refusals: make(map[Refusals]int64)}
}

// Alone returns a Guard that counts in this process and tells nobody.
func Alone(clk clock.Clock) *Guard {
	return NewGuard(Config{Counter: NewLocal(clk), Clock: clk, Logger: slog.New(slog.DiscardHandler)})
}

// Allowed reports whether a password may be looked at. The answer to one that may
// not is the same for every account, there or not: try again later.
func (g *Guard) Allowed(ctx context.Context, t Try) bool {
	s := g.cfg.Counter.Check(ctx, t.From, t.Login)
	if s.Refused == None {
		return true
	}
	subject := Turned{Client: t.From}
	if s.Refused == ByAccount {
		subject = Turned{Account: s.Account}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.turned[subject]; !there && len(g.turned) >= maxSubjects {
		subject = Turned{}
	}
	g.turned[subject]++
	g.refusals[Refusals{t.Protocol, s.Refused, 0}]++
	return false
}

// Failed counts a password that was wrong; exists says that the login is somebody's.
func (g *Guard) Failed(ctx context.Context, t Try, exists bool) {
	g.cfg.Counter.Failed(ctx, t.From, t.Login, exists)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals[Refusals{t.Protocol, WrongGuess, 0}]++
}

// Passed is told of a login that succeeded, as account.
func (g *Guard) Passed(ctx context.Context, t Try, account string) {
	s := g.cfg.Counter.Proved(ctx, t.From, account)
	if s.Stranger && s.Outstanding >= pressed && g.cfg.Pressed != nil {
		g.cfg.Pressed(account)
	}
}

// Recall is told of a login of before the start, at an instant.
func (g *Guard) Recall(from netip.Prefix, account string, at time.Time) {
	g.cfg.Counter.Recall(from, account, at)
}

// Blocked lists who has to wait now.
func (g *Guard) Blocked(ctx context.Context) ([]Blocked, error) { return g.cfg.Counter.Blocked(ctx) }

// Clear forgets what is held against a network, a login, or with neither against all.
func (g *Guard) Clear(ctx context.Context, from netip.Prefix, login string) error {
	return g.cfg.Counter.Clear(ctx, from, login)
}

// Refusals returns what was refused since the start, by protocol and reason.
func (g *Guard) Refusals() []Refusals {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Refusals
	for r, n := range g.refusals {
		r.Count = n
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Refusals) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// Run reports until ctx ends, and then what is left.
func (g *Guard) Run(ctx context.Context) {
	for ctx.Err() == nil {
		fire, release := g.cfg.Clock.After(reportEvery)
		select {
		case <-fire:
			g.report(ctx)
		case <-ctx.Done():
		}
		release()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	g.report(last)
}

func (g *Guard) report(ctx context.Context) {
	g.mu.Lock()
	turned := g.turned
	g.turned = make(map[Turned]int64)
	g.mu.Unlock()
	if len(turned) == 0 || g.cfg.Report == nil {
		return
	}
	all := make([]Turned, 0, len(turned))
	for _, t := range slices.SortedFunc(maps.Keys(turned), func(a, b Turned) int {
		return cmp.Or(a.Client.Addr().Compare(b.Client.Addr()), cmp.Compare(a.Account, b.Account))
	}) {
		t.Count = turned[t]
		all = append(all, t)
	}
	if err := g.cfg.Report(ctx, all); err != nil {
		g.cfg.Logger.Error("guesses: who was turned away is told later", "error", err)
		g.mu.Lock()
		defer g.mu.Unlock()
		for t, n := range turned {
			if _, there := g.turned[t]; !there && len(g.turned) >= maxSubjects {
				t = Turned{}
			}
			g.turned[t] += n
		}
	}
}
