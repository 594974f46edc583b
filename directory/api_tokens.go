// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
	"unicode/utf8"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// The secret of a token: a prefix that scanners for leaked secrets know it by, 256
// random bits, and a checksum, so that one that was cut off or mistyped is told
// without a look at the store.
const (
	tokenPrefix = "pecd_"
	tokenRandom = 32
	tokenLength = 64 // 5 + 52 + 7
)

// Bounds of tokens. Names and numbers count among those with one scope, so that no
// body learns or uses up what is another's.
const (
	maxTokenName     = 64   // characters
	maxTokens        = 1000 // of the provider
	maxBodyTokens    = 100  // of one body's administrators
	maxMailboxTokens = 20   // of one mailbox's applications
)

// NewToken is a token of the HTTP interface to be made.
type NewToken struct {
	Name     string
	Role     storage.TokenRole
	Customer string    // for storage.TokenCustomer: the body's code
	Mailbox  string    // for storage.TokenMailbox: an address
	Expires  time.Time // zero: never
}

// CreateToken makes a token and returns its secret, which is kept nowhere.
// NotFound without its body or mailbox; Exists where one in use that is good for the
// same has that name; TooMany beyond their bound.
func (d *Directory) CreateToken(ctx context.Context, n NewToken) (t storage.APIToken, secret string, err error) {
	const op = "directory.CreateToken"
	d.writing.Lock()
	defer d.writing.Unlock()
	if t, err = d.newToken(ctx, n); err != nil {
		return t, "", fault.Wrap(op, err)
	}
	secret = newTokenSecret()
	t.Sum = sha256.Sum256([]byte(secret))
	created := ledger.Event{Kind: ledger.TokenCreated, Program: t.Name, Mailbox: strings.ToLower(n.Mailbox), To: tokenScope(t)}
	put := &storage.PutAPIToken{Token: t, Logged: func(id int64) storage.Record {
		e := created
		e.ProgramID = id
		return d.recorded(ctx, e).Record
	}}
	if err := d.st.Commit(ctx, new(storage.Step).Add(put)); err != nil {
		return t, "", fault.Wrap(op, err)
	}
	t.ID = put.ID
	return t, secret, nil
}

// newToken checks n.
func (d *Directory) newToken(ctx context.Context, n NewToken) (storage.APIToken, error) {
	const op = "directory.newToken"
	t := storage.APIToken{Name: n.Name, Role: n.Role, Customer: strings.ToLower(n.Customer), Created: d.clk.Now().UTC(), Expires: n.Expires}
	switch {
	case strings.TrimSpace(n.Name) == "" || utf8.RuneCountInString(n.Name) > maxTokenName || strings.ContainsFunc(n.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
		return t, fault.Say(op, fault.Invalid, "serve un nome, di 64 caratteri al massimo / a name is needed, of 64 characters at most")
	case !n.Expires.IsZero() && !n.Expires.After(d.clk.Now()):
		return t, fault.Say(op, fault.Invalid, "la scadenza è già passata / the end is past")
	case (n.Role == storage.TokenCustomer) != (n.Customer != "") || (n.Role == storage.TokenMailbox) != (n.Mailbox != ""):
		return t, fault.Say(op, fault.Invalid, "un token customer vuole un ente, uno mailbox una casella / a token of role customer needs a body, one of role mailbox a mailbox")
	}
	switch n.Role {
	case storage.TokenProvider:
		if err := d.May(ctx, ChangeTokens); err != nil {
			return t, err
		}
	case storage.TokenCustomer:
		if err := d.May(ctx, ChangeTokens); err != nil {
			return t, err
		}
		b, err := d.body(ctx, t.Customer)
		if err != nil {
			return t, err
		}
		t.Customer = b.Code
	case storage.TokenMailbox:
		m, err := d.MayMailbox(ctx, ChangeMailboxTokens, n.Mailbox)
		if err != nil {
			return t, err
		}
		t.Mailbox = m.ID
	default:
		return t, fault.Say(op, fault.Invalid, "ruolo sconosciuto: provider, customer o mailbox / unknown role: provider, customer or mailbox")
	}
	return t, d.roomForToken(ctx, t)
}

// roomForToken checks that another token may be added.
func (d *Directory) roomForToken(ctx context.Context, n storage.APIToken) error {
	const op = "directory.roomForToken"
	all, err := d.st.APITokens(ctx)
	if err != nil {
		return err
	}
	inUse := 0
	for _, t := range all {
		if t.Role != n.Role || t.Customer != n.Customer || t.Mailbox != n.Mailbox || !d.tokenGood(t) {
			continue
		}
		if strings.EqualFold(t.Name, n.Name) {
			return fault.Say(op, fault.Exists, "esiste già un token con questo nome / a token with this name exists")
		}
		inUse++
	}
	if inUse >= map[storage.TokenRole]int{storage.TokenProvider: maxTokens, storage.TokenCustomer: maxBodyTokens, storage.TokenMailbox: maxMailboxTokens}[n.Role] {
		return fault.Say(op, fault.TooMany, "troppi token in uso / too many tokens in use")
	}
	return nil
}

// tokenGood reports whether a token opens anything now.
func (d *Directory) tokenGood(t storage.APIToken) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || d.clk.Now().Before(t.Expires))
}

