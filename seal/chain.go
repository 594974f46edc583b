// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// chain follows the links from record to record in such a way that one altered
// record is found once: what comes after it is held against every hash that the
// altered one may have had.
type chain struct {
	seq   int64      // the last record
	heads [][32]byte // what its hash may be; empty: unknown, the next link cannot be judged
}

// start begins, or goes on, after a record whose hash is known.
func (c *chain) start(seq int64, head [32]byte) { c.seq, c.heads = seq, append(c.heads[:0], head) }

// trust adds a hash of the last record that is known from elsewhere.
func (c *chain) trust(head [32]byte) {
	if !slices.Contains(c.heads, head) {
		c.heads = append(c.heads, head)
	}
}

// skip passes over records that are not there, up to seq.
func (c *chain) skip(seq int64) { c.seq, c.heads = seq, c.heads[:0] }

// next goes on with the record that follows and reports whether its link holds.
func (c *chain) next(seq int64, hash [32]byte, data []byte) bool {
	var links [][32]byte
	for _, h := range c.heads {
		links = append(links, ledger.Link(h, seq, data))
	}
	ok := len(links) == 0 || slices.Contains(links, hash)
	c.seq, c.heads = seq, append(c.heads[:0], hash)
	if !ok {
		// Either its hash was altered, and the true one is a computed one, or its
		// octets were, and the hash is the true one. The latest are the best known.
		c.heads = append(c.heads, links[max(0, len(links)-2):]...)
	}
	return ok
}

// event names a record by its octets, if they can be read.
func (p *Problem) event(data []byte) {
	if e, err := ledger.Decode(data); err == nil {
		p.Kind, p.ID, p.At = e.Kind, e.ID, e.At
	}
}

// columns compares the columns of a record, by which it is found, with its
// octets. They were written from one event, whose texts the encoding has
// cleaned: the columns are cleaned in the same way before they are compared.
func columns(r storage.Record) (wrong []string) {
	e, err := ledger.Decode(r.Data)
	if err != nil {
		return []string{"contenuto illeggibile / unreadable contents"}
	}
	if same(e, r.At, r.Event, r.ID, r.Mailbox) {
		return nil
	}
	c, err := ledger.Decode(ledger.Event{At: r.At, Kind: ledger.Kind(r.Event), ID: r.ID, Mailbox: r.Mailbox}.Encode())
	if err == nil && same(e, c.At, string(c.Kind), c.ID, c.Mailbox) {
		return nil
	}
	return []string{fmt.Sprintf("le colonne non corrispondono al contenuto (at %s, event %.80q, id %.80q, mailbox %.80q) / the columns are not what the octets say",
		r.At.Format(time.RFC3339Nano), r.Event, r.ID, r.Mailbox)}
}

// same reports whether an event has these columns.
func same(e ledger.Event, at time.Time, kind, id, mailbox string) bool {
	return e.At.Equal(at.Truncate(time.Millisecond)) && string(e.Kind) == kind && e.ID == id && strings.ToLower(e.Mailbox) == mailbox
}
