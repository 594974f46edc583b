// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pecd/protection"
)

// Interceptions counts what was intercepted since the start of the node:
// pecd_intercepted_total{kind,action}. The figures of a day (indicator 11) follow
// from the ledger.
type Interceptions struct{ *prometheus.CounterVec }

// NewInterceptions returns the counters of one node.
func NewInterceptions() Interceptions {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pecd_intercepted_total", Help: "Messages in which something was intercepted, by what it was and what was done: log, tag, folder, refuse.",
	}, []string{"kind", "action"})
	v.WithLabelValues("virus", string(protection.Refuse))
	for _, k := range protection.Kinds() {
		for _, a := range []string{"log", string(protection.Tag), string(protection.Folder), string(protection.Refuse)} {
			v.WithLabelValues(string(k), a)
		}
	}
	return Interceptions{v}
}

// Count counts one.
func (i Interceptions) Count(kind, action string) { i.WithLabelValues(kind, action).Inc() }
