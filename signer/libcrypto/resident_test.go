// SPDX-License-Identifier: EUPL-1.2

package libcrypto_test

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
)

// residentKiB is the process's resident memory, without what Go can give back.
func residentKiB(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	number, _, found := bytes.Cut(rest, []byte(" kB"))
	kib, err := strconv.Atoi(string(bytes.TrimSpace(number)))
	if !found || err != nil {
		t.Fatalf("VmRSS: %v", err)
	}
	return kib
}
