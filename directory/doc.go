// SPDX-License-Identifier: EUPL-1.2

// Package directory knows who exists. One half is this provider's own people:
// domains, mailboxes, users with their grants and passwords, and the tiers with
// their figures. The other half is the index of all PEC providers (RFC 6109
// §4.5), which tells whose certificate signed a message and which domains are
// certified: LiveIndex has it in use, Fetcher keeps it fresh, and Publisher
// serves our own record for it.
//
// Names are kept in one form: lower case, domains as A-labels. Every function
// that takes a name brings it into that form first.
package directory

import (
	"sync"
	"time"

	"pecd/clock"
	"pecd/sieve"
	"pecd/storage"
)

// How long a value read from the store may be served from memory. Another node
// may change the store, so that nothing is held longer than a few seconds.
const (
	lookupTTL    = 5 * time.Second
	maxMailboxes = 20000
)

// Directory answers questions about the provider's own accounts and changes
// them. All methods may be called concurrently. Errors are *fault.Error.
type Directory struct {
	st  storage.Store
	clk clock.Clock

	// writing serialises changes that read before they write: the store's
	// operations replace what is there. It covers this node only.
	writing sync.Mutex

	boxes    *cache[storage.Mailbox]
	users    *cache[storage.User]
	programs *cache[storage.AppPassword] // by sum
	grants   *cache[[]storage.Grant]
	domains  *cache[map[string]storage.Domain]
	tiers    *cache[map[string]storage.Tier]
	filters  *cache[string]        // active scripts, "" for none; by filterKey
	scripts  *cache[*sieve.Script] // compiled, by the sum of their text
	auth     *verifier
	tokens   TokenVerifier // nil: none are taken
	bound    struct {      // of this node, 0 for none; see Bound
		octets     int64
		recipients int
	}
}

// New returns the directory over st. Time, for the life of cached reads and the
// creation dates, comes from clk.
func New(st storage.Store, clk clock.Clock) *Directory {
	return &Directory{
		st:       st,
		clk:      clk,
		boxes:    newCache[storage.Mailbox](clk, lookupTTL, maxMailboxes),
		users:    newCache[storage.User](clk, lookupTTL, maxMailboxes),
		programs: newCache[storage.AppPassword](clk, lookupTTL, maxMailboxes),
		grants:   newCache[[]storage.Grant](clk, lookupTTL, maxMailboxes),
		domains:  newCache[map[string]storage.Domain](clk, lookupTTL, 1),
		tiers:    newCache[map[string]storage.Tier](clk, lookupTTL, 1),
		filters:  newCache[string](clk, lookupTTL, maxMailboxes),
		scripts:  newCache[*sieve.Script](clk, keepScriptFor, keptScripts),
		auth:     newVerifier(clk, derivations()),
	}
}
