// SPDX-License-Identifier: EUPL-1.2

//go:build race

package relayload

// waiting is how many messages wait in the short form of TestDrain: the race
// detector makes the database eight times slower.
const waiting = 150
