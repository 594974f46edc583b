// SPDX-License-Identifier: EUPL-1.2

package guesses

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pecd/clock"
)

const (
	maxClients  = 65536  // client networks that are counted
	maxAccounts = 131072 // accounts whose networks are remembered
)

// Local counts in this process. What it knows ends with it.
type Local struct {
	clk                     clock.Clock
	maxClients, maxAccounts int

	mu       sync.Mutex
	clients  map[netip.Prefix]time.Time // when the whole burst is back
	accounts map[uint16]time.Time       // the same, by slot
	names    map[uint16]string          // the existing account last guessed at in a slot
	known    map[string][]proof         // by login, at least one each, newest last
}

// proof is a network from which an account was opened.
type proof struct {
	from netip.Prefix
	at   time.Time
}

var _ Counter = (*Local)(nil)

// NewLocal returns the counter of one process.
func NewLocal(clk clock.Clock) *Local {
	l := &Local{clk: clk, maxClients: maxClients, maxAccounts: maxAccounts, known: make(map[string][]proof)}
	l.reset()
	return l
}

func (l *Local) reset() {
	l.clients, l.accounts, l.names = make(map[netip.Prefix]time.Time), make(map[uint16]time.Time), make(map[uint16]string)
}

// Check implements Counter.
func (l *Local) Check(_ context.Context, from netip.Prefix, login string) Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	s := l.standing(from, login, now)
	switch {
	case free(l.clients[from], clientBurst, clientRefill).After(now):
		s.Refused = ByClient
	case login != "" && s.Stranger && free(l.accounts[slot(login)], accountBurst, accountRefill).After(now):
		s.Refused, s.Account = ByAccount, l.names[slot(login)]
	}
	return s
}

// standing is called with the lock held.
func (l *Local) standing(from netip.Prefix, login string, now time.Time) Standing {
	if login == "" {
		return Standing{Stranger: true}
	}
	return Standing{Stranger: !l.isKnown(from, login, now), Outstanding: outstanding(l.accounts[slot(login)], now)}
}

func (l *Local) isKnown(from netip.Prefix, login string, now time.Time) bool {
	return slices.ContainsFunc(l.known[login], func(p proof) bool { return p.from == from && now.Sub(p.at) < knownFor })
}

// Failed implements Counter.
func (l *Local) Failed(_ context.Context, from netip.Prefix, login string, exists bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	if _, counted := l.clients[from]; !counted && len(l.clients) >= l.maxClients {
		thin(l.clients, now)
	}
	l.clients[from] = spent(l.clients[from], now, clientBurst, clientRefill)
	if login == "" || l.isKnown(from, login, now) {
		return // a forgotten password on the holder's own devices is no attack on him
	}
	k := slot(login)
	if !l.accounts[k].After(now) {
		delete(l.names, k)
	}
	l.accounts[k] = spent(l.accounts[k], now, accountBurst, accountRefill)
	if exists {
		l.names[k] = login
	}
}

// Proved implements Counter.
func (l *Local) Proved(_ context.Context, from netip.Prefix, login string) Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	s := l.standing(from, login, now)
	l.remember(proof{from, now}, login)
	return s
}

// Recall implements Counter.
func (l *Local) Recall(from netip.Prefix, login string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	later := func(p proof) bool { return p.from == from && p.at.After(at) }
	if l.clk.Now().Sub(at) >= knownFor || slices.ContainsFunc(l.known[login], later) {
		return
	}
	l.remember(proof{from, at}, login)
	slices.SortStableFunc(l.known[login], func(a, b proof) int { return a.at.Compare(b.at) })
}

// remember is called with the lock held.
func (l *Local) remember(p proof, login string) {
	all, there := l.known[login]
	if !there && len(l.known) >= l.maxAccounts {
		l.thinKnown(p.at)
	}
	all = slices.DeleteFunc(all, func(o proof) bool { return o.from == p.from || p.at.Sub(o.at) >= knownFor })
	if len(all) == knownEach {
		all = slices.Delete(all, 0, 1)
	}
	l.known[login] = append(all, p)
}

// provedLately reports whether from is a network of login since less than d.
func (l *Local) provedLately(from netip.Prefix, login string, d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	return slices.ContainsFunc(l.known[login], func(p proof) bool { return p.from == from && now.Sub(p.at) < d })
}

// Blocked implements Counter.
func (l *Local) Blocked(context.Context) ([]Blocked, error) {
	clients, accounts := l.blocked()
	all := slices.Collect(maps.Values(clients))
	return sorted(slices.AppendSeq(all, maps.Values(accounts))), nil
}

// blocked returns who waits, by network and by slot.
func (l *Local) blocked() (clients map[netip.Prefix]Blocked, accounts map[uint16]Blocked) {
	clients, accounts = make(map[netip.Prefix]Blocked), make(map[uint16]Blocked)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	for from, full := range l.clients {
		if at := free(full, clientBurst, clientRefill); at.After(now) {
			clients[from] = Blocked{Client: from, Until: at}
		}
	}
	for k, full := range l.accounts {
		if at := free(full, accountBurst, accountRefill); at.After(now) {
			accounts[k] = Blocked{Account: l.names[k], Until: at}
		}
	}
	return clients, accounts
}

func sorted(all []Blocked) []Blocked {
	slices.SortFunc(all, func(a, b Blocked) int {
		switch {
		case a.Client.IsValid() && b.Client.IsValid():
			return a.Client.Addr().Compare(b.Client.Addr())
		case a.Client.IsValid() != b.Client.IsValid():
			if a.Client.IsValid() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Account, b.Account), a.Until.Compare(b.Until))
	})
	return all
}

// Clear implements Counter.
func (l *Local) Clear(_ context.Context, from netip.Prefix, login string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case from.IsValid():
		delete(l.clients, from)
	case login != "":
		delete(l.accounts, slot(login))
		delete(l.names, slot(login))
	default:
		l.reset()
	}
	return nil
}

// thin makes room in a full table: what has passed goes first, then any, some of
// them at once so that the next ones need not look.
func thin[K comparable](full map[K]time.Time, now time.Time) {
	left := len(full) - len(full)/16
	for k, at := range full {
		if !at.After(now) {
			delete(full, k)
		}
	}
	for k := range full {
		if len(full) <= left {
			return
		}
		delete(full, k)
	}
}

// thinKnown is thin for the networks of accounts. Whoever is forgotten is a
// stranger until his next login.
func (l *Local) thinKnown(now time.Time) {
	newest := make(map[string]time.Time, len(l.known))
	for login, all := range l.known {
		newest[login] = all[len(all)-1].at.Add(knownFor)
	}
	thin(newest, now)
	for login := range l.known {
		if _, left := newest[login]; !left {
			delete(l.known, login)
		}
	}
}
