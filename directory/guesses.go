// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"pecd/clock"
)

const (
	guessBurst  = 20              // failed logins of one client before it has to wait
	guessRefill = 6 * time.Second // one more for every guessRefill waited
	guessTable  = 16384           // clients remembered
)

// Guesses bounds how fast one client may try passwords, counted over all
// listeners of a node: twenty failed logins, then ten a minute. Logins that
// succeed cost nothing, so that many at once from one office pass.
type Guesses struct {
	clk clock.Clock

	mu   sync.Mutex
	full map[netip.Prefix]time.Time // when the client's whole burst is back
}

// NewGuesses returns the counter of one node.
func NewGuesses(clk clock.Clock) *Guesses {
	return &Guesses{clk: clk, full: make(map[netip.Prefix]time.Time)}
}

// Allowed reports whether the client at remote may try a password now.
func (g *Guesses) Allowed(remote net.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full[ClientNetwork(remote)].Sub(g.clk.Now()) <= (guessBurst-1)*guessRefill
}

// Failed counts a password that was wrong.
func (g *Guesses) Failed(remote net.Addr) {
	k := ClientNetwork(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clk.Now()
	full, known := g.full[k]
	if full.Before(now) {
		full = now
	}
	if !known && len(g.full) >= guessTable {
		g.forget(now)
	}
	// Attempts under way when the burst ends still count; they do not pile up.
	g.full[k] = minTime(full.Add(guessRefill), now.Add(guessBurst*guessRefill))
}

// forget makes room: first the clients whose burst is back, then any.
func (g *Guesses) forget(now time.Time) {
	for k, full := range g.full {
		if !full.After(now) {
			delete(g.full, k)
		}
	}
	for k := range g.full {
		if len(g.full) < guessTable {
			return
		}
		delete(g.full, k)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ClientNetwork is what every bound on a client is counted by: its IPv4 address,
// or the /64 of its IPv6 address, since one customer has a whole /64. It is the
// zero Prefix for an address without IP.
func ClientNetwork(a net.Addr) netip.Prefix {
	if a == nil {
		return netip.Prefix{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
