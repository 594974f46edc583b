// SPDX-License-Identifier: EUPL-1.2

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// Link is the hash of a record: SHA-256 over the hash of the record before (all
// zero for the first), its number as eight octets, most significant first, and
// its octets. Whoever alters, removes or inserts a record breaks every later
// link.
func Link(before [32]byte, seq int64, data []byte) [32]byte {
	h := sha256.New()
	h.Write(before[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(seq))
	h.Write(n[:])
	h.Write(data)
	return [32]byte(h.Sum(nil))
}
