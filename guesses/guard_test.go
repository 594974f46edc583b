// SPDX-License-Identifier: EUPL-1.2

package guesses_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pecd/clock"
	"pecd/guesses"
)

// TestGuard: who is turned away is told once a quarter of an hour with how often,
// also where telling failed before, and counted by protocol and reason.
func TestGuard(t *testing.T) {
	clk := clock.NewManual(time.Unix(1e9, 0))
	var told [][]guesses.Turned
	broken := true
	var opened []string
	g := guesses.NewGuard(guesses.Config{
		Counter: guesses.NewLocal(clk), Clock: clk, Logger: discard(),
		Report: func(_ context.Context, all []guesses.Turned) error {
			if broken {
				return errors.New("no disk")
			}
			told = append(told, all)
			return nil
		},
		Pressed: func(login string) { opened = append(opened, login) },
	})
	try := func(n int, protocol, login string) guesses.Try {
		return guesses.Try{Protocol: protocol, From: stranger(n), Login: login}
	}
	ctx := t.Context()
	for n := range 20 {
		g.Failed(ctx, try(n, "imap", anna), true)
		g.Failed(ctx, try(500, "smtp", fmt.Sprint("nobody", n)), false)
	}
	for range 3 {
		if g.Allowed(ctx, try(1000, "imap", anna)) || g.Allowed(ctx, try(500, "smtp", anna)) {
			t.Fatal("allowed")
		}
	}
	guesses.Report(g, ctx) // in vain
	broken = false
	g.Allowed(ctx, try(1000, "imap", anna))
	guesses.Report(g, ctx)
	guesses.Report(g, ctx) // of nobody
	want := []guesses.Turned{{Account: anna, Count: 4}, {Client: stranger(500), Count: 3}}
	if len(told) != 1 || !slices.Equal(told[0], want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	counted := []guesses.Refusals{{"imap", guesses.ByAccount, 4}, {"imap", guesses.WrongGuess, 20}, {"smtp", guesses.ByClient, 3}, {"smtp", guesses.WrongGuess, 20}}
	if got := g.Refusals(); !slices.Equal(got, counted) {
		t.Errorf("%+v, want %+v", got, counted)
	}

	g.Passed(ctx, try(7, "imap", "bea"), "bea")
	g.Passed(ctx, try(1000, "imap", anna), anna)
	g.Passed(ctx, try(1000, "imap", anna), anna) // known by now
	if !slices.Equal(opened, []string{anna}) {
		t.Errorf("worth a look: %q", opened)
	}
}

// TestGuardRun: what is left at the end is told too.
func TestGuardRun(t *testing.T) {
	clk := clock.NewManual(time.Unix(1e9, 0))
	told := make(chan []guesses.Turned, 9)
	g := guesses.NewGuard(guesses.Config{Counter: guesses.NewLocal(clk), Clock: clk, Logger: discard(), Report: func(_ context.Context, all []guesses.Turned) error {
		told <- all
		return nil
	}})
	for range 20 {
		g.Failed(t.Context(), guesses.Try{Protocol: "pop3", From: home}, false)
	}
	g.Allowed(t.Context(), guesses.Try{Protocol: "pop3", From: home})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Run(ctx); close(done) }()
	cancel()
	<-done
	if all := <-told; len(all) != 1 || all[0] != (guesses.Turned{Client: home, Count: 1}) {
		t.Errorf("%+v", all)
	}
}
