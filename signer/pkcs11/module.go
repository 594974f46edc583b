// SPDX-License-Identifier: EUPL-1.2

// Package pkcs11 signs with a key inside a hardware security module, through the
// module's PKCS#11 library (Cryptoki 2.40, OASIS), loaded while the program runs.
//
// One key may be on several tokens, the same key under the same certificate: the
// first one that works signs, the others stand by and are tried from time to
// time. Each signature is verified before it is given out.
//
// A call into a library cannot be interrupted. One that takes too long is
// abandoned with its session and its thread, and its token is taken out of use.
package pkcs11

import (
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"pecd/signer/dynlib"
)

// Places of functions in CK_FUNCTION_LIST, after its version.
const (
	fnInitialize       = 0
	fnFinalize         = 1
	fnGetSlotList      = 4
	fnGetTokenInfo     = 6
	fnOpenSession      = 12
	fnCloseSession     = 13
	fnLogin            = 18
	fnFindObjectsInit  = 26
	fnFindObjects      = 27
	fnFindObjectsFinal = 28
	fnSignInit         = 42
	fnSign             = 43
	fnUsed             = 44 // how many are read
)

const wordSize = 8 // of CK_ULONG and pointers on the systems dynlib supports

// Values of the standard.
const (
	flagOSLocking     = 2 // CKF_OS_LOCKING_OK
	flagSerialSession = 4 // CKF_SERIAL_SESSION
	userNormal        = 1 // CKU_USER

	attrClass    = 0x000 // CKA_CLASS
	attrLabel    = 0x003 // CKA_LABEL
	attrID       = 0x102 // CKA_ID
	classPrivate = 3     // CKO_PRIVATE_KEY

	mechanismRSA   = 0x0001 // CKM_RSA_PKCS
	mechanismECDSA = 0x1041 // CKM_ECDSA
)

// module is a loaded PKCS#11 library. Tokens in it share it.
type module struct {
	path string

	mu          sync.Mutex
	functions   [fnUsed]uintptr
	ready       bool
	initialised bool // by us: we finalise it
}

var errFunctions = errors.New("the library gives no list of functions")

// prepare loads and initialises the library once it can. Where another part of
// the process did so before, that counts.
func (m *module) prepare() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready {
		return nil
	}
	lib, err := dynlib.Load(m.path)
	if err != nil {
		return err
	}
	var getList uintptr
	if err := lib.Resolve(map[string]*uintptr{"C_GetFunctionList": &getList}); err != nil {
		return err
	}
	var list uintptr
	if err := check("C_GetFunctionList", dynlib.Call(getList, uintptr(unsafe.Pointer(&list)))); err != nil {
		return err
	}
	if list == 0 {
		return errFunctions
	}
	var raw [wordSize * (1 + fnUsed)]byte // the version takes the place of one
	dynlib.Read(raw[:], list)
	for i := range m.functions {
		m.functions[i] = uintptr(binary.NativeEndian.Uint64(raw[wordSize*(1+i):]))
		if m.functions[i] == 0 {
			return errFunctions
		}
	}
	args := [6]uintptr{4: flagOSLocking} // CK_C_INITIALIZE_ARGS
	err = check("C_Initialize", dynlib.Call(m.functions[fnInitialize], uintptr(unsafe.Pointer(&args))))
	if err != nil && !hasCode(err, rvAlreadyInitialised) {
		return err
	}
	m.ready, m.initialised = true, err == nil
	return nil
}

// finalise ends the use of the library, when no call is under way any more.
func (m *module) finalise() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.initialised {
		return nil
	}
	m.ready, m.initialised = false, false
	return check("C_Finalize", dynlib.Call(m.functions[fnFinalize], 0))
}
