// SPDX-License-Identifier: EUPL-1.2

package imap

import "pecd/fault"

const noRoom = "spazio esaurito sul sistema, riprovare piu' tardi / no room on the system, try again later"

// room refuses a message of a size in octets, of kind fault.NoSpace, where it
// would take what is to stay free on the store's disk. The client keeps it, and
// tries again. Copies and moves within the store take no room and go on.
func (s *Server) room(size int64) error {
	if s.cfg.Room != nil && s.cfg.Room() <= size {
		return fault.Say("imap.Append", fault.NoSpace, noRoom)
	}
	return nil
}
