// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import "time"

// day is a civil day: of 23 or 25 hours where the clocks change.
type day struct {
	number     int // yyyymmdd
	start, end time.Time
}

// dayOf is the civil day of an instant in legal time.
func dayOf(t time.Time, loc *time.Location) day {
	y, m, d := t.In(loc).Date()
	return day{
		number: y*10000 + int(m)*100 + d,
		start:  time.Date(y, m, d, 0, 0, 0, 0, loc), end: time.Date(y, m, d+1, 0, 0, 0, 0, loc),
	}
}
