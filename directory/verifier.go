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

// A password that was right is remembered until it was not used for verifiedIdle,
// so that a mail client which looks every few minutes costs one derivation in an
// hour, and never for longer than verifiedLife. Which part of its last half an
// entry gets differs from one to the next: all clients come back within minutes
// of a restart, and must not all have to be derived anew an hour later.
const (
	verifiedIdle = 15 * time.Minute
	verifiedLife = time.Hour
	maxVerified  = 50000 // 9 MB
)

const (
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
	v := &verifier{derive: argon2id, right: newCache[struct{}](clk, verifiedIdle, maxVerified), turns: newTurns(derivations, maxQueueing)}
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
		v.right.putFor(lifeOf(key), key, struct{}{}, mark)
	}
	return good, nil
}

// lifeOf returns how long what is remembered under a key may be used: from half of
// verifiedLife up to it, spread by the key, which nobody outside can tell.
func lifeOf(key string) time.Duration {
	const half = verifiedLife / 2
	return half + half*time.Duration(binary.BigEndian.Uint16([]byte(key)))/(1<<16-1)
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
