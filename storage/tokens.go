// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// TokenRole says for whom a token of the HTTP interface acts.
type TokenRole string

// The roles of tokens.
const (
	TokenProvider TokenRole = "provider" // the provider's administration
	TokenCustomer TokenRole = "customer" // the administrator of one public body
	TokenMailbox  TokenRole = "mailbox"  // the application of one mailbox
)

// APIToken opens the HTTP interface to a program.
type APIToken struct {
	ID       int64
	Name     string
	Sum      [32]byte // SHA-256 of the secret, which the provider generated
	Role     TokenRole
	Customer string    // Customer.Code for TokenCustomer, "" otherwise
	Mailbox  MailboxID // for TokenMailbox, 0 otherwise
	Created  time.Time
	Expires  time.Time // zero: never
	Revoked  time.Time // zero: not
}

// RecoveryKind is how a user proves that a new password is his to set.
type RecoveryKind string

// The kinds.
const (
	RecoveryLink RecoveryKind = "link" // a secret of 256 bits in a link
	RecoveryCode RecoveryKind = "code" // a short code, bound to its login and to few tries
)

// Recovery lets a user set a new password once (S4-059, S4-115).
type Recovery struct {
	ID      int64
	Kind    RecoveryKind
	Login   string
	Sum     []byte // of a link: SHA-256 of its secret; of a code: a salt of 16 octets and SHA-256 over salt and code
	By      string // how it came about, for the log
	Created time.Time
	Expires time.Time
	Tries   int
	Used    time.Time // zero: not
}

// Tokens reads the tokens of the HTTP interface and the recoveries.
type Tokens interface {
	// APITokens lists all, ended ones too, by ID.
	APITokens(ctx context.Context) ([]APIToken, error)
	// APIToken returns the one with a sum, whatever its state.
	APIToken(ctx context.Context, sum [32]byte) (APIToken, error)
	// RecoveryLink returns the link with a sum, whatever its state.
	RecoveryLink(ctx context.Context, sum [32]byte) (Recovery, error)
	// Recoveries lists those of a login that began at or after since, newest first.
	Recoveries(ctx context.Context, login string, since time.Time) ([]Recovery, error)
}

// PutAPIToken creates a token (ID 0; Exists if its sum is there), or sets the end
// of an existing one.
type PutAPIToken struct {
	Token APIToken
	// Logged makes the record of it as in PutAppPassword.
	Logged func(id int64) Record

	ID int64 // set by Commit
}

// AddRecovery begins a recovery. Those that began a day before it are forgotten.
type AddRecovery struct{ Recovery Recovery }

// TryRecovery counts a try of a recovery, before it is looked at: Conflict where
// it was used or has had Most tries.
type TryRecovery struct {
	ID   int64
	Most int
}

// UseRecovery ends a recovery: Conflict where it was used before.
type UseRecovery struct {
	ID int64
	At time.Time
}

// EndRecoveries ends all that a login has: its password was set.
type EndRecoveries struct {
	Login string
	At    time.Time
}

func (*PutAPIToken) op()   {}
func (*AddRecovery) op()   {}
func (*TryRecovery) op()   {}
func (*UseRecovery) op()   {}
func (*EndRecoveries) op() {}
