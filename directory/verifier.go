// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"time"

	"pecd/clock"
	"pecd/fault"
)

const (
	verifiedTTL  = 5 * time.Minute
	maxVerified  = 10000
	maxQueueing  = 256 // logins that wait for their turn
	processKeyLn = 32
)

// verifier checks passwords with bounded memory and remembers those that were
// right. What it remembers is an HMAC over login, hash and password under a key
// of this process: a changed hash finds nothing, and memory holds no password.
type verifier struct {
	derive derive
	key    [processKeyLn]byte
	right  *cache[struct{}]
	turns  *turns
}

// newVerifier computes at most so many hashes at once: each takes 19 MiB and a
// core.
func newVerifier(clk clock.Clock, derivations int) *verifier {
	v := &verifier{derive: argon2id, right: newCache[struct{}](clk, verifiedTTL, maxVerified), turns: newTurns(derivations, maxQueueing)}
	rand.Read(v.key[:]) // never fails
	return v
}

// derivations is how many passwords are derived at once: half of the cores are
// left to mail, however many log in.
func derivations() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func (v *verifier) hash(ctx context.Context, password string) (string, error) {
	if err := v.turns.enter(ctx); err != nil {
		return "", err
	}
	defer v.turns.leave()
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
	if err := v.turns.enter(ctx); err != nil {
		return false, err
	}
	defer v.turns.leave()
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
