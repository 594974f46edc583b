// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	raw := "Received: from a\r\n\tby b\r\nSUBJECT: one\r\n two\r\nsubject:three\r\nNo colon\r\n  more\r\nTo : x@y\r\n: empty\r\nEmpty:\r\nA b: c\r\nLast: \t \r\n \r\n\r\nbody: no\r\n"
	h, err := ParseHeader([]byte(raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	checkHeader(t, h)
	if got, want := string(h.Raw()), strings.TrimSuffix(raw, "body: no\r\n"); got != want {
		t.Errorf("block %q", got)
	}
	var names []string
	for _, f := range h.Fields() {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, ","), "Received,SUBJECT,subject,,To,,Empty,,Last"; got != want {
		t.Errorf("names %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"received": "from a\tby b", "Subject": "one two", "to": "x@y", "Empty": "", "A b": "", "": "", "body": "", "last": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := h.Values("Subject"); fmt.Sprint(got) != "[one two three]" {
		t.Errorf("values %q", got)
	}
	if !h.Has("empty") || h.Has("A b") || h.Has("") || h.Has("body") {
		t.Error("Has")
	}
	if got := h.Defects(); len(got) != 4 || !strings.Contains(got[0], "No colon") {
		t.Errorf("defects %q", got)
	}
}

func TestParseHeaderLimits(t *testing.T) {
	h, err := ParseHeader([]byte("A: b\r\nC: d\r\nE: f\r\n\r\n"), Limits{HeaderFields: 2})
	if !errors.Is(err, ErrHeaderFields) || string(h.Raw()) != "A: b\r\nC: d\r\n" {
		t.Errorf("%q, %v", h.Raw(), err)
	}
	h, err = ParseHeader([]byte("A: b\r\nC: d\r\nE: f\r\n\r\n"), Limits{HeaderBytes: 13})
	if !errors.Is(err, ErrHeaderSize) || string(h.Raw()) != "A: b\r\nC: d\r\n" {
		t.Errorf("%q, %v", h.Raw(), err)
	}
	if _, err = ParseHeader([]byte("A: b\r\nC: d\r\n\r\n"), Limits{HeaderFields: 2, HeaderBytes: 14}); err != nil {
		t.Error(err)
	}
	var zero Header
	if zero.Get("A") != "" || zero.Len() != 0 || len(zero.Raw()) != 0 || zero.Fields() == nil {
		t.Error("zero header")
	}
}

func TestFieldValue(t *testing.T) {
	for raw, want := range map[string]string{
		"A: b\r\n":             "b",
		"A:b":                  "b",
		"A:\r\n b\r\n":         "b",
		"A: b\n\tc\n":          "b\tc",
		"A: b\rBcc: x\r\n":     "b Bcc: x",
		"A: b\r\r\n c\r\n":     "b  c",
		"A:  b  c \t\r\n \r\n": "b  c",
		"A":                    "",
	} {
		if got := (Field{Name: "A", Raw: []byte(raw)}).Value(); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}
