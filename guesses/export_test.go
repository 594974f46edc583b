// SPDX-License-Identifier: EUPL-1.2

package guesses

import "pecd/clock"

// NewSmall is NewLocal with tables of a few rows.
func NewSmall(clk clock.Clock, clients, accounts int) *Local {
	l := NewLocal(clk)
	l.maxClients, l.maxAccounts = clients, accounts
	return l
}

// Sizes is how much is remembered.
func (l *Local) Sizes() (clients, accounts, known int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients), len(l.accounts), len(l.known)
}

// Report tells what was gathered, as Run does every quarter of an hour.
var Report = (*Guard).report
