// SPDX-License-Identifier: EUPL-1.2

package storage

// The folders of what was intercepted. The first is one of a new mailbox.
const (
	JunkUse        = `\Junk`
	JunkName       = "Posta indesiderata"
	QuarantineName = "Quarantena"
)

// Protection is what is done about spam and dangerous contents (S4-066) in a
// domain or a mailbox.
type Protection struct {
	Scope  string // a domain or an address, lower case
	Policy []byte // in an encoding of the reader's, at most MaxPolicy octets
}

// MaxPolicy is how many octets the rules of a scope may have.
const MaxPolicy = 4 << 10

// PutProtection sets the rules of a scope; without a policy they are removed.
type PutProtection struct{ Protection Protection }

func (*PutProtection) op() {}