// Token returns the token that a secret belongs to. Denied where there is none, or
// it has ended. It asks the store each time, so that a revocation holds at once, on
// every node.
func (d *Directory) Token(ctx context.Context, secret string) (storage.APIToken, error) {
	const op = "directory.Token"
	refused := fault.Say(op, fault.Denied, "token non valido, scaduto o revocato / token not valid, expired or revoked")
	if !tokenForm(secret) {
		return storage.APIToken{}, refused
	}
	// The look-up is by the SHA-256 of the secret: what its time may tell is about
	// the sum, of which nobody can choose a part.
	t, err := d.st.APIToken(ctx, sha256.Sum256([]byte(secret)))
	switch {
	case fault.Is(err, fault.NotFound) || err == nil && !d.tokenGood(t):
		return storage.APIToken{}, refused
	case err != nil:
		return storage.APIToken{}, fault.Wrap(op, err)
	}
	return t, nil
}

// Tokens lists the tokens that who acts may end, ended ones too, by ID: a body's
// administrator those of its mailboxes.
func (d *Directory) Tokens(ctx context.Context) ([]storage.APIToken, error) {
	const op = "directory.Tokens"
	all, err := d.st.APITokens(ctx)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	var own []storage.APIToken
	for _, t := range all {
		_, err := d.mayToken(ctx, t)
		switch {
		case err == nil:
			own = append(own, t)
		case !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied):
			return nil, fault.Wrap(op, err)
		}
	}
	return own, nil
}

// mayToken returns the mailbox of a token, "" for none, if who acts may end it.
func (d *Directory) mayToken(ctx context.Context, t storage.APIToken) (address string, err error) {
	if t.Mailbox == 0 {
		return "", d.May(ctx, ChangeTokens)
	}
	m, err := d.st.MailboxByID(ctx, t.Mailbox)
	if err != nil {
		return "", err
	}
	m, err = d.MayMailbox(ctx, ChangeMailboxTokens, m.Address)
	return m.Address, err
}

// RevokeToken ends a token at once. NotFound where none of this ID is in use, or
// who acts may not end it.
func (d *Directory) RevokeToken(ctx context.Context, id int64) error {
	const op = "directory.RevokeToken"
	d.writing.Lock()
	defer d.writing.Unlock()
	all, err := d.Tokens(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	for _, t := range all {
		if t.ID != id || !t.Revoked.IsZero() {
			continue
		}
		e := ledger.Event{Kind: ledger.TokenRevoked, Program: t.Name, ProgramID: t.ID, From: tokenScope(t)}
		if e.Mailbox, err = d.mayToken(ctx, t); err != nil {
			return fault.Wrap(op, err)
		}
		t.Revoked = d.clk.Now().UTC()
		return fault.Wrap(op, d.st.Commit(ctx, new(storage.Step).Add(&storage.PutAPIToken{Token: t}, d.recorded(ctx, e))))
	}
	return fault.Say(op, fault.NotFound, "nessun token in uso con questo numero / no token in use of this number")
}

// tokenScope tells for the log what a token is good for.
func tokenScope(t storage.APIToken) string {
	scope := string(t.Role)
	if t.Customer != "" {
		scope += " " + t.Customer
	}
	if !t.Expires.IsZero() {
		scope += ", " + t.Expires.UTC().Format(time.RFC3339)
	}
	return scope
}

func newTokenSecret() string {
	b := make([]byte, tokenRandom)
	rand.Read(b) // never fails
	return tokenPrefix + tokenText(b) + tokenText(tokenSum(b))
}

func tokenText(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

func tokenSum(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }

// tokenForm reports whether a text is a token as it was made: prefix, digits and
// checksum.
func tokenForm(s string) bool {
	digits, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) != tokenLength || digits != strings.ToLower(digits) {
		return false
	}
	var b [tokenRandom]byte
	split := len(digits) - len(tokenText(tokenSum(nil)))
	n, err := base32.StdEncoding.WithPadding(base32.NoPadding).Decode(b[:], []byte(strings.ToUpper(digits[:split])))
	return err == nil && n == tokenRandom && digits == tokenText(b[:])+tokenText(tokenSum(b[:]))
}

// TokenActor names a token in the log.
func TokenActor(t storage.APIToken) string { return fmt.Sprintf("token:%s#%d", t.Name, t.ID) }
