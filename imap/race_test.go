// SPDX-License-Identifier: EUPL-1.2

//go:build race

package imap

// Sizes are smaller where the race detector slows everything down tenfold.
const (
	manyMessages = 10_000
	idleConns    = 120
	largeMessage = 40 << 20 // octets; still more than what the heap may grow by
)
