// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pecd/storage"
)

// countedBody counts how often it is read.
type countedBody struct {
	memoryBody
	reads *int
}

func (c countedBody) ReadAt(p []byte, off int64) (int, error) {
	*c.reads++
	return c.memoryBody.ReadAt(p, off)
}

func TestStructureCache(t *testing.T) {
	s := newScanned(make(chan struct{}, 1))
	reads := 0
	get := func(id storage.BodyID, text string) {
		t.Helper()
		tree, err := s.message(t.Context(), id, countedBody{memoryBody(text), &reads})
		if err != nil || tree.Size != int64(len(text)) {
			t.Fatal(tree, err)
		}
	}
	get(1, nested)
	first := reads
	if get(1, nested); reads != first {
		t.Error("read again")
	}
	// Trees with large headers push each other out, within the bound.
	for id := storage.BodyID(2); id < 200; id++ {
		get(id, fmt.Sprintf("X-%d: %s\r\n\r\nx", id, strings.Repeat("y", 400<<10)))
	}
	if s.cost > cacheBytes || len(s.byID) != s.order.Len() || len(s.byID) < 10 {
		t.Errorf("%d octets in %d trees", s.cost, len(s.byID))
	}
	before := reads
	if get(1, nested); reads == before {
		t.Error("the oldest tree was kept")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.message(ctx, 1000, memoryBody(nested)); err == nil {
		t.Error("no error after the end of the connection")
	}
}

func TestReadHead(t *testing.T) {
	for _, text := range []string{"\r\nx", "\nx", "a: b\r\n\r\nx", "a: b\n\nx", "a: b\r\n\nx", "a: b\n\r\nx", "a: b\r\n", "a: b", "a: b\r\r\nx", "a\r\n b\r\n\r\n",
		strings.Repeat("a: b\r\n", 3000) + "\r\nx"} {
		want := len(text)
		pos := 0
		for pos < len(text) { // line by line, as RFC 5322 §2.1 has it
			line, _, found := strings.Cut(text[pos:], "\n")
			pos += len(line)
			if found {
				pos++
			}
			if found && (line == "" || line == "\r") {
				want = pos
				break
			}
		}
		h, err := readHead(memoryBody(text))
		if err != nil || h.end != int64(want) || string(h.raw) != text[:want] {
			t.Errorf("%.20q: %d octets, want %d, %v", text, h.end, want, err)
		}
	}
}
