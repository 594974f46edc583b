// SPDX-License-Identifier: EUPL-1.2

package libcrypto

import (
	"crypto"
	"crypto/rsa"

	"pecd/signer/dynlib"
)

// Checked says whether each signature is verified here.
func (k *Key) Checked() bool { return k.checked }

// SetChecked has each signature verified here.
func (k *Key) SetChecked() { k.checked = true }

// Break makes each signature wrong, as seen from outside: pub is another key's.
func (k *Key) Break(pub crypto.PublicKey) { k.pub = pub }

// OpenDamaged opens the key with a wrong CRT exponent.
func (l *Library) OpenDamaged(key *rsa.PrivateKey) (*Key, error) {
	der, err := damagedKey(key)
	if err != nil {
		return nil, err
	}
	return l.open(der, key.Public(), uintptr(key.Size()), 1)
}

// OpenDER opens a key from its encoding.
func (l *Library) OpenDER(der []byte, pub crypto.PublicKey) (*Key, error) {
	return l.open(der, pub, 512, 1)
}

// QueuedErrors counts what is in this thread's error queue.
func (l *Library) QueuedErrors() (n int) {
	for dynlib.Call(l.f.errGet) != 0 {
		n++
	}
	return n
}
