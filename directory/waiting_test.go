// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"testing"

	"pecd/fault"
)

// TestAdministrationGoesOnWhileAPasswordWaits: logins may keep a new password
// waiting for long, and what else is administered must not wait for it.
func TestAdministrationGoesOnWhileAPasswordWaits(t *testing.T) {
	h := newHouse(t)
	const deriving = 3
	begun, gate := make(chan struct{}, deriving), make(chan struct{})
	h.auth.turns = newTurns(deriving, 0)
	h.auth.derive = func(_ []byte, p phc) []byte {
		begun <- struct{}{}
		<-gate
		return make([]byte, len(p.sum))
	}
	user := func(login string) *NewUser { return &NewUser{Login: login, Password: "una password"} }
	made := make(chan error, deriving)
	go func() { made <- h.CreateUser(ctx, *user("anna")) }()
	go func() {
		_, err := h.CreateMailbox(ctx, NewMailbox{Address: "a@alfa.example", Tier: "strutturata", User: user("bruno")})
		made <- err
	}()
	go func() {
		made <- h.CreateMailboxes(ctx, []NewMailbox{{Address: "b@alfa.example", Tier: "strutturata", User: user("carla")}})
	}()
	for range deriving {
		<-begun
	}
	if !h.writing.TryLock() {
		t.Error("held while passwords wait")
	} else {
		h.writing.Unlock()
	}
	// A login that was free before the wait and is not after it is not overwritten.
	hash, err := HashPassword("un'altra password")
	h.ok(err)
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Hash: hash}))
	close(gate)
	refused := 0
	for range deriving {
		if err := <-made; fault.Is(err, fault.Exists) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	u, err := h.st.User(ctx, "anna")
	h.ok(err)
	if refused != 1 || u.Hash != hash {
		t.Errorf("%d refused, hash %q", refused, u.Hash)
	}
}
