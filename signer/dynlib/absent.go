// SPDX-License-Identifier: EUPL-1.2

//go:build !linux || !(amd64 || arm64) || static

package dynlib

import "errors"

const available = false

var errAbsent = errors.New("this program was built without loading of shared libraries")

func open(string) (uintptr, error)            { return 0, errAbsent }
func symbol(uintptr, string) (uintptr, error) { return 0, errAbsent }

// Call is never reached: nothing was loaded that could be called.
func Call(uintptr, ...uintptr) uintptr { return 0 }
