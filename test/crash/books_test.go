// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"sync"
	"time"
)

// told is what the client of a message knows about it.
type told int

const (
	never    told = iota // not sent up to its final dot: there must be nothing of it
	refused              // 4xx or 5xx at the final dot: the same
	unknown              // the connection ended after the final dot: all of it, or nothing
	accepted             // 250
)

// Kinds of recipients.
const (
	certified = iota // has a mailbox
	nobody           // an address without a mailbox, at a certified domain
	ordinary         // at the sink
)

type recipient struct {
	address string
	kind    int
	node    *node // whose domain it is; nil: ordinary
}

// sending is one message that a client handed in.
type sending struct {
	id      string // Message-ID with its angle brackets
	from    string
	at      *node
	to      []recipient
	wrong   bool // breaks a formal check: answered by a notice of non-acceptance
	mx      bool // ordinary mail to the incoming point
	subject string
	form    string   // X-TipoRicevuta; "": none, which asks for complete receipts
	body    [32]byte // SHA-256 of the body
	size    int

	told  told
	begun time.Time // final dot
	ended time.Time // answer read
}

// books are what clients of one site were told.
type books struct {
	mu   sync.Mutex
	list []*sending
	byID map[string]*sending
}

func newBooks() *books { return &books{byID: make(map[string]*sending)} }

// open enters a message before its first octet is sent.
func (b *books) open(s *sending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, s)
	b.byID[s.id] = s
}

// tell enters what became of it.
func (b *books) tell(s *sending, what told, begun, ended time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.told, s.begun, s.ended = what, begun, ended
}

// entries returns copies of all entries: a later answer does not change them.
func (b *books) entries() []sending {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]sending, len(b.list))
	for i, s := range b.list {
		out[i] = *s
	}
	return out
}

// count returns how many entries there are of each kind of answer.
func (b *books) count() (n [accepted + 1]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.list {
		n[s.told]++
	}
	return n
}
