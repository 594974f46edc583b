// SPDX-License-Identifier: EUPL-1.2

// Package guesses bounds how fast passwords may be tried, by whatever protocol:
// for one client network and for one account, in this process or together with
// others over Redis. It delays, it never locks out: who waits may try again, and
// a network from which an account was opened in the last thirty days is not held
// up by what strangers try on that account (ADR 0029).
package guesses

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// The bounds. A client has twenty wrong passwords, then ten a minute; an account
// has twenty from strangers, then two a minute.
const (
	clientBurst   = 20
	clientRefill  = 6 * time.Second
	accountBurst  = 20
	accountRefill = 30 * time.Second

	// knownFor is how long a network from which an account was opened is no stranger to it.
	knownFor = 30 * 24 * time.Hour
	// knownEach is how many networks of one account are remembered.
	knownEach = 16
)

// Reason says why a password was not taken.
type Reason string

// The reasons. They are label values of a metric.
const (
	None       Reason = ""            // it may be tried
	ByClient   Reason = "address"     // too many wrong ones from this client network
	ByAccount  Reason = "account"     // too many wrong ones for this account, and the client is a stranger to it
	WrongGuess Reason = "credentials" // it was looked at, and was wrong
)

// Standing is how a client stands with an account.
type Standing struct {
	Refused Reason // None, ByClient or ByAccount
	// Account is the existing account whose count refuses, "" where it is not known.
	Account string
	// Stranger is set where the account was not opened from this network lately.
	Stranger bool
	// Outstanding is how many wrong passwords of strangers are still held against
	// the account, 0 … 20.
	Outstanding int
}

// Blocked is a client network or an account that has to wait now.
type Blocked struct {
	Client  netip.Prefix // zero for an account
	Account string       // "" for a client, and where nobody has such a login
	Until   time.Time    // when the next password may be tried
}

// Counter counts wrong passwords. from is the client's network; login is what the
// client says it is, in its canonical form and whether there is such an account or
// not, "" where it says nothing. Safe for concurrent use.
//
// All logins are counted in 65,536 slots by a hash, those that exist and those
// that do not: a count must not tell which do, and what people type by mistake,
// their passwords, must not be kept.
type Counter interface {
	// Check tells whether a password may be tried. It changes nothing.
	Check(ctx context.Context, from netip.Prefix, login string) Standing
	// Failed counts a wrong password; exists says that login is somebody's.
	Failed(ctx context.Context, from netip.Prefix, login string, exists bool)
	// Proved makes from a known network of login, which proved who he is, and
	// returns how it stood before.
	Proved(ctx context.Context, from netip.Prefix, login string) Standing
	// Recall is Proved for a login of before the start, at an instant.
	Recall(from netip.Prefix, login string, at time.Time)
	// Blocked lists who has to wait now: clients, then accounts, in their order.
	Blocked(ctx context.Context) ([]Blocked, error)
	// Clear forgets what is held against a network, against a login, or with
	// neither against all. Known networks stay.
	Clear(ctx context.Context, from netip.Prefix, login string) error
}

// slot is where a login is counted.
func slot(login string) uint16 {
	sum := sha256.Sum256([]byte("pecd guesses " + login))
	return binary.BigEndian.Uint16(sum[:])
}

// spent is when a whole burst is back after one more wrong password. Tries under
// way when the burst ends still count; they do not pile up.
func spent(full, now time.Time, burst int, refill time.Duration) time.Time {
	if full.Before(now) {
		full = now
	}
	full = full.Add(refill)
	if most := now.Add(time.Duration(burst) * refill); full.After(most) {
		return most
	}
	return full
}

// free is when the next password may be tried.
func free(full time.Time, burst int, refill time.Duration) time.Time {
	return full.Add(-time.Duration(burst-1) * refill)
}

// outstanding is how many wrong passwords are held against an account.
func outstanding(full, now time.Time) int {
	if !full.After(now) {
		return 0
	}
	return int((full.Sub(now) + accountRefill - 1) / accountRefill)
}
