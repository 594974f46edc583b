// SPDX-License-Identifier: EUPL-1.2

package pkcs11_test

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/signer/keysuite"
	"pecd/signer/pkcs11"
)

func TestContract(t *testing.T) {
	keysuite.Run(t, func(t *testing.T, key crypto.Signer) crypto.Signer {
		h := newHSM(t)
		h.token("alfa", key)
		return open(t, key.Public(), at(softHSM, "alfa"))
	})
}

// signs signs something and checks it.
func signs(t *testing.T, k crypto.Signer) {
	t.Helper()
	sum := sha256.Sum256([]byte("ciao"))
	sig, err := k.Sign(nil, sum[:], crypto.SHA256)
	if err != nil || !keysuite.Verifies(k.Public(), sum[:], sig) {
		t.Fatalf("%v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	h, key, other := newHSM(t), rsaKey(t), rsaKey(t)
	h.token("alfa", key)
	h.token("due", key, other)
	h.token("due") // a second one of the same label
	for name, c := range map[string]struct {
		change func(*pkcs11.TokenConfig)
		pub    crypto.PublicKey
		kind   fault.Kind
		says   string
	}{
		"library":       {func(c *pkcs11.TokenConfig) { c.Module = "/nonexistent.so" }, key.Public(), fault.Temporary, "/nonexistent.so"},
		"no module":     {func(c *pkcs11.TokenConfig) { c.Module = "libcrypto.so.3" }, key.Public(), fault.Temporary, "C_GetFunctionList"},
		"token":         {func(c *pkcs11.TokenConfig) { c.Label = "beta" }, key.Public(), fault.Temporary, "no token"},
		"serial":        {func(c *pkcs11.TokenConfig) { c.Serial = "42" }, key.Public(), fault.Temporary, "no token"},
		"two tokens":    {func(c *pkcs11.TokenConfig) { c.Label = "due" }, key.Public(), fault.Temporary, "several tokens"},
		"key's label":   {func(c *pkcs11.TokenConfig) { c.KeyLabel = "altra" }, key.Public(), fault.Temporary, "no private key"},
		"key's id":      {func(c *pkcs11.TokenConfig) { c.KeyID = []byte{9} }, key.Public(), fault.Temporary, "no private key"},
		"another's key": {func(*pkcs11.TokenConfig) {}, other.Public(), fault.Temporary, "does not verify"},
		"no PIN":        {func(c *pkcs11.TokenConfig) { c.PIN = nil }, key.Public(), fault.Temporary, "no PIN"},
		"wrong PIN":     {func(c *pkcs11.TokenConfig) { c.PIN = []byte("1357-sbagliato") }, key.Public(), fault.Denied, "CKR_PIN_INCORRECT"},
	} {
		t.Run(name, func(t *testing.T) {
			token := at(softHSM, "alfa")
			c.change(&token)
			cfg, _, _ := config(c.pub, token)
			k, err := pkcs11.Open(cfg)
			if k != nil || !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v naming %q", err, c.kind, c.says)
			}
			if err != nil && strings.Contains(err.Error(), string(token.PIN)) && len(token.PIN) > 0 {
				t.Error("the error holds the PIN")
			}
		})
	}
}

// Of several keys under one label the id tells which.
func TestKeyIsFoundByItsID(t *testing.T) {
	h, first, second := newHSM(t), rsaKey(t), rsaKey(t)
	h.token("alfa", first, second)
	token := at(softHSM, "alfa")
	cfg, _, _ := config(second.Public(), token)
	if _, err := pkcs11.Open(cfg); err == nil || !strings.Contains(err.Error(), "several private keys") {
		t.Errorf("%v", err)
	}
	token.KeyID = []byte{2}
	signs(t, open(t, second.Public(), token))
}

// A PIN that was refused is not tried again: it would lock the token.
func TestRefusedPINIsTriedOnce(t *testing.T) {
	h, key := newHSM(t), rsaKey(t)
	h.token("alfa", key)
	h.token("beta", key)
	first, second := h.proxy("first"), h.proxy("second")
	wrong := at(first, "alfa")
	wrong.PIN = []byte("1357-sbagliato")
	k := open(t, key.Public(), wrong, at(second, "beta"))
	for range 10 {
		signs(t, k)
	}
	eventually(t, "the stand-by was tried again", func() bool { return h.logins(second) >= 1 && strings.Contains(k.alarmText(), "PIN") })
	keepsSaying(t, k, 5)
	if n := h.logins(first); n != 1 {
		t.Errorf("%d logins with a wrong PIN", n)
	}
	for name, s := range map[string]string{"alarm": k.alarmText(), "log": k.log.String()} {
		if strings.Contains(s, "sbagliato") || strings.Contains(s, pin) || !strings.Contains(s, "CKR_PIN_INCORRECT") {
			t.Errorf("%s: %s", name, s)
		}
	}
}

// One refused PIN counts, whatever is wrong with the other token before it.
func TestRefusedPINIsSeenBesideAnotherError(t *testing.T) {
	h, key := newHSM(t), rsaKey(t)
	h.token("alfa", key)
	h.token("beta", key)
	first := h.proxy("first")
	h.mode(first, 'l') // its login is lost
	wrong := at(softHSM, "beta")
	wrong.PIN = []byte("1357-sbagliato")
	cfg, _, _ := config(key.Public(), at(first, "alfa"), wrong)
	_, err := pkcs11.Open(cfg)
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "alfa") || !strings.Contains(err.Error(), "CKR_PIN_INCORRECT") {
		t.Errorf("%v", err)
	}
}

// keepsSaying lets several rounds of retries pass.
func keepsSaying(t *testing.T, k *opened, rounds int) {
	t.Helper()
	for range rounds {
		k.WaitRound()
	}
}

// A session or a login that is lost is had again within the same signature: no
// token is taken out of use.
func TestLostSessionsAreReplaced(t *testing.T) {
	h, key := newHSM(t), rsaKey(t)
	h.token("alfa", key)
	lib := h.proxy("first")
	k := open(t, key.Public(), at(lib, "alfa"))
	for i := range 6 {
		h.mode(lib, "sl"[i%2])
		for range 3 {
			signs(t, k)
		}
	}
	if k.alarmText() != "" || strings.Contains(k.log.String(), "alarm") {
		t.Errorf("an alarm: %s", k.log)
	}
	if n := h.logins(lib); n < 3 {
		t.Errorf("only %d logins: no login was lost", n)
	}
}

func TestOtherDigestsAreRefused(t *testing.T) {
	h, key := newHSM(t), rsaKey(t)
	h.token("alfa", key)
	k := open(t, key.Public(), at(softHSM, "alfa"))
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA512} {
		if _, err := k.Sign(nil, make([]byte, hash.Size()), hash); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", hash, err)
		}
	}
	if k.Parallel() != 2 {
		t.Errorf("%d at once with 2 sessions", k.Parallel())
	}
}

func digestOf(what string, n int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", what, n))
	return sum[:]
}
