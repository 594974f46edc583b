// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"strings"

	"pecd/storage"
)

// seenStore is what the oracle has seen of a node's store, and what must
// therefore be there for ever.
type seenStore struct {
	folders []*seenFolder
	seq     int64    // of the log
	hash    [32]byte // of that record
}

type seenFolder struct {
	address  string
	id       storage.FolderID
	next     uint32
	messages []seenMessage
}

type seenMessage struct {
	uid uint32
	sum digest
}

// look reads what is new in the stores that have changed.
func (j *judge) look() {
	for _, n := range j.w.nodes {
		if n.store != nil && n.dirty && !n.store.dead {
			n.dirty = false
			j.lookAt(n)
		}
	}
}

func (j *judge) lookAt(n *node) {
	j.readLog(n)
	// Acceptances first: everything else refers to them; then the envelopes that
	// the receipts are about.
	var fresh []found
	for _, f := range n.seen.folders {
		fresh = append(fresh, j.news(n, f)...)
	}
	rank := func(f found) int {
		for i, x := range []string{"\r\nX-Ricevuta: accettazione\r\n", "\r\nX-Ricevuta: non-accettazione\r\n", "\r\nX-Trasporto: ", "\r\nX-Ricevuta: rilevazione-virus\r\n"} {
			if containsHeader(f.raw, x) {
				return i
			}
		}
		return 9
	}
	slices.SortStableFunc(fresh, func(a, b found) int { return rank(a) - rank(b) })
	for _, f := range fresh {
		j.sight(n, f.box, f.raw)
	}
	j.settleEarly()
}

// containsHeader reports whether a message has a field, given with the line
// ends around it, in its header.
func containsHeader(raw []byte, field string) bool {
	header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return bytes.Contains(append(header[:len(header):len(header)], "\r\n"...), []byte(field))
}

type found struct {
	box string
	raw []byte
}

// news reads the messages of a folder that were not seen yet.
func (j *judge) news(n *node, f *seenFolder) (fresh []found) {
	ctx, w := context.Background(), j.w
	now, err := n.store.FolderByID(ctx, f.id)
	if err != nil {
		w.fail("%s: %s: %v", n.name, f.address, err)
	}
	if strings.HasPrefix(f.address, "piena@") && now.Bytes > tinyQuota {
		w.fail("%s: %s holds %d octets, at most %d", n.name, f.address, now.Bytes, tinyQuota)
	}
	if now.UIDNext == f.next {
		return nil
	}
	err = n.store.Messages(ctx, f.id, f.next, 0, func(m storage.Message) error {
		raw, err := n.load(m)
		if err != nil {
			return err
		}
		f.messages = append(f.messages, seenMessage{m.UID, sha256.Sum256(raw)})
		fresh = append(fresh, found{f.address, raw})
		f.next = m.UID + 1
		return nil
	})
	if err != nil || f.next != now.UIDNext {
		w.fail("%s: %s: read up to %d of %d: %v", n.name, f.address, f.next, now.UIDNext, err)
	}
	return fresh
}

func (n *node) load(m storage.Message) ([]byte, error) {
	b, err := n.store.Store.OpenBody(context.Background(), m.Body)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	raw := make([]byte, b.Size())
	_, err = io.ReadFull(io.NewSectionReader(b, 0, b.Size()), raw)
	return raw, err
}

// remembers wants everything that was seen of a node to have outlived its crash.
func (j *judge) remembers(n *node) {
	ctx, w := context.Background(), j.w
	for _, f := range n.seen.folders {
		now, err := n.store.FolderByID(ctx, f.id)
		if err != nil || now.UIDNext < f.next || int(now.Messages) < len(f.messages) {
			w.fail("%s: %s had %d messages up to %d, now %d up to %d: %v", n.name, f.address, len(f.messages), f.next, now.Messages, now.UIDNext, err)
		}
	}
	state, err := n.store.LogState(ctx)
	if err != nil || state.Last < n.seen.seq || (state.Last == n.seen.seq && state.Head != n.seen.hash) {
		w.fail("%s: the log had %d records, now %d: %v", n.name, n.seen.seq, state.Last, err)
	}
	j.look()
}

// rereads wants every message and record that was ever seen to be there, and
// nothing else.
func (j *judge) rereads(n *node) {
	ctx, w := context.Background(), j.w
	for _, f := range n.seen.folders {
		var now []seenMessage
		err := n.store.Messages(ctx, f.id, 1, 0, func(m storage.Message) error {
			raw, err := n.load(m)
			now = append(now, seenMessage{m.UID, sha256.Sum256(raw)})
			return err
		})
		if err != nil || !slices.Equal(now, f.messages) {
			w.fail("%s: %s has %d messages, %d were seen: %v", n.name, f.address, len(now), len(f.messages), err)
		}
	}
	seq, hash := n.seen.seq, n.seen.hash
	n.seen.seq, n.seen.hash = 0, [32]byte{}
	j.chain(n, nil)
	state, err := n.store.LogState(ctx)
	if err != nil || n.seen.seq != seq || n.seen.hash != hash || state.Last != seq || state.Head != hash {
		w.fail("%s: the log read again is another one: %d records, %d were seen, head says %d: %v", n.name, n.seen.seq, seq, state.Last, err)
	}
	if err := n.store.Check(ctx, func(p storage.Problem) error {
		w.fail("%s: the store's check: %s: %s", n.name, p.Where, p.What)
		return nil
	}); err != nil {
		w.fail("%s: the store's check: %v", n.name, err)
	}
}

// empty removes the messages of a mailbox, as its holder would.
func (s *seenStore) empty(n *node, address string) {
	for _, f := range s.folders {
		if f.address != address || len(f.messages) == 0 {
			continue
		}
		op := &storage.Expunge{Folder: f.id}
		for _, m := range f.messages {
			op.UIDs = append(op.UIDs, m.uid)
		}
		mode := n.mode
		n.mode = noCrash
		if err := n.store.Commit(context.Background(), new(storage.Step).Add(op)); err != nil || len(op.Expunged) != len(f.messages) {
			n.w.fail("%s: emptying %s removes %d of %d: %v", n.name, address, len(op.Expunged), len(f.messages), err)
		}
		n.mode, f.messages = mode, nil
		n.w.note("%s: %s is emptied", n.name, address)
	}
}
