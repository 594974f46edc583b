// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import "time"

// mirror is what the other nodes have of today, as far as it was told.
type mirror struct {
	at   time.Time // when all of it was told; zero: never
	day  int
	upTo string // the number that it leads up to
	of   map[string]Count
}

// maxMirror bounds the mirror; of who is not in it nothing is known then.
const maxMirror = 1_000_000

// noticed is how long after a node was last heard of all others know that it is
// missing, with room for clocks that differ and for calls that were under way.
const noticed = 2*presentFor + 5*time.Second

// alone is the state of a mailbox while the nodes do not see each other. With
// one node it is exact. Otherwise each has a part of what nobody can have used up
// (ADR 0023): of the day, what is left of the part of those that were present,
// once what they may have accepted unseen is taken off, divided by all nodes; of
// the minute nothing until what was accepted before no longer counts, and then a
// part.
func (s *Shared) alone(b *slot, key string, f Figures, now time.Time) state {
	all := max(s.nodes, s.seen.nodes)
	if all == 1 {
		return b.state(f, s.boxes.loc)
	}
	part := f.part(1, all)
	left := s.left(b, key, f, all)
	part.PerDay, part.RecipientsPerDay = left.Messages, left.Recipients
	st := b.state(part, s.boxes.loc)
	st.day, st.reduced = b.away, true
	if opens := s.lost.Add(noticed - presentFor + span); now.Before(opens) {
		st.minute = Count{part.PerMinute, part.RecipientsPerMinute}
		st.opens = func(Count) int64 { return opens.UnixMicro() }
	}
	return st
}

// left is how much this node may accept today while it is alone, what it has
// accepted so included.
func (s *Shared) left(b *slot, key string, f Figures, all int) Count {
	others, since, known := s.others(key, b.day)
	if !known {
		return Count{}
	}
	end := s.lost.Add(noticed)
	if !since.Before(end) {
		// All others have known since the day began.
		p := f.part(1, all)
		return Count{p.PerDay, p.RecipientsPerDay}
	}
	minutes := int(end.Sub(since)/span) + 1
	pool := f.part(min(s.seen.present, all), all)
	used := b.today.minus(b.away).plus(others)
	share := func(pool, used, perMinute int) int { return max(0, (pool-used-perMinute*minutes)/all) }
	return Count{share(pool.PerDay, used.Messages, f.PerMinute), share(pool.RecipientsPerDay, used.Recipients, f.RecipientsPerMinute)}
}

// others is what the other nodes had of a mailbox's day at an instant.
func (s *Shared) others(key string, d day) (n Count, since time.Time, known bool) {
	switch m := &s.mirror; {
	case !d.start.Before(s.lost):
		return Count{}, d.start, true // it began after this node was alone
	case m.at.IsZero():
		return Count{}, time.Time{}, false
	case m.at.Before(d.start):
		return Count{}, d.start, true
	case m.day == d.number:
		n, there := m.of[key]
		return n, m.at, there || len(m.of) < maxMirror
	}
	return Count{}, time.Time{}, false
}
