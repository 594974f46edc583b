// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"strings"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// counted replaces the derivation of h by a cheap counted one. Hashes made
// before it do not verify any more.
func counted(h house) func() int32 {
	v, n := countingVerifier(h.clk)
	h.auth = v
	return func() int32 { return n.Swap(0) }
}

func TestAuthenticateDoesTheSameWorkWhoeverAsks(t *testing.T) {
	h := newHouse(t)
	work := counted(h)
	h.mailbox("uno@alfa.example", "standard")
	h.mailbox("fuori@alfa.example", "standard")
	h.ok(h.SetUserDisabled(ctx, "fuori@alfa.example", true))
	h.ok(h.st.Commit(ctx, new(storage.Step).Add(
		&storage.PutUser{User: storage.User{Login: "senza", Created: start}},
		&storage.PutUser{User: storage.User{Login: "rotto", Hash: "$argon2id$v=19$m=4294967295,t=99,p=1$AAAA$AAAA", Created: start}},
	)))
	work()
	var text string
	for name, c := range map[string]struct{ login, password string }{
		"wrong password":   {"uno@alfa.example", "another password"},
		"empty password":   {"uno@alfa.example", ""},
		"endless password": {"uno@alfa.example", strings.Repeat("x", 1<<20)},
		"with a NUL":       {"uno@alfa.example", password + "\x00"},
		"no such user":     {"nessuno@alfa.example", password},
		"no such domain":   {"x@y.z", password},
		"malformed login":  {"\x00 ' OR 1=1", password},
		"empty login":      {"", ""},
		"disabled":         {"fuori@alfa.example", password},
		"no hash":          {"senza", "-"},
		"unusable hash":    {"rotto", password},
	} {
		p, err := h.Authenticate(ctx, c.login, c.password, storage.ByIMAP)
		if !fault.Is(err, fault.Denied) || p.Login != "" || p.Grants != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if n := work(); n != 1 {
			t.Errorf("%s: %d derivations", name, n)
		}
		if text == "" {
			text = err.Error()
		}
		if err.Error() != text || strings.Contains(err.Error(), c.login) && c.login != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Authenticate(ctx, "uno@alfa.example", password, storage.ByIMAP); err != nil || work() != 1 {
		t.Error(err)
	}
	h.ok(h.SetUserDisabled(ctx, "fuori@alfa.example", false))
	if _, err := h.Authenticate(ctx, "fuori@alfa.example", password, storage.ByIMAP); err != nil {
		t.Error(err)
	}
}

func TestAuthenticateForgetsAnOldPassword(t *testing.T) {
	h := newHouse(t)
	work := counted(h)
	h.mailbox("uno@alfa.example", "standard")
	work()
	login := func(pw string, want bool, derivations int32) {
		t.Helper()
		_, err := h.Authenticate(ctx, "uno@alfa.example", pw, storage.ByIMAP)
		if n := work(); (err == nil) != want || n != derivations {
			t.Errorf("%v after %d derivations", err, n)
		}
	}
	login(password, true, 1)
	login(password, true, 0)
	h.ok(h.SetPassword(ctx, "UNO@alfa.example", "quella nuova"))
	work()
	login(password, false, 1)
	login("quella nuova", true, 1)
	login("quella nuova", true, 0)
	// … and when another node changes it.
	other := New(h.st, h.clk)
	other.auth = h.auth
	h.ok(other.SetPassword(ctx, "uno@alfa.example", "terza password"))
	work()
	login("terza password", true, 2) // the old one is read again before anybody is refused
	login("quella nuova", false, 1)
	// … who has changed it back and forth, and is not seen for five seconds.
	h.ok(other.SetPassword(ctx, "uno@alfa.example", "quarta password"))
	work()
	login("terza password", true, 0)
	h.clk.Advance(lookupTTL)
	login("terza password", false, 1)
	login("quarta password", true, 1)
	h.ok(h.SetPassword(ctx, "uno@alfa.example", "terza password"))
	work()
	// A user shut out is out at once, whatever is remembered.
	login("terza password", true, 1)
	h.ok(h.SetUserDisabled(ctx, "uno@alfa.example", true))
	login("terza password", false, 0)
}

func TestSetPasswordRefuses(t *testing.T) {
	h := newHouse(t)
	h.mailbox("uno@alfa.example", "standard")
	h.want(h.SetPassword(ctx, "uno@alfa.example", "corta"), fault.Invalid)
	h.want(h.SetPassword(ctx, "uno@alfa.example", strings.Repeat("x", maxPassword+1)), fault.Invalid)
	h.want(h.SetPassword(ctx, "nessuno", password), fault.NotFound)
	if err := h.SetPassword(ctx, "nessuno", password); !strings.HasSuffix(err.Error(), unknownUser) {
		t.Errorf("whoever typed the name reads %q", err)
	}
	h.want(h.SetPassword(ctx, "a b", password), fault.NotFound)
	h.want(h.CreateUser(ctx, NewUser{Login: "uno@alfa.example", Password: password}), fault.Exists)
	if _, err := h.Authenticate(ctx, "uno@alfa.example", password, storage.ByIMAP); err != nil {
		t.Error(err)
	}
}
