// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pecd/pop3"
)

// POP3 collects what POP3 clients did.
func POP3(figures func() pop3.Figures) prometheus.Collector { return maildrops{figures} }

type maildrops struct{ figures func() pop3.Figures }

// Describe implements prometheus.Collector.
func (m maildrops) Describe(out chan<- *prometheus.Desc) {
	for _, d := range pop3Descriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m maildrops) Collect(out chan<- prometheus.Metric) {
	f := m.figures()
	for i, v := range [...]int64{f.Logins, f.Retrieved, f.Octets, f.Discarded} {
		out <- prometheus.MustNewConstMetric(pop3Descriptions()[i], prometheus.CounterValue, float64(v))
	}
}

func pop3Descriptions() [4]*prometheus.Desc {
	return [4]*prometheus.Desc{
		prometheus.NewDesc("pecd_pop3_logins_total", "Logins by POP3 that succeeded.", nil, nil),
		prometheus.NewDesc("pecd_pop3_retrieved_total", "Messages sent whole by POP3.", nil, nil),
		prometheus.NewDesc("pecd_pop3_retrieved_bytes_total", "Octets of those messages.", nil, nil),
		prometheus.NewDesc("pecd_pop3_discarded_total", "Messages that POP3 clients deleted, moved to recoverable folders.", nil, nil),
	}
}
