// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"pecd/signer"
)

// TestPoolOrder: who signs receipts goes before who signs acceptances, and of so
// many in a row one is the others'. Who gives up takes no slot along.
func TestPoolOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := signer.NewPool(1)
		if err := signer.Enter(p, t.Context()); err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 100)
		wait := func(ctx context.Context, name string) {
			go func() {
				if err := signer.Enter(p, ctx); err != nil {
					order <- "gave up"
					return
				}
				order <- name
				signer.Leave(p)
			}()
			synctest.Wait()
		}
		for range 3 {
			wait(t.Context(), "rest")
		}
		ending, end := context.WithCancel(signer.First(t.Context()))
		wait(ending, "never")
		for range 20 {
			wait(signer.First(t.Context()), "first")
		}
		end()
		synctest.Wait()
		if got := <-order; got != "gave up" {
			t.Fatal(got)
		}
		signer.Leave(p)
		synctest.Wait()
		close(order)
		var got []string
		for name := range order {
			got = append(got, name)
		}
		want := slices.Concat(slices.Repeat([]string{"first"}, 16), []string{"rest"}, slices.Repeat([]string{"first"}, 4), []string{"rest", "rest"})
		if !slices.Equal(got, want) {
			t.Fatalf("%q", got)
		}
		// The slot is free again.
		if err := signer.Enter(p, t.Context()); err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := signer.Enter(p, over); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}
