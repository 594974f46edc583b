// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// NewID returns the PEC msgid of an accepted message, without angle brackets:
// "pecd1.20260603101505.<32 hex digits>.1@domain", RFC 6109 §2.2.1 and
// pec-rules §4.2. The time is written in the zone of t, to the second. random
// must come from a cryptographic source: boundaries are made from the
// identifier, and whoever can guess it can forge the structure of a message.
func NewID(t time.Time, random [16]byte, domain string) string {
	return "pecd1." + t.Format("20060102150405") + "." + hex.EncodeToString(random[:]) + ".1@" + domain
}

// ReceiptID returns the Message-ID, without angle brackets, of a receipt or
// notice about the message id: "pecd1.<kind>.<40 hex digits>@issuerDomain". It
// is a function of its arguments, so that a step that is repeated after a crash
// makes the same receipt again, and it never equals id in practice (pec-rules
// §2.2). recipient is the one that the receipt is about, in any case of
// letters, "" for a receipt about all of them. id may be another provider's,
// of any form.
func ReceiptID(id, issuerDomain string, k Kind, recipient string) string {
	sum := digest("receipt", cleanLine(id, maxMsgID), strings.ToLower(issuerDomain), k.String(), strings.ToLower(recipient))
	return "pecd1." + k.String() + "." + hex.EncodeToString(sum[:20]) + "@" + issuerDomain
}

// digest hashes strings so that no two lists of them share a hash by the way
// they are joined.
func digest(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0xFF}) // in no UTF-8 text
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}
