// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import "time"

// state is what counts of a mailbox, and what bounds it.
type state struct {
	figures     Figures
	minute, day Count
	ends        time.Time // of the day
	loc         *time.Location
	reduced     bool
	// opens is when so much no longer counts for the minute, in µs.
	opens func(need Count) int64
}

// room is how many recipients one more message may have.
func (s state) room() int {
	return max(0, min(s.figures.RecipientsPerMinute-s.minute.Recipients, s.figures.RecipientsPerDay-s.day.Recipients))
}

// judge returns nil where one more message to so many recipients passes, and
// otherwise the bound that keeps it back for longest.
func (s state) judge(recipients int) *Reached {
	var worst *Reached
	over := func(w Window, figure, would int, opens func(need int) time.Time) {
		if would <= figure {
			return
		}
		r := &Reached{Window: w, Figure: figure, Opens: opens(would - figure), Reduced: s.reduced}
		if worst == nil || r.Opens.After(worst.Opens) {
			worst = r
		}
	}
	midnight := func(int) time.Time { return s.ends }
	over(Minute, s.figures.PerMinute, s.minute.Messages+1, func(n int) time.Time { return s.at(Count{Messages: n}) })
	over(RecipientsMinute, s.figures.RecipientsPerMinute, s.minute.Recipients+recipients, func(n int) time.Time { return s.at(Count{Recipients: n}) })
	over(Day, s.figures.PerDay, s.day.Messages+1, midnight)
	over(RecipientsDay, s.figures.RecipientsPerDay, s.day.Recipients+recipients, midnight)
	return worst
}

func (s state) at(need Count) time.Time { return time.UnixMicro(s.opens(need)).In(s.loc) }

// answer is the error of judge's bound, nil for none.
func (s state) answer(op string, f Figures, recipients int) error {
	if most := min(f.RecipientsPerMinute, f.RecipientsPerDay); recipients > most {
		return TooMany(op, most)
	}
	if r := s.judge(recipients); r != nil {
		return r.fault(op)
	}
	return nil
}

// use tells the state.
func (s state) use() Use {
	u := Use{Minute: s.minute, Day: s.day, Figures: s.figures, Reduced: s.reduced}
	minute, day := s, s
	minute.figures.PerDay, minute.figures.RecipientsPerDay = s.day.Messages+1, s.day.Recipients+1
	if r := minute.judge(1); r != nil {
		u.MinuteOpens = r.Opens
	}
	day.figures.PerMinute, day.figures.RecipientsPerMinute = s.minute.Messages+1, s.minute.Recipients+1
	if r := day.judge(1); r != nil {
		u.DayOpens = r.Opens
	}
	return u
}
