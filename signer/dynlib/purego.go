// SPDX-License-Identifier: EUPL-1.2

//go:build linux && (amd64 || arm64) && !static

package dynlib

import (
	"errors"

	"github.com/ebitengine/purego"
)

const available = true

var errAbsent = errors.New("shared libraries can be loaded")

func open(name string) (uintptr, error) {
	return purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func symbol(handle uintptr, name string) (uintptr, error) { return purego.Dlsym(handle, name) }

// Call calls the C function at an address that is not zero, with integers and
// pointers as arguments, and returns its result. Pointers converted to uintptr
// in the argument list itself stay valid during the call; whatever else the
// function reaches must be pinned by the caller.
//
//go:uintptrescapes
func Call(function uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(function, args...)
	return r
}
