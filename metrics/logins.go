// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pecd/guesses"
)

// Logins collects how many logins were refused.
func Logins(refusals func() []guesses.Refusals) prometheus.Collector { return logins{refusals} }

type logins struct{ refusals func() []guesses.Refusals }

// Describe implements prometheus.Collector.
func (l logins) Describe(out chan<- *prometheus.Desc) { out <- loginsRefused() }

// Collect implements prometheus.Collector.
func (l logins) Collect(out chan<- prometheus.Metric) {
	for _, r := range l.refusals() {
		out <- prometheus.MustNewConstMetric(loginsRefused(), prometheus.CounterValue, float64(r.Count), r.Protocol, string(r.Reason))
	}
}

func loginsRefused() *prometheus.Desc {
	return prometheus.NewDesc("pecd_logins_refused_total", "Logins that were refused: for a wrong password, or put off after too many of them from an address or for an account.",
		[]string{"protocol", "reason"}, nil)
}
