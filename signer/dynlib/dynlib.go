// SPDX-License-Identifier: EUPL-1.2

// Package dynlib loads shared libraries while the program runs and calls their C
// functions without cgo. It is as thin as that can be: what a function takes and
// returns is the caller's business, and a wrong argument is a crash.
//
// A C call holds its operating-system thread until it returns; the runtime runs
// other goroutines on another one meanwhile. It cannot be interrupted.
//
// Where the program was built without it (another system than Linux on amd64 or
// arm64, or the build tag static) Load says Unsupported.
package dynlib

import (
	"fmt"
	"unsafe"

	"pecd/fault"
)

// Library is a loaded shared library. It is never unloaded: C libraries leave
// thread destructors behind that would then be called in unmapped memory.
type Library struct {
	name   string
	handle uintptr
}

// Load loads a shared library by its soname, as the system's linker finds it, or
// by its path. Errors are Unsupported where the program or the system cannot,
// and NotFound where the library is absent or not loadable.
func Load(name string) (*Library, error) {
	const op = "dynlib.Load"
	if !available {
		return nil, fault.New(op, fault.Unsupported, errAbsent)
	}
	handle, err := open(name)
	if err != nil {
		return nil, fault.New(op, fault.NotFound, err)
	}
	return &Library{name: name, handle: handle}, nil
}

// Resolve looks up functions and stores their addresses. The error is
// Unsupported and names the first one that the library does not have.
func (l *Library) Resolve(functions map[string]*uintptr) error {
	for name, address := range functions {
		a, err := symbol(l.handle, name)
		if err != nil || a == 0 {
			return fault.New("dynlib.Resolve", fault.Unsupported, fmt.Errorf("%s has no %s", l.name, name))
		}
		*address = a
	}
	return nil
}

// Read copies memory of the library's at an address that it returned. How much
// there is to read is the caller's to know. It is not inlined because the compiler of Go 1.26
// gives up on the conversion where the length is a constant.
//
//go:noinline
func Read(into []byte, address uintptr) {
	// The address is no pointer of Go's: it is turned into one in place.
	from := *(*unsafe.Pointer)(unsafe.Pointer(&address))
	copy(into, unsafe.Slice((*byte)(from), len(into)))
}
