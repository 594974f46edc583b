// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMeasured(t *testing.T) {
	if f := measured("", "", 3, 1, 2); f.Value != 2 || f.Low != 1 || f.High != 3 {
		t.Errorf("of three: %+v", f)
	}
	if f := measured("", "", 4, 1, 2, 3); f.Value != 2.5 {
		t.Errorf("of four: %+v", f)
	}
	if !measured("", "", 5).atLeast(5, 0).Met || measured("", "", 4.9).atLeast(5, 0).Met {
		t.Error("at least")
	}
	if !measured("", "", 5).atMost(5).Met || measured("", "", 5.1).atMost(5).Met {
		t.Error("at most")
	}
}

// TestSyncsWithin counts calls, not lines: one that another thread broke into
// is told in two.
func TestSyncsWithin(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	text := `71 1000.500000 fsync(7) = 0
72 1001.000000 fdatasync(9 <unfinished ...>
71 1001.000100 fsync(7) = 0
72 1001.000200 <... fdatasync resumed>) = 0
71 1002.500000 fsync(7) = 0
71 1002.600000 +++ exited with 0 +++
`
	if err := os.WriteFile(trace, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := syncsWithin(trace, time.Unix(1001, 0), time.Unix(1002, 0))
	if err != nil || n != 2 {
		t.Errorf("%d syncs, %v, want 2", n, err)
	}
}

// TestCPU: what this process burns is seen in its own figure and in that of its
// parent.
func TestCPU(t *testing.T) {
	own, err := cpu(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := cpu(os.Getpid())
	if err != nil || after <= own {
		t.Errorf("CPU time went from %v to %v (%v)", own, after, err)
	}
	parent, err := cpu(os.Getppid())
	if err != nil || parent < after {
		t.Errorf("the parent's tree has %v, this process %v (%v)", parent, after, err)
	}
	if _, err := cpu(1 << 30); err == nil {
		t.Error("a process that is not there has used CPU time")
	}
}
