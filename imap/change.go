// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"pecd/storage"
)

const codeExpunged = "EXPUNGEISSUED" // RFC 5530

// errExpunged refuses a command all of whose messages are gone, though the client
// was not told yet. Clients know the English words.
var errExpunged = no(codeExpunged, "messaggi eliminati da altri / the messages have been deleted")

var errNoSuchMessage = bad("numero di messaggio inesistente / no such message")

// targets resolves the set of a command that changes messages.
func (s *session) targets(set numSet) ([]span, error) {
	if s.view == nil {
		return nil, errNotSelected
	}
	spans, ok := s.view.resolve(set)
	if !ok {
		return nil, errNoSuchMessage
	}
	return spans, nil
}

// commit applies operations as one step.
func (s *session) commit(ops ...storage.Op) error {
	return s.store.Commit(s.ctx, (&storage.Step{}).Add(ops...))
}

// follow notes that the session itself made the folder's change with this modseq,
// and has told it. Where nothing came between, there is nothing else to be told.
func (v *view) follow(modseq uint64) {
	if modseq == v.modseq+1 {
		v.modseq = modseq
	}
}
