// SPDX-License-Identifier: EUPL-1.2

//go:build !race

package imap

const (
	manyMessages = 100_000
	idleConns    = 200
	largeMessage = 100 << 20 // octets
)
