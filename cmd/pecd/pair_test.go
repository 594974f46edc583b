// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPair(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	p, err := newPair(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one ", "two\x00", "three\x00", " four"} {
		if n, err := p.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{a: "one two", b: "three\x00 four"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := newPair(filepath.Join(dir, "c"), b); err == nil {
		t.Error("a file that is there was taken")
	}
	if exists(filepath.Join(dir, "c")) {
		t.Error("half a pair was left behind")
	}
	if got, _ := os.ReadFile(b); string(got) != "three\x00 four" {
		t.Error("a file that was there is gone")
	}
}
