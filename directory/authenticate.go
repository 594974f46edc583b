// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// Principal is an authenticated user with what he may do.
type Principal struct {
	Login  string // canonical
	Grants []storage.Grant
}

// Grant returns what the user may do with the mailbox of an address.
func (p Principal) Grant(address string) (storage.Grant, bool) {
	a, _, why := canonicalAddress(address)
	if why != "" {
		return storage.Grant{}, false
	}
	for _, g := range p.Grants {
		if strings.EqualFold(g.Address, a) {
			return g, true
		}
	}
	return storage.Grant{}, false
}

// MaySendAs reports whether the user may send from the mailbox of an address.
func (p Principal) MaySendAs(address string) bool {
	g, ok := p.Grant(address)
	return ok && g.Permission&storage.MaySend != 0
}

// Authenticate checks a login and its password. Every refusal is the same error
// of kind Denied after the same work, whether the user exists or not; Temporary
// when too many logins wait already. A verification that succeeded is remembered
// for five minutes; the user and his grants are read from the store every time.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (Principal, error) {
	const op = "directory.Authenticate"
	name, known := canonicalLogin(login)
	var u storage.User
	if known {
		var err error
		u, err = d.st.User(ctx, name)
		if err != nil {
			if !fault.Is(err, fault.NotFound) {
				return Principal{}, fault.Wrap(op, err)
			}
			known = false
		}
	}
	if len(password) == 0 || len(password) > maxPassword {
		known, password = false, "-"
	}
	if !known || u.Hash == "" {
		known, u.Hash = false, noSuchUserHash
	}
	good, err := d.auth.verify(ctx, name, u.Hash, password)
	if err != nil {
		return Principal{}, fault.Wrap(op, err)
	}
	if !good || !known || u.Disabled {
		return Principal{}, fault.Say(op, fault.Denied, "nome utente o password errati / wrong user name or password")
	}
	grants, err := d.st.Grants(ctx, name)
	if err != nil {
		return Principal{}, fault.Wrap(op, err)
	}
	return Principal{Login: name, Grants: grants}, nil
}

// MailboxFor returns the mailbox that a login opens where the protocol names
// only one: the one whose address is the login, or else the first by address
// that the user may read. Denied when there is none.
func (d *Directory) MailboxFor(ctx context.Context, login string) (storage.Mailbox, error) {
	const op = "directory.MailboxFor"
	name, ok := canonicalLogin(login)
	if !ok {
		return storage.Mailbox{}, fault.New(op, fault.Denied, nil)
	}
	grants, err := d.st.Grants(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	address := ""
	for _, g := range grants {
		if g.Permission&storage.MayRead == 0 {
			continue
		}
		if strings.EqualFold(g.Address, name) {
			address = g.Address
			break
		}
		if address == "" {
			address = g.Address
		}
	}
	if address == "" {
		return storage.Mailbox{}, fault.Say(op, fault.Denied, "nessuna casella assegnata all'utente / the user has no mailbox")
	}
	m, err := d.Mailbox(ctx, address)
	return m, fault.Wrap(op, err)
}

const (
	verifiedTTL  = 5 * time.Minute
	maxVerified  = 10000
	maxDeriving  = 2   // hashes computed at once: each takes 19 MiB and a core
	maxQueueing  = 256 // logins that wait for their turn
	processKeyLn = 32
)

// verifier checks passwords with bounded memory and remembers those that were
// right. What it remembers is an HMAC over login, hash and password under a key
// of this process: a changed hash finds nothing, and memory holds no password.
type verifier struct {
	derive  derive
	key     [processKeyLn]byte
	right   *cache[struct{}]
	slots   chan struct{}
	waiting atomic.Int32
}

func newVerifier(clk clock.Clock) *verifier {
	v := &verifier{derive: argon2id, right: newCache[struct{}](clk, verifiedTTL, maxVerified), slots: make(chan struct{}, maxDeriving)}
	rand.Read(v.key[:]) // never fails
	return v
}

func (v *verifier) enter(ctx context.Context) error {
	if v.waiting.Add(1) > maxQueueing {
		v.waiting.Add(-1)
		return fault.Say("directory.verify", fault.Temporary, "troppi accessi in corso, riprovare / too many logins, try again")
	}
	defer v.waiting.Add(-1)
	select {
	case v.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.New("directory.verify", fault.Temporary, ctx.Err())
	}
}

func (v *verifier) leave() { <-v.slots }

func (v *verifier) hash(ctx context.Context, password string) (string, error) {
	if err := v.enter(ctx); err != nil {
		return "", err
	}
	defer v.leave()
	return hashWith(password, v.derive)
}

// verify reports whether password matches a PHC string. One that cannot be read
// matches nothing, after the usual work.
func (v *verifier) verify(ctx context.Context, login, stored, password string) (bool, error) {
	p, err := parsePHC(stored)
	readable := err == nil
	if !readable {
		if p, err = parsePHC(noSuchUserHash); err != nil {
			return false, fault.New("directory.verify", fault.Internal, err)
		}
	}
	key := v.remembered(login, stored, password)
	if _, _, ok := v.right.get(key); ok {
		return true, nil
	}
	if err := v.enter(ctx); err != nil {
		return false, err
	}
	defer v.leave()
	// A client opens several connections at once: the first may have done the
	// work while this one waited.
	_, mark, ok := v.right.get(key)
	if ok {
		return true, nil
	}
	good := p.matches(password, v.derive) && readable
	if good {
		v.right.put(key, struct{}{}, mark)
	}
	return good, nil
}

func (v *verifier) remembered(login, stored, password string) string {
	m := hmac.New(sha256.New, v.key[:])
	for _, s := range [...]string{login, stored, password} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		m.Write(n[:])
		m.Write([]byte(s))
	}
	return string(m.Sum(nil))
}
