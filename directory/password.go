// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"pecd/fault"
)

// The parameters of new hashes: argon2id with 19 MiB, two passes, one lane.
const (
	hashMemory = 19 * 1024 // KiB
	hashTime   = 2
	hashLanes  = 1
	hashSalt   = 16
	hashLen    = 32
)

// Bounds on what a stored string may ask for: verifying costs memory and time
// that a string from elsewhere (a migration, a tampered store) must not choose.
const (
	maxHashMemory  = 64 * 1024 // KiB
	maxHashTime    = 16
	maxHashLanes   = 8
	maxHashBytes   = 64  // salt and digest
	maxHashText    = 512 // the whole string
	maxPassword    = 1024
	minHashSalt    = 8
	minHashLen     = 16
	noSuchUserHash = "$argon2id$v=19$m=19456,t=2,p=1$cGVjZC1ub2JvZHkuLi4u$ZG9lcyBub3QgYmVsb25nIHRvIGFueSBwYXNzd29yZC4"
)

// phc is a parsed PHC string of argon2id.
type phc struct {
	memory, time uint32
	lanes        uint8
	salt, sum    []byte
}

// derive is argon2id; the verifier holds it so that tests can count its calls.
type derive func(password []byte, p phc) []byte

func argon2id(password []byte, p phc) []byte {
	return argon2.IDKey(password, p.salt, p.time, p.memory, p.lanes, uint32(len(p.sum)))
}

// HashPassword returns the PHC string of a password: argon2id, 19 MiB, two
// passes. The password is brought into NFC first (RFC 8265 §4.2), because
// clients differ in how they compose accents. Invalid when it is empty or
// longer than 1,024 octets.
func HashPassword(password string) (string, error) { return hashWith(password, argon2id) }

func hashWith(password string, d derive) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fault.Say("directory.HashPassword", fault.Invalid, "password vuota o troppo lunga / password empty or too long")
	}
	p := phc{memory: hashMemory, time: hashTime, lanes: hashLanes, salt: make([]byte, hashSalt), sum: make([]byte, hashLen)}
	rand.Read(p.salt) // never fails
	p.sum = d(norm.NFC.Bytes([]byte(password)), p)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.sum)), nil
}

// matches derives the password with p's parameters and compares.
func (p phc) matches(password string, d derive) bool {
	got := d(norm.NFC.Bytes([]byte(password)), p)
	return subtle.ConstantTimeCompare(got, p.sum) == 1
}

var errPHC = errors.New("no usable argon2id PHC string")

// parsePHC reads "$argon2id$v=19$m=19456,t=2,p=1$salt$sum" with bounded
// parameters. The error does not quote the string.
func parsePHC(s string) (phc, error) {
	if len(s) > maxHashText {
		return phc{}, errPHC
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v=19" {
		return phc{}, errPHC
	}
	params := strings.Split(f[3], ",")
	if len(params) != 3 {
		return phc{}, errPHC
	}
	var n [3]uint64
	for i, key := range [...]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(params[i], key)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return phc{}, errPHC
		}
		n[i] = v
	}
	if n[1] < 1 || n[1] > maxHashTime || n[2] < 1 || n[2] > maxHashLanes || n[0] < 8*n[2] || n[0] > maxHashMemory {
		return phc{}, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(f[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(salt) < minHashSalt || len(salt) > maxHashBytes || len(sum) < minHashLen || len(sum) > maxHashBytes {
		return phc{}, errPHC
	}
	return phc{memory: uint32(n[0]), time: uint32(n[1]), lanes: uint8(n[2]), salt: salt, sum: sum}, nil
}
