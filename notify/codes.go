// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"pecd/fault"
)

// saltLen is how many octets of salt stand before the sum of a code.
const saltLen = 16

// newCode makes a code of six digits and what is stored of it: a salt, and its
// SHA-256 with the code. Whoever reads the store finds the code by trying all;
// it is worth nothing to him: he has ten minutes, and the store already.
func newCode() (code string, stored []byte) {
	n, _ := rand.Int(rand.Reader, big.NewInt(1_000_000)) // crypto/rand never fails
	code = fmt.Sprintf("%06d", n)
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails
	return code, codeSum(salt, code)
}

func codeSum(salt []byte, code string) []byte {
	sum := sha256.Sum256(append(salt[:saltLen:saltLen], code...))
	return append(salt[:saltLen:saltLen], sum[:]...)
}

// codeMatches compares in constant time. People type blanks.
func codeMatches(stored []byte, code string) bool {
	if len(stored) < saltLen {
		return false
	}
	code = strings.Join(strings.Fields(code), "")
	return subtle.ConstantTimeCompare(stored, codeSum(stored[:saltLen], code)) == 1
}

// newID makes an identifier of a message that carries a code.
func newID() (string, error) {
	var b [12]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fault.New("notify.newID", fault.Temporary, err)
	}
	return hex.EncodeToString(b[:]), nil
}
