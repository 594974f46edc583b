// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
)

func TestHashPasswordRoundTrip(t *testing.T) {
	h, err := HashPassword("Pàsswörd 1!")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q", h)
	}
	p, err := parsePHC(h)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{
		"Pàsswörd 1!":              true,
		"Pa\u0300sswo\u0308rd 1!":  true, // decomposed, as some clients send it
		"pàsswörd 1!":              false,
		"Pàsswörd 1!\x00":          false,
		strings.Repeat("x", 1<<10): false,
	} {
		if got := p.matches(password, argon2id); got != want {
			t.Errorf("%.20q: %v", password, got)
		}
	}
	if again, _ := HashPassword("Pàsswörd 1!"); again == h {
		t.Error("no fresh salt")
	}
	for _, bad := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if _, err := HashPassword(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d octets: %v", len(bad), err)
		}
	}
}

func TestParsePHCIsBounded(t *testing.T) {
	const salt, sum = "c2FsdHNhbHRzYWx0c2FsdA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	ok := []string{
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=65536,t=16,p=8$" + salt + "$" + sum,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + sum,
		noSuchUserHash,
	}
	for _, s := range ok {
		if _, err := parsePHC(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	bad := []string{
		"", "$", "plain", "{SHA}abc",
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=99999999999999999999,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=16,t=2,p=4$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=17,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=9$" + salt + "$" + sum,
		"$argon2id$v=19$t=2,m=19456,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=2$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$AAAA",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum + "$x",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$!!" + sum,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 600),
		"x$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum,
	}
	for _, s := range bad {
		if _, err := parsePHC(s); err == nil {
			t.Errorf("%s: accepted", s)
		}
	}
}

// countingVerifier returns a verifier whose derivation is counted, and cheap.
func countingVerifier(clk clock.Clock) (*verifier, *atomic.Int32) {
	v, n := newVerifier(clk, 2), new(atomic.Int32)
	v.derive = func(password []byte, p phc) []byte {
		n.Add(1)
		p.memory, p.time = 8, 1
		return argon2id(password, p)
	}
	return v, n
}

func TestVerifierRemembersWhatIsUsed(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	v, n := countingVerifier(clk)
	ctx := context.Background()
	h, err := v.hash(ctx, "first password")
	if err != nil {
		t.Fatal(err)
	}
	h2, err := v.hash(ctx, "second password")
	if err != nil {
		t.Fatal(err)
	}
	check := func(login, hash, password string, want bool, work int32) {
		t.Helper()
		n.Store(0)
		got, err := v.verify(ctx, login, hash, password)
		if err != nil || got != want || n.Load() != work {
			t.Errorf("verify: %v, %v with %d derivations; want %v with %d", got, err, n.Load(), want, work)
		}
	}
	check("a", h, "first password", true, 1)
	check("a", h, "first password", true, 0)
	check("b", h, "first password", true, 1)   // another login is another entry
	check("a", h2, "first password", false, 1) // the hash changed
	check("a", h, "wrong", false, 1)
	check("a", h, "wrong", false, 1) // a refusal is not remembered
	check("a", "no hash at all", "first password", false, 1)
	clk.Advance(verifiedIdle - 1)
	check("a", h, "first password", true, 0)
	clk.Advance(verifiedIdle)
	check("a", h, "first password", true, 1) // nobody used it

	// A client that looks every five minutes is derived once in half an hour to an
	// hour, and use does not keep an entry beyond that.
	began := clk.Now()
	for n.Store(0); n.Load() == 0; {
		clk.Advance(5 * time.Minute)
		if good, err := v.verify(ctx, "a", h, "first password"); err != nil || !good {
			t.Fatal(good, err)
		}
	}
	if d := clk.Now().Sub(began); d < verifiedLife/2 || d >= verifiedLife+5*time.Minute {
		t.Errorf("derived anew after %v", d)
	}
	// Another hash finds nothing, however much this one was used.
	check("a", h2, "first password", false, 1)
}

// TestVerifiedLivesAreSpread: what was derived within a minute is not all derived
// anew within another.
func TestVerifiedLivesAreSpread(t *testing.T) {
	v := newVerifier(clock.NewManual(time.Unix(0, 0)), 1)
	const logins, parts = 6000, 6
	var in [parts]int
	for i := range logins {
		life := lifeOf(v.remembered(fmt.Sprint("login", i), "hash", "password"))
		if life < verifiedLife/2 || life > verifiedLife {
			t.Fatalf("a life of %v", life)
		}
		in[min(parts-1, int((life-verifiedLife/2)*2*parts/verifiedLife))]++
	}
	for i, n := range in {
		if n < logins/parts*8/10 || n > logins/parts*12/10 {
			t.Errorf("%d of %d in part %d of %d", n, logins, i, parts)
		}
	}
}

// TestVerifierMemory: what is remembered has a bound in number and in octets.
func TestVerifierMemory(t *testing.T) {
	v := newVerifier(clock.NewManual(time.Unix(0, 0)), 1)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range maxVerified + 1000 {
		v.right.putFor(verifiedLife, v.remembered(strconv.Itoa(i), "hash", "password"), struct{}{}, 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := v.right.order.Len(); n != maxVerified {
		t.Errorf("%d remembered", n)
	}
	got := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%.1f MB", float64(got)/1e6)
	if got > 16e6 {
		t.Errorf("%d octets for %d entries", got, maxVerified)
	}
	runtime.KeepAlive(v)
}

func TestVerifierRunsTwoAtOnceAndBoundsTheQueue(t *testing.T) {
	const maxDeriving = 2
	v := newVerifier(clock.NewManual(time.Unix(0, 0)), maxDeriving)
	var running, most atomic.Int32
	gate := make(chan struct{})
	v.derive = func(_ []byte, p phc) []byte {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		<-gate
		running.Add(-1)
		return make([]byte, len(p.sum))
	}
	var wg sync.WaitGroup
	var refused atomic.Int32
	const logins = maxQueueing + 50
	for range logins {
		wg.Go(func() {
			if _, err := v.verify(context.Background(), "x", noSuchUserHash, "wrong"); fault.Is(err, fault.Temporary) {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	for refused.Load() < logins-maxQueueing-maxDeriving {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.verify(ctx, "x", noSuchUserHash, "wrong"); !fault.Is(err, fault.Temporary) {
		t.Errorf("cancelled: %v", err)
	} else if !errors.Is(err, context.Canceled) && fault.TextOf(err) == "" {
		t.Errorf("cancelled: %v", err)
	}
	close(gate)
	wg.Wait()
	if m := most.Load(); m != maxDeriving {
		t.Errorf("%d derivations at once", m)
	}
}
