// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodeName(t *testing.T) {
	for in, want := range map[string]string{
		"INBOX": "INBOX", "Attivit&AOA-": "Attività", "Entw&APw-rfe/&2D3cGQ-": "Entwürfe/🐙", "a&-b": "a&b", "&-&-": "&&",
		"&ZeVnLIqe-": "日本語", "Attività": "Attività", "&AOA-&-&AOA-": "à&à",
	} {
		if got, ok := decodeName(in, false); !ok || got != want {
			t.Errorf("%q: %q %v", in, got, ok)
		}
	}
	for _, in := range []string{
		"a&b", "&", "&AOA", "&AOA-&AOA-", "&AGEAYg-", "&2D0-", "&3Bk-", "&AOB-", "&AO-", "&A-", "&AOA=-", "&AO\nA-", "&AO/A-", "a\x7f", "a\x01", "\xff", "&AOA\xff-",
		"&AC8-", // a delimiter in disguise
	} {
		if got, ok := decodeName(in, false); ok {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got, ok := decodeName("a&-b&AOA-", true); !ok || got != "a&-b&AOA-" {
		t.Errorf("UTF-8: %q %v", got, ok)
	}
	if _, ok := decodeName("\xc3", true); ok {
		t.Error("half a character is taken")
	}
}

func TestAppendName(t *testing.T) {
	for name, want := range map[string][2]string{
		"INBOX": {"INBOX", "INBOX"}, "Attività": {`"Attivit&AOA-"`, `"Attività"`}, `a"&b`: {`"a\"&-b"`, `"a\"&b"`},
	} {
		for i, utf8ok := range []bool{false, true} {
			if got := string(appendName(nil, name, utf8ok)); got != want[i] {
				t.Errorf("%q: %s, want %s", name, got, want[i])
			}
		}
	}
}

// Every name comes back as it was, and nothing that is taken has a second form.
func FuzzName(f *testing.F) {
	for _, s := range []string{"", "INBOX", "Attività/2026", "&AOA-", "🐙&", "a&-", "\u007f", "&AGE-", "&-&AOA-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			encoded := encodeName(s)
			if back, ok := decodeName(encoded, false); !ok || back != s {
				t.Fatalf("%q → %q → %q %v", s, encoded, back, ok)
			}
		}
		if name, ok := decodeName(s, false); ok && strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0 {
			if again := encodeName(name); again != s {
				t.Fatalf("%q → %q → %q", s, name, again)
			}
		}
	})
}
