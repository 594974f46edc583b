// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

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
