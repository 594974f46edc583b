// SPDX-License-Identifier: EUPL-1.2

//go:build race

package imap

// manyMessages is smaller where the race detector slows the store down tenfold.
const manyMessages = 10_000
