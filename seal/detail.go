// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"encoding/hex"
	"fmt"
	"strings"

	"pecd/storage"
)

// What ledger.sealed and ledger.purged say about a seal is in their Detail. It
// is a part of the log's format: Verify reads it over all the time of keeping.

func sealedDetail(s storage.Seal) string {
	return fmt.Sprintf("%s, SHA-256 %x, registrazioni %d-%d / records", s.File, s.Sum, s.First, s.Last)
}

func purgedDetail(s storage.Seal) string {
	return fmt.Sprintf("%s, registrazioni %d-%d / records", s.File, s.First, s.Last)
}

// readSealed reads what sealedDetail wrote.
func readSealed(detail string) (number int64, file string, sum [32]byte, ok bool) {
	number, file, rest, ok := readDetail(detail)
	digits, found := strings.CutPrefix(rest, "SHA-256 ")
	digits, _, more := strings.Cut(digits, ", ")
	b, err := hex.DecodeString(digits)
	if !ok || !found || !more || err != nil || len(b) != len(sum) {
		return 0, "", sum, false
	}
	return number, file, [32]byte(b), true
}

// readDetail reads the name of the sealed file that a detail begins with.
func readDetail(detail string) (number int64, file, rest string, ok bool) {
	file, rest, ok = strings.Cut(detail, ", ")
	number, _, stamp, named := parseName(file)
	return number, file, rest, ok && named && !stamp
}
