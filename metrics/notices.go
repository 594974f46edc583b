// SPDX-License-Identifier: EUPL-1.2

package metrics

import "github.com/prometheus/client_golang/prometheus"

// NoticeFigure is how many notices to contacts of a kind (mail, sms) had a result.
type NoticeFigure struct {
	Kind, Result string
	Count        int64
}

// Notices collects what became of the notices to users' contacts.
func Notices(figures func() []NoticeFigure) prometheus.Collector { return notices{figures} }

type notices struct{ figures func() []NoticeFigure }

// Describe implements prometheus.Collector.
func (n notices) Describe(out chan<- *prometheus.Desc) { out <- noticesDescription() }

// Collect implements prometheus.Collector.
func (n notices) Collect(out chan<- prometheus.Metric) {
	for _, f := range n.figures() {
		out <- prometheus.MustNewConstMetric(noticesDescription(), prometheus.CounterValue, float64(f.Count), f.Kind, f.Result)
	}
}

func noticesDescription() *prometheus.Desc {
	return prometheus.NewDesc("pecd_notices_total", "Notices to users' ordinary mail and mobile phones, by kind and result.", []string{"kind", "result"}, nil)
}
