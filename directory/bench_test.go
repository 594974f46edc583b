// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"testing"

	"pecd/storage"
)

// BenchmarkLogin is what a login costs that polls: the password was right before,
// or it is an application's; and what a session pays for each command.
func BenchmarkLogin(b *testing.B) {
	h := newHouse(b)
	h.mailbox("gruppo@alfa.example", "strutturata")
	_, secret := h.program(NewProgram{Login: "gruppo@alfa.example", Name: "Protocollo"})
	p, err := h.Authenticate(ctx, "gruppo@alfa.example", password, storage.ByIMAP)
	h.ok(err)
	login := func(password string) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if _, err := h.Authenticate(ctx, "gruppo@alfa.example", password, storage.ByIMAP); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("remembered", login(password))
	b.Run("application", login(secret))
	b.Run("still", func(b *testing.B) {
		for b.Loop() {
			if err := h.Still(ctx, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("application-unknown", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Authenticate(ctx, "gruppo@alfa.example", "aaaaa-bbbbb-ccccc-ddddd-eeeee", storage.ByIMAP); err == nil {
				b.Fatal("let in")
			}
		}
	})
	b.Run("derived", func(b *testing.B) {
		for b.Loop() {
			h.auth = newVerifier(h.clk, 1)
			if _, err := h.Authenticate(ctx, "gruppo@alfa.example", password, storage.ByIMAP); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) { // what five seconds of memory save
		for b.Loop() {
			h.users.drop("gruppo@alfa.example")
			h.grants.drop("gruppo@alfa.example")
			if _, err := h.Authenticate(ctx, "gruppo@alfa.example", secret, storage.ByIMAP); err != nil {
				b.Fatal(err)
			}
		}
	})
}
