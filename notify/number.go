// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"strings"

	"pecd/fault"
)

// Lengths of numbers in digits: E.164 §6.2.1, with the country code; of an Italian
// mobile number, without it.
const (
	minDigits, maxDigits           = 8, 15
	minItalianCell, maxItalianCell = 9, 10
)

// parseNumber brings a mobile number into E.164 form: +39 where no country is
// named, 00 for +; blanks, dots, hyphens, slashes and brackets are left out. An
// Italian one must be mobile. Whether it exists the code will tell. Invalid
// otherwise.
func parseNumber(s string) (string, error) {
	bad := say("parseNumber", fault.Invalid, "né un indirizzo di posta né un numero di cellulare / neither an e-mail address nor a mobile number")
	if len(s) > 40 {
		return "", bad
	}
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .-/()", r) {
			return -1
		}
		return r
	}, s)
	switch {
	case strings.HasPrefix(digits, "+"):
		digits = digits[1:]
	case strings.HasPrefix(digits, "00"):
		digits = digits[2:]
	default:
		digits = "39" + digits
	}
	if strings.Trim(digits, "0123456789") != "" || len(digits) < minDigits || len(digits) > maxDigits || digits[0] == '0' {
		return "", bad
	}
	if cell, ok := strings.CutPrefix(digits, "39"); ok && (cell[0] != '3' || len(cell) < minItalianCell || len(cell) > maxItalianCell) {
		return "", bad
	}
	return "+" + digits, nil
}
