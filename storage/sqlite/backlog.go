// SPDX-License-Identifier: EUPL-1.2

package sqlite

// Backlog returns how many jobs of a kind wait that nobody has and no operator
// keeps back, those that are to be tried again later included. It reads nothing
// from the disk.
func (s *Store) Backlog(kind string) int {
	x := s.jobs
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.kinds[kind]
	if k == nil {
		return 0
	}
	n := 0
	for _, l := range k.lanes {
		n += len(l.jobs) - l.held
	}
	return n
}
