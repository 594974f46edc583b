// SPDX-License-Identifier: EUPL-1.2

package pkcs11

import (
	"fmt"
	"slices"
)

// Return values that something is done about, or that operators meet.
const (
	rvOK                 = 0x000
	rvPINIncorrect       = 0x0a0
	rvPINInvalid         = 0x0a1
	rvPINLength          = 0x0a2
	rvPINExpired         = 0x0a3
	rvPINLocked          = 0x0a4
	rvAlreadyLoggedIn    = 0x100
	rvPINNotInitialised  = 0x102
	rvAlreadyInitialised = 0x191
)

// returnedError is a return value of the library other than CKR_OK.
type returnedError struct {
	function string
	code     uintptr
}

// Error implements error with the standard's name of the value, as manuals and
// vendors know it.
func (e *returnedError) Error() string {
	name := map[uintptr]string{
		0x002: "CKR_HOST_MEMORY", 0x003: "CKR_SLOT_ID_INVALID", 0x005: "CKR_GENERAL_ERROR", 0x006: "CKR_FUNCTION_FAILED",
		0x007: "CKR_ARGUMENTS_BAD", 0x030: "CKR_DEVICE_ERROR", 0x031: "CKR_DEVICE_MEMORY", 0x032: "CKR_DEVICE_REMOVED",
		0x054: "CKR_FUNCTION_NOT_SUPPORTED", 0x060: "CKR_KEY_HANDLE_INVALID", 0x063: "CKR_KEY_TYPE_INCONSISTENT",
		0x068: "CKR_KEY_FUNCTION_NOT_PERMITTED", 0x070: "CKR_MECHANISM_INVALID", 0x082: "CKR_OBJECT_HANDLE_INVALID",
		0x090: "CKR_OPERATION_ACTIVE", 0x091: "CKR_OPERATION_NOT_INITIALIZED",
		rvPINIncorrect: "CKR_PIN_INCORRECT", rvPINInvalid: "CKR_PIN_INVALID", rvPINLength: "CKR_PIN_LEN_RANGE",
		rvPINExpired: "CKR_PIN_EXPIRED", rvPINLocked: "CKR_PIN_LOCKED",
		0x0b0: "CKR_SESSION_CLOSED", 0x0b1: "CKR_SESSION_COUNT", 0x0b3: "CKR_SESSION_HANDLE_INVALID",
		0x0e0: "CKR_TOKEN_NOT_PRESENT", 0x0e1: "CKR_TOKEN_NOT_RECOGNIZED", 0x101: "CKR_USER_NOT_LOGGED_IN",
		rvPINNotInitialised: "CKR_USER_PIN_NOT_INITIALIZED", 0x150: "CKR_BUFFER_TOO_SMALL",
		0x190: "CKR_CRYPTOKI_NOT_INITIALIZED",
	}[e.code]
	if name == "" {
		name = "CKR"
	}
	return fmt.Sprintf("%s: %s (0x%x)", e.function, name, e.code)
}

// check turns a return value into an error.
func check(function string, rv uintptr) error {
	if rv == rvOK {
		return nil
	}
	return &returnedError{function, rv}
}

// hasCode says whether a library returned one of the values, in any of the errors
// that were joined to one: errors.As would look at the first of them alone.
func hasCode(err error, codes ...uintptr) bool {
	if r, ok := err.(*returnedError); ok {
		return slices.Contains(codes, r.code)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return hasCode(e.Unwrap(), codes...)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(one error) bool { return hasCode(one, codes...) })
	}
	return false
}

// pinRefused says whether trying again with the same PIN would bring the token
// nearer to its lock.
func pinRefused(err error) bool {
	return hasCode(err, rvPINIncorrect, rvPINInvalid, rvPINLength, rvPINExpired, rvPINLocked, rvPINNotInitialised)
}
