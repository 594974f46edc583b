// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"sync/atomic"

	"pecd/storage"
)

// Result is what became of a notice.
type Result string

// The results.
const (
	Sent    Result = "sent" // by mail: handed to the relay
	Failed  Result = "failed"
	Retried Result = "retried"
)

// Figure is how many notices by a kind of contacts had a result since the start.
type Figure struct {
	Kind   storage.ContactKind
	Result Result
	Count  int64
}

type counters [2][3]atomic.Int64

func (c *counters) at(k storage.ContactKind, r Result) *atomic.Int64 {
	kind, result := 0, 0
	if k == storage.ContactSMS {
		kind = 1
	}
	switch r {
	case Failed:
		result = 1
	case Retried:
		result = 2
	}
	return &c[kind][result]
}

func (c *counters) add(k storage.ContactKind, r Result) { c.at(k, r).Add(1) }

// Figures tells what became of the notices since the start.
func (s *Service) Figures() (all []Figure) {
	for _, k := range [...]storage.ContactKind{storage.ContactMail, storage.ContactSMS} {
		for _, r := range [...]Result{Sent, Failed, Retried} {
			all = append(all, Figure{k, r, s.figures.at(k, r).Load()})
		}
	}
	return all
}
