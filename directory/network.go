// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"net"
	"net/netip"
)

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
