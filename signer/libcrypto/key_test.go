// SPDX-License-Identifier: EUPL-1.2

package libcrypto_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"runtime"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/signer/keysuite"
	"pecd/signer/libcrypto"
)

func load(t testing.TB) *libcrypto.Library {
	t.Helper()
	l, err := libcrypto.Load()
	if err != nil {
		t.Fatalf("%v: apt-get install libssl3", err)
	}
	return l
}

func newKey(t testing.TB, key crypto.Signer) *libcrypto.Key {
	t.Helper()
	k, err := load(t).NewKey(key, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func p256Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestContract(t *testing.T) {
	keysuite.Run(t, func(t *testing.T, key crypto.Signer) crypto.Signer { return newKey(t, key) })
}

// The same octets as Go's: a step repeated with the other engine makes the same
// receipt.
func TestSameSignatureAsGo(t *testing.T) {
	key := rsaKey(t, 2048)
	k, sum := newKey(t, key), sha256.Sum256([]byte("ciao"))
	want, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Sign(nil, sum[:], crypto.SHA256); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v, want %x", got, err, want)
	}
}

func TestOtherAlgorithmsAreRefused(t *testing.T) {
	k := newKey(t, rsaKey(t, 2048))
	for name, opts := range map[string]crypto.SignerOpts{
		"SHA-1": crypto.SHA1, "SHA-512/256": crypto.SHA512_256, "PSS": &rsa.PSSOptions{Hash: crypto.SHA256},
	} {
		if _, err := k.Sign(nil, make([]byte, 32), opts); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	l := load(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bare := rsaKey(t, 2048)
	bare.Precomputed = rsa.PrecomputedValues{}
	for name, key := range map[string]crypto.Signer{"P-384": p384, "RSA without CRT values": bare} {
		if k, err := l.NewKey(key, 1); k != nil || !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Half a wrong CRT computation must never leave: with it and the public key the
// private one is a gcd away.
func TestFaultOfTheCRTDoesNotGetOut(t *testing.T) {
	l, key, sum := load(t), rsaKey(t, 2048), sha256.Sum256([]byte("ciao"))
	k, err := l.OpenDamaged(key)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for range 40 { // blinding starts anew after 32
		sig, err := k.Sign(nil, sum[:], crypto.SHA256)
		if err == nil && !keysuite.Verifies(key.Public(), sum[:], sig) {
			t.Fatal("a wrong signature got out of libcrypto")
		}
	}
	if newKey(t, key).Checked() {
		t.Error("each signature is verified twice")
	}
	k.SetChecked()
	k.Break(rsaKey(t, 2048).Public())
	if _, err := k.Sign(nil, sum[:], crypto.SHA256); !fault.Is(err, fault.Temporary) {
		t.Errorf("a signature for another public key: %v", err)
	}
}

// A wrong ECDSA signature stays inside; nobody but this package would see that it
// is one before a recipient does.
func TestWrongECDSASignatureDoesNotGetOut(t *testing.T) {
	key, other := p256Key(t), p256Key(t)
	k, sum := newKey(t, key), sha256.Sum256([]byte("ciao"))
	if _, err := k.Sign(nil, sum[:], crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	k.Break(other.Public())
	if _, err := k.Sign(nil, sum[:], crypto.SHA256); !fault.Is(err, fault.Temporary) {
		t.Errorf("a signature for another public key: %v", err)
	}
}

// What libcrypto says of a failure reaches the error, and nothing of it stays in
// the thread's queue to be taken for the next one's.
func TestErrorQueueIsReadAndEmpty(t *testing.T) {
	l := load(t)
	_, err := l.OpenDER([]byte{0x30, 3, 2, 1, 0}, &rsaKey(t, 2048).PublicKey)
	if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "d2i_AutoPrivateKey: error:") {
		t.Errorf("%v", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _ = l.OpenDER([]byte{0x30, 3, 2, 1, 0}, &rsaKey(t, 2048).PublicKey)
	if n := l.QueuedErrors(); n != 0 {
		t.Errorf("%d errors left", n)
	}
}

// Signing leaves no memory behind on the C side.
func TestSigningDoesNotLeak(t *testing.T) {
	for name, c := range map[string]struct {
		key *libcrypto.Key
		n   int
	}{"RSA": {newKey(t, rsaKey(t, 2048)), 4000}, "ECDSA": {newKey(t, p256Key(t)), 20000}} {
		sum := sha256.Sum256([]byte("ciao"))
		sign := func(n int) {
			for range n {
				if _, err := c.key.Sign(nil, sum[:], crypto.SHA256); err != nil {
					t.Fatal(err)
				}
			}
		}
		sign(c.n / 4)
		before := residentKiB(t)
		sign(c.n)
		if grown := residentKiB(t) - before; grown > 1<<10 { // one signature's number left behind would be 1 to 2 MiB
			t.Errorf("%s: %d KiB more after %d signatures", name, grown, c.n)
		}
	}
}
