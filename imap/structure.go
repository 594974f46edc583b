// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"sync"

	"pecd/rfc822"
	"pecd/storage"
)

const (
	cacheBytes   = 32 << 20 // of the trees kept, by treeCost
	cacheLargest = 4 << 20  // a tree that costs more is not kept
	readChunk    = 64 << 10
)

// scanned reads messages through whose summary does not tell the tree, and keeps
// the trees used last: of some the summary is too large to be stored.
type scanned struct {
	slots chan struct{} // bounds how many messages are read at a time

	mu    sync.Mutex
	byID  map[storage.BodyID]*list.Element
	order *list.List // of *cachedTree, last used first
	cost  int64
}

type cachedTree struct {
	id   storage.BodyID
	tree *rfc822.Message
	cost int64
}

func newScanned(slots chan struct{}) *scanned {
	return &scanned{slots: slots, byID: make(map[storage.BodyID]*list.Element), order: list.New()}
}

// message returns the MIME tree of the message in b. It is shared: callers must
// not change it.
func (s *scanned) message(ctx context.Context, id storage.BodyID, b storage.Body) (*rfc822.Message, error) {
	if t := s.cached(id); t != nil {
		return t, nil
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.slots }()
	sc := rfc822.NewScanner(rfc822.DefaultLimits())
	buf := make([]byte, min(readChunk, max(b.Size(), 1)))
	for off := int64(0); off < b.Size(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := b.ReadAt(buf[:min(int64(len(buf)), b.Size()-off)], off)
		_, _ = sc.Write(buf[:n])
		off += int64(n)
		if err != nil && (err != io.EOF || off < b.Size()) {
			return nil, err
		}
	}
	t := sc.Finish()
	s.keep(id, t)
	return t, nil
}

func (s *scanned) cached(id storage.BodyID) *rfc822.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return nil
	}
	s.order.MoveToFront(e)
	return e.Value.(*cachedTree).tree
}

func (s *scanned) keep(id storage.BodyID, t *rfc822.Message) {
	cost := treeCost(t)
	if cost > cacheLargest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] != nil {
		return
	}
	s.byID[id] = s.order.PushFront(&cachedTree{id: id, tree: t, cost: cost})
	s.cost += cost
	for s.cost > cacheBytes {
		last := s.order.Remove(s.order.Back()).(*cachedTree)
		delete(s.byID, last.id)
		s.cost -= last.cost
	}
}

// treeCost is about how many octets of memory a tree takes.
func treeCost(t *rfc822.Message) int64 {
	cost := int64(256)
	t.Root.Walk(func(p *rfc822.Part) bool {
		cost += 512 + int64(len(p.Header.Raw())) + 16*int64(p.Header.Len())
		for k, v := range p.Params {
			cost += int64(len(k)+len(v)) + 64
		}
		for k, v := range p.DispositionParams {
			cost += int64(len(k)+len(v)) + 64
		}
		return true
	})
	return cost
}

// maxHeader is how much of a message's header is looked into, in octets.
const maxHeader = 512 << 10

// head is the header block of a message, found without reading the rest.
type head struct {
	raw []byte // its first maxHeader octets
	end int64  // where the body starts
}

// readHead finds the blank line that ends the header.
func readHead(b storage.Body) (head, error) {
	var h head
	buf := make([]byte, min(8<<10, b.Size()))
	var tail [2]byte // the last octets before buf; a message starts as after a line end
	tail[1] = '\n'
	for off := int64(0); off < b.Size(); {
		n, err := b.ReadAt(buf[:min(int64(len(buf)), b.Size()-off)], off)
		if n == 0 {
			return head{}, unexpected(err)
		}
		if at := blankLine(tail, buf[:n]); at >= 0 {
			h.end = off + int64(at)
			h.keep(buf[:at])
			return h, nil
		}
		h.keep(buf[:n])
		tail = lastTwo(tail, buf[:n])
		off += int64(n)
		if len(buf) < readChunk {
			buf = make([]byte, readChunk)
		}
	}
	h.end = b.Size()
	return h, nil
}

func unexpected(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (h *head) keep(p []byte) {
	h.raw = append(h.raw, p[:min(len(p), maxHeader-len(h.raw))]...)
}

func lastTwo(tail [2]byte, p []byte) [2]byte {
	if len(p) == 1 {
		return [2]byte{tail[1], p[0]}
	}
	return [2]byte{p[len(p)-2], p[len(p)-1]}
}

// blankLine returns the end of the first blank line of p, -1 without one. tail
// are the two octets before p.
func blankLine(tail [2]byte, p []byte) int {
	at := func(i int) byte {
		if i < 0 {
			return tail[2+i]
		}
		return p[i]
	}
	for i := 0; i < len(p); i++ {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n
		if at(i-1) == '\n' || at(i-1) == '\r' && at(i-2) == '\n' {
			return i + 1
		}
	}
	return -1
}
