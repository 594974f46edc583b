// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func TestTokens(t *testing.T) {
	h := newHouse(t)
	counted(h)
	after := h.lastRecord()
	as := As(ctx, "root")
	tok, secret, err := h.CreateToken(as, NewToken{Name: "Console", Role: storage.TokenProvider, Expires: h.clk.Now().Add(time.Hour)})
	h.ok(err)
	if !strings.HasPrefix(secret, "pecd_") || len(secret) != 64 {
		t.Errorf("secret %q", secret)
	}
	got, err := h.Token(ctx, secret)
	h.ok(err)
	if got != tok {
		t.Errorf("%+v, want %+v", got, tok)
	}
	last := "a"
	if strings.HasSuffix(secret, last) {
		last = "b"
	}
	for _, wrong := range []string{"", "pecd_", secret[:63], secret[:63] + last, strings.ToUpper(secret), secret + "a", newTokenSecret()} {
		if _, err := h.Token(ctx, wrong); !fault.Is(err, fault.Denied) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for _, n := range []NewToken{
		{Name: " ", Role: storage.TokenProvider}, {Name: "x", Role: "root"}, {Name: "x", Role: storage.TokenCustomer}, {Name: "x", Role: storage.TokenProvider, Mailbox: "a@b.it"},
		{Name: "x", Role: storage.TokenProvider, Expires: h.clk.Now()}, {Name: "x\n", Role: storage.TokenProvider},
	} {
		if _, _, err := h.CreateToken(ctx, n); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	for _, n := range []NewToken{{Name: "x", Role: storage.TokenCustomer, Customer: "nobody"}, {Name: "x", Role: storage.TokenMailbox, Mailbox: "no@body.it"}} {
		if _, _, err := h.CreateToken(ctx, n); !fault.Is(err, fault.NotFound) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if _, _, err := h.CreateToken(ctx, NewToken{Name: "console", Role: storage.TokenProvider}); !fault.Is(err, fault.Exists) {
		t.Errorf("the same name: %v", err)
	}
	h.clk.Advance(time.Hour)
	if _, err := h.Token(ctx, secret); !fault.Is(err, fault.Denied) {
		t.Errorf("expired: %v", err)
	}
	_, second, err := h.CreateToken(as, NewToken{Name: "Console", Role: storage.TokenProvider}) // its name is free again
	h.ok(err)
	h.ok(h.RevokeToken(as, 2))
	if _, err := h.Token(ctx, second); !fault.Is(err, fault.Denied) {
		t.Errorf("revoked: %v", err)
	}
	if err := h.RevokeToken(ctx, 2); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	var kinds []string
	for _, l := range h.records(after) {
		kinds = append(kinds, strings.Join(strings.Fields(l)[:3], " "))
	}
	if want := []string{"token.created by root:", "token.created by root:", "token.revoked by root:"}; !slices.Equal(kinds, want) {
		t.Errorf("recorded %q", kinds)
	}
}

// TestTokensOfOthersDoNotCount: what one body names its tokens, and how many it has,
// another neither learns nor feels.
func TestTokensOfOthersDoNotCount(t *testing.T) {
	h := town(t)
	other := AsActor(ctx, Actor{Name: "altro", Role: RoleCustomer, Customer: "c_y"})
	add := func(c context.Context, name, box string) error {
		_, _, err := h.CreateToken(c, NewToken{Name: name, Role: storage.TokenMailbox, Mailbox: box})
		return err
	}
	for i := range maxMailboxTokens {
		h.ok(add(officer(), fmt.Sprint("Protocollo ", i), "ufficio@ente.example"))
	}
	h.want(add(officer(), "uno in più", "ufficio@ente.example"), fault.TooMany)
	h.ok(add(officer(), "Protocollo 1", "uno@ente.example"))
	h.want(add(officer(), "PROTOCOLLO 1", "uno@ente.example"), fault.Exists)
	h.ok(add(other, "Protocollo 1", "ufficio@altro.example"))
	_, _, err := h.CreateToken(ctx, NewToken{Name: "Protocollo 1", Role: storage.TokenProvider})
	h.ok(err)
}

func (h house) recovers(login, secret, password string) error {
	_, err := h.Recover(context.Background(), login, secret, password)
	return err
}

// TestS4_115_Recovery: once, within its time, with few tries, and with the rules of
// every password.
func TestS4_115_Recovery(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Password: password}))
	begin := func(kind storage.RecoveryKind) string {
		t.Helper()
		s, err := h.BeginRecovery(ctx, "Anna", kind, "mail")
		h.ok(err)
		return s
	}
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Denied) || fault.TextOf(err) != recoveryRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	link := begin(storage.RecoveryLink)
	if err := h.recovers("", link, "corta"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short password: %v", err)
	}
	h.ok(h.recovers("", link, "la nuova password"))
	refused("used twice", h.recovers("", link, "un'altra password"))
	if _, err := h.Authenticate(ctx, "anna", "la nuova password", storage.ByIMAP); err != nil {
		t.Error(err)
	}
	code := begin(storage.RecoveryCode)
	if len(code) != 8 {
		t.Errorf("code %q", code)
	}
	wrong := "00000000"
	if code == wrong {
		wrong = "11111111"
	}
	for range 4 {
		refused("a wrong code", h.recovers("anna", wrong, "la nuova password 2"))
	}
	h.ok(h.recovers("ANNA", code, "la nuova password 2"))
	refused("a code as link", h.recovers("", code, "la nuova password 3"))

	code = begin(storage.RecoveryCode)
	for range 5 {
		refused("a wrong code", h.recovers("anna", wrong, "la nuova password 3"))
	}
	refused("after five tries", h.recovers("anna", code, "la nuova password 3"))
	if _, err := h.BeginRecovery(ctx, "anna", storage.RecoveryLink, "mail"); !fault.Is(err, fault.TooMany) {
		t.Errorf("the fourth in an hour: %v", err)
	}
	h.clk.Advance(time.Hour + time.Second)
	link = begin(storage.RecoveryLink)
	h.clk.Advance(RecoveryLife)
	refused("too late", h.recovers("", link, "la nuova password 4"))

	// Once a password is set, by whom ever, nothing that was handed out before sets another.
	older, _, err := h.BeginReset(As(ctx, "root"), "anna")
	h.ok(err)
	link = begin(storage.RecoveryLink)
	h.ok(h.recovers("", link, "la nuova password 4"))
	refused("of before a recovery", h.recovers("", older, "la nuova password 5"))
	older, _, err = h.BeginReset(As(ctx, "root"), "anna")
	h.ok(err)
	h.ok(h.SetPassword(ctx, "anna", "la nuova password 5"))
	refused("of before a new password", h.recovers("", older, "la nuova password 6"))

	reset, ends, err := h.BeginReset(As(ctx, "root"), "anna")
	h.ok(err)
	if !ends.Equal(h.clk.Now().Add(24 * time.Hour)) {
		t.Errorf("ends %v", ends)
	}
	h.ok(h.SetUserDisabled(ctx, "anna", true))
	refused("disabled since", h.recovers("", reset, "la nuova password 5"))
	if _, err := h.BeginRecovery(ctx, "anna", storage.RecoveryLink, "mail"); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a disabled user: %v", err)
	}
}
