// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"slices"
	"time"
)

// figure is one measured value of a cell: the median of its rounds.
type figure struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Value  float64 `json:"value"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
	// Target is what the figure must be at least, or at most with AtMost; 0: none.
	Target float64 `json:"target,omitempty"`
	AtMost bool    `json:"at_most,omitempty"`
	// Aim is a further target that is wished for and not asked for.
	Aim float64 `json:"aim,omitempty"`
	Met bool    `json:"met,omitempty"`
}

// measured makes a figure of the values of rounds.
func measured(name, unit string, values ...float64) figure {
	if len(values) == 0 {
		values = []float64{0}
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		mid = (mid + sorted[len(sorted)/2-1]) / 2
	}
	return figure{Name: name, Unit: unit, Value: mid, Low: sorted[0], High: sorted[len(sorted)-1], Rounds: len(sorted)}
}

// atLeast sets the target of a figure that should be high; aim 0: none.
func (f figure) atLeast(target, aim float64) figure {
	f.Target, f.Aim, f.Met = target, aim, f.Value >= target
	return f
}

// atMost sets the target of a figure that should be low.
func (f figure) atMost(target float64) figure {
	f.Target, f.AtMost, f.Met = target, true, f.Value <= target
	return f
}

// percentile is the value below which p of 100 durations lie, in milliseconds.
func percentile(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(len(sorted)-1, int(float64(len(sorted))*p/100))
	return milliseconds(sorted[i])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
