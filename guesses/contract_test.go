// SPDX-License-Identifier: EUPL-1.2

package guesses_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/guesses"
)

func TestMain(m *testing.M) {
	if inChild() {
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/redis/go-redis/v9/internal/pool.startGlobalTimeCache.func1"))
}

const anna = "anna@alfa.example"

// home is the network the holder uses, office another one of his.
var (
	home   = netip.MustParsePrefix("192.0.2.1/32")
	office = netip.MustParsePrefix("192.0.2.2/32")
)

// stranger is the n-th network of a distributed attack.
func stranger(n int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.%d/32", n>>16, n>>8&255, n&255))
}

// contract is what every Counter promises. make returns one that knows nothing.
func contract(t *testing.T, make func(t *testing.T, clk clock.Clock) guesses.Counter) {
	for name, check := range map[string]func(t *testing.T, c guesses.Counter, clk *clock.Manual){
		"Client": ofClient, "Account": ofAccount, "Strangers": ofStrangers, "Existence": ofExistence, "Known": ofKnown, "List": ofList, "Tokens": ofTokens, "Recall": ofRecall,
	} {
		t.Run(name, func(t *testing.T) {
			clk := clock.NewManual(time.Unix(1_780_000_000, 0))
			check(t, make(t, clk), clk)
		})
	}
}

func refused(t *testing.T, c guesses.Counter, from netip.Prefix, login string, want guesses.Reason) {
	t.Helper()
	if got := c.Check(t.Context(), from, login).Refused; got != want {
		t.Fatalf("%s for %q: refused %q, want %q", from, login, got, want)
	}
}

// ofClient: twenty wrong passwords of one network, then ten a minute.
func ofClient(t *testing.T, c guesses.Counter, clk *clock.Manual) {
	for n := range 20 {
		refused(t, c, home, "", guesses.None)
		c.Failed(t.Context(), home, fmt.Sprint("nobody", n), false)
	}
	refused(t, c, home, "", guesses.ByClient)
	refused(t, c, home, anna, guesses.ByClient)
	refused(t, c, office, anna, guesses.None)
	for range 50 { // under way when the burst ended: they do not pile up
		c.Failed(t.Context(), home, "", false)
	}
	clk.Advance(6 * time.Second)
	refused(t, c, home, "", guesses.None)
	c.Failed(t.Context(), home, "", false)
	refused(t, c, home, "", guesses.ByClient)
	clk.Advance(2 * time.Minute)
	for range 20 {
		refused(t, c, home, "", guesses.None)
		c.Failed(t.Context(), home, "", false)
	}
	refused(t, c, home, "", guesses.ByClient)
}

// ofAccount: an attack from many networks slows strangers down, and not those
// from where the account was opened.
func ofAccount(t *testing.T, c guesses.Counter, clk *clock.Manual) {
	c.Proved(t.Context(), home, anna)
	for n := range 30 {
		c.Failed(t.Context(), stranger(n), anna, true)
	}
	s := c.Check(t.Context(), stranger(1000), anna)
	if s.Refused != guesses.ByAccount || s.Account != anna || !s.Stranger {
		t.Fatalf("a stranger after thirty wrong passwords of others: %+v", s)
	}
	refused(t, c, home, anna, guesses.None)
	refused(t, c, stranger(1000), "bea@alfa.example", guesses.None)
	clk.Advance(30 * time.Second)
	refused(t, c, stranger(1000), anna, guesses.None)
	s = c.Proved(t.Context(), office, anna) // the holder, elsewhere
	if !s.Stranger || s.Outstanding != 19 {
		t.Fatalf("before the login: %+v", s)
	}
	c.Failed(t.Context(), stranger(31), anna, true)
	refused(t, c, stranger(1000), anna, guesses.ByAccount)
	refused(t, c, office, anna, guesses.None)
	if s := c.Proved(t.Context(), office, anna); s.Stranger {
		t.Fatal("a known network is a stranger")
	}
}

// ofStrangers: what the holder's own devices get wrong is not held against him
// elsewhere, and is bounded by their network.
func ofStrangers(t *testing.T, c guesses.Counter, _ *clock.Manual) {
	c.Proved(t.Context(), home, anna)
	for range 40 {
		c.Failed(t.Context(), home, anna, true)
	}
	refused(t, c, home, anna, guesses.ByClient)
	refused(t, c, office, anna, guesses.None)
	if s := c.Check(t.Context(), office, anna); s.Outstanding != 0 {
		t.Fatalf("held against the account: %+v", s)
	}
}

// ofExistence: a login that nobody has behaves like one that somebody has.
func ofExistence(t *testing.T, c guesses.Counter, _ *clock.Manual) {
	for n := range 20 {
		refused(t, c, stranger(1000), "nobody@alfa.example", guesses.None)
		c.Failed(t.Context(), stranger(n), "nobody@alfa.example", false)
	}
	s := c.Check(t.Context(), stranger(1000), "nobody@alfa.example")
	if s.Refused != guesses.ByAccount || s.Account != "" {
		t.Fatalf("%+v", s)
	}
}

// ofKnown: thirty days, and sixteen networks of an account.
func ofKnown(t *testing.T, c guesses.Counter, clk *clock.Manual) {
	c.Proved(t.Context(), home, anna)
	clk.Advance(30*24*time.Hour - time.Second)
	if c.Check(t.Context(), home, anna).Stranger {
		t.Fatal("forgotten before its time")
	}
	clk.Advance(time.Second)
	if !c.Check(t.Context(), home, anna).Stranger {
		t.Fatal("known after its time")
	}
	c.Proved(t.Context(), home, anna)
	for n := range 16 {
		clk.Advance(time.Second)
		c.Proved(t.Context(), stranger(n), anna)
	}
	if !c.Check(t.Context(), home, anna).Stranger || c.Check(t.Context(), stranger(0), anna).Stranger {
		t.Fatal("not the sixteen newest are known")
	}
	if !c.Check(t.Context(), stranger(0), "bea@alfa.example").Stranger {
		t.Fatal("known to another account")
	}
}

// ofList: operators see who waits, and can end it.
func ofList(t *testing.T, c guesses.Counter, clk *clock.Manual) {
	for range 20 {
		c.Failed(t.Context(), home, "", false)
	}
	for n := range 20 {
		c.Failed(t.Context(), stranger(n), anna, true)
		c.Failed(t.Context(), stranger(n+100), "a password", false)
	}
	c.Failed(t.Context(), office, "bea@alfa.example", true)
	all, err := c.Blocked(t.Context())
	if err != nil || len(all) != 3 || all[0].Client != home || all[1].Account != "" || all[1].Client.IsValid() || all[2].Account != anna {
		t.Fatalf("%+v, %v", all, err)
	}
	if at := clk.Now(); !all[0].Until.Equal(at.Add(6*time.Second)) || !all[2].Until.Equal(at.Add(30*time.Second)) {
		t.Errorf("%v: %+v", at, all)
	}
	ctx := context.Background()
	for _, clear := range []struct {
		from  netip.Prefix
		login string
		left  int
	}{{home, "", 2}, {netip.Prefix{}, anna, 1}, {netip.Prefix{}, "", 0}} {
		if err := c.Clear(ctx, clear.from, clear.login); err != nil {
			t.Fatal(err)
		}
		if all, err := c.Blocked(ctx); err != nil || len(all) != clear.left {
			t.Fatalf("after Clear(%v, %q): %+v, %v", clear.from, clear.login, all, err)
		}
	}
	refused(t, c, home, anna, guesses.None)
}

// ofRecall: logins of before the start make known networks, as old as they are.
func ofRecall(t *testing.T, c guesses.Counter, clk *clock.Manual) {
	now := clk.Now()
	for n := range 20 { // newest first
		c.Recall(stranger(n), anna, now.Add(-time.Duration(n)*time.Hour))
	}
	c.Recall(home, "bea", now.Add(-30*24*time.Hour))
	c.Proved(t.Context(), office, "carla")
	c.Recall(office, "carla", now.Add(-29*24*time.Hour))
	clk.Advance(2 * 24 * time.Hour)
	for _, known := range []struct {
		from  netip.Prefix
		login string
		want  bool
	}{{stranger(0), anna, true}, {home, "bea", false}, {office, "carla", true}} {
		if got := !c.Check(t.Context(), known.from, known.login).Stranger; got != known.want {
			t.Errorf("%s known to %s: %v", known.from, known.login, got)
		}
	}
}

// ofTokens: what names no login counts for the address alone.
func ofTokens(t *testing.T, c guesses.Counter, _ *clock.Manual) {
	for n := range 40 {
		c.Failed(t.Context(), stranger(n), "", false)
	}
	refused(t, c, home, "", guesses.None)
}
