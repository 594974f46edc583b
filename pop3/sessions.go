// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"sync"

	"pecd/storage"
)

// maxPerMailbox is how many sessions of one mailbox there may be: each holds 20
// octets for each message.
const maxPerMailbox = 20

// Sessions counts the sessions of each mailbox over all listeners of a node. The
// zero value has none.
type Sessions struct {
	mu   sync.Mutex
	open map[storage.MailboxID]int
}

// begin counts a session of a mailbox in, unless there are too many.
func (s *Sessions) begin(m storage.MailboxID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[m] >= maxPerMailbox {
		return false
	}
	if s.open == nil {
		s.open = make(map[storage.MailboxID]int)
	}
	s.open[m]++
	return true
}

// end counts a session of a mailbox out.
func (s *Sessions) end(m storage.MailboxID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[m]--; s.open[m] <= 0 {
		delete(s.open, m)
	}
}

// of is the number of sessions of a mailbox.
func (s *Sessions) of(m storage.MailboxID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[m]
}
