// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"strings"

	"pecd/rfc822"
)

// Primaries reads To and Cc of an original once and returns a function that
// tells whether an address is a primary recipient. One that is in both fields
// or in neither is primary (RFC 6109 §3.3.2.1).
func Primaries(h rfc822.Header) func(recipient string) bool {
	to, cc := addressSet(h, "To"), addressSet(h, "Cc")
	return func(recipient string) bool {
		key := rfc822.FoldCase(recipient)
		return to[key] || !cc[key]
	}
}

func addressSet(h rfc822.Header, field string) map[string]bool {
	set := make(map[string]bool)
	// What the list says beyond its limit, or where it is no list, leaves a
	// recipient ambiguous, hence primary.
	list, _ := rfc822.ParseAddressList(strings.Join(h.Values(field), ", "))
	for _, a := range list {
		set[rfc822.FoldCase(a.Address)] = true
	}
	return set
}

// FormFor returns what the delivery receipt of a recipient carries: what was
// asked for where the recipient is primary, certification data alone for a copy
// (RFC 6109 §3.3.2.1 to §3.3.2.3).
func FormFor(r ReceiptType, primary bool) DeliveryForm {
	switch {
	case !primary || r == ReceiptConcise:
		return FormConcise
	case r == ReceiptBrief:
		return FormBrief
	}
	return FormComplete
}
