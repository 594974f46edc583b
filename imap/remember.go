// SPDX-License-Identifier: EUPL-1.2

package imap

import "pecd/storage"

// Summaries worked out for a client are stored in batches of so many, or so many
// octets, one commit each.
const (
	learnMessages = 256
	learnOctets   = 1 << 20
)

// learned is what a session has found out about messages and not yet stored.
type learned struct {
	step   storage.Step
	octets int
	failed bool // the store did not take some: not tried again in this session
}

// learn takes note of the summary of a message, to be stored by remember. One
// that is too large to be stored is worked out again each time.
func (s *session) learn(id storage.BodyID, summary []byte) {
	l := &s.learned
	if l.failed || len(summary) > storage.MaxSummary {
		return
	}
	l.step.Add(&storage.PutSummary{Body: id, Summary: summary})
	if l.octets += len(summary); len(l.step.Ops) >= learnMessages || l.octets >= learnOctets {
		s.remember()
	}
}

// remember stores what was learned. What the store does not take is worked out
// again another time: the client has its answer in any case.
func (s *session) remember() {
	l := &s.learned
	if len(l.step.Ops) == 0 {
		return
	}
	if err := s.store.Commit(s.ctx, &l.step); err != nil {
		s.log.Warn("imap: summaries not stored", "count", len(l.step.Ops), "error", err)
		l.failed = true
	}
	l.step, l.octets = storage.Step{}, 0
}
