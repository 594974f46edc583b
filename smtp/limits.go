// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"pecd/clock"
)

// clientKey is what limits are counted by: the IPv4 address or the IPv6 /64 of
// the peer, since one customer has a whole /64.
func clientKey(a net.Addr) netip.Prefix {
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

// connLimits counts open connections. A limit of zero or less is none.
type connLimits struct {
	total, each int

	mu   sync.Mutex
	open int
	by   map[netip.Prefix]int
}

func newConnLimits(total, each int) *connLimits {
	return &connLimits{total: total, each: each, by: make(map[netip.Prefix]int)}
}

func (l *connLimits) enter(k netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total > 0 && l.open >= l.total || l.each > 0 && l.by[k] >= l.each {
		return false
	}
	l.open++
	l.by[k]++
	return true
}

func (l *connLimits) leave(k netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.by[k]--; l.by[k] <= 0 {
		delete(l.by, k)
	}
}

const (
	authBurst  = 20              // failed logins of one client before it has to wait
	authRefill = 6 * time.Second // one more attempt for every authRefill waited
	authTable  = 16384           // clients remembered
)

// authLimits is a token bucket of failed logins for each client.
type authLimits struct {
	clk clock.Clock

	mu sync.Mutex
	by map[netip.Prefix]bucket
}

type bucket struct {
	full time.Time // when all tokens are back
}

func newAuthLimits(clk clock.Clock) *authLimits {
	return &authLimits{clk: clk, by: make(map[netip.Prefix]bucket)}
}

// take spends one attempt of k; false: none is left.
func (l *authLimits) take(k netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	full := l.by[k].full
	if full.Before(now) {
		full = now
	}
	full = full.Add(authRefill)
	if full.Sub(now) > authBurst*authRefill {
		return false
	}
	if _, known := l.by[k]; !known && len(l.by) >= authTable {
		l.forget(now)
	}
	l.by[k] = bucket{full}
	return true
}

// give returns the attempt of a login that succeeded.
func (l *authLimits) give(k netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.by[k]; ok {
		l.by[k] = bucket{b.full.Add(-authRefill)}
	}
}

// forget makes room: first the clients whose tokens are all back, then any.
func (l *authLimits) forget(now time.Time) {
	for k, b := range l.by {
		if !b.full.After(now) {
			delete(l.by, k)
		}
	}
	for k := range l.by {
		if len(l.by) < authTable {
			return
		}
		delete(l.by, k)
	}
}
