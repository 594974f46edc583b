// SPDX-License-Identifier: EUPL-1.2

package pec

import "fmt"

// CertDataError says why a daticert.xml was refused.
type CertDataError struct {
	Offset   int64  // octets read when the fault was seen
	Reason   string // Italian
	ReasonEN string
}

// Error implements error, in English.
func (e *CertDataError) Error() string {
	return fmt.Sprintf("daticert.xml, octet %d: %s", e.Offset, e.ReasonEN)
}
