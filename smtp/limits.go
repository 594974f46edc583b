// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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

// inFlight counts the octets of the messages being received, over all
// connections of a server. A limit of zero or less is none.
type inFlight struct {
	limit  int64
	octets atomic.Int64
}

// full reports whether no other message may begin.
func (f *inFlight) full() bool { return f.limit > 0 && f.octets.Load() >= f.limit }
