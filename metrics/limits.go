// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pecd/ratelimit"
)

// SendLimits counts what the send limits do, all mailboxes together.
type SendLimits struct {
	refusals *prometheus.CounterVec
	checks   prometheus.Histogram
	redis    func() (configured, up, shared bool)
}

// NewSendLimits returns the counters of one node. redis tells whether it shares
// a Redis with others, whether that answers, and whether limits are counted
// through it.
func NewSendLimits(redis func() (configured, up, shared bool)) *SendLimits {
	l := &SendLimits{
		redis: redis,
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pecd_limit_refusals_total", Help: "Messages and recipients kept back by a send limit, by its window.",
		}, []string{"window"}),
		checks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pecd_limit_check_seconds", Help: "How long it takes to ask whether a mailbox may send.",
			Buckets: []float64{1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 0.1, 1},
		}),
	}
	for _, w := range ratelimit.Windows() {
		l.refusals.WithLabelValues(string(w))
	}
	return l
}

// Refused counts a refusal for a window.
func (l *SendLimits) Refused(window string) { l.refusals.WithLabelValues(window).Inc() }

// Checked notes how long a question took.
func (l *SendLimits) Checked(took time.Duration) { l.checks.Observe(took.Seconds()) }

// Describe implements prometheus.Collector.
func (l *SendLimits) Describe(out chan<- *prometheus.Desc) {
	l.refusals.Describe(out)
	l.checks.Describe(out)
	for _, d := range redisDescriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (l *SendLimits) Collect(out chan<- prometheus.Metric) {
	l.refusals.Collect(out)
	l.checks.Collect(out)
	configured, up, shared := l.redis()
	if !configured {
		return
	}
	d := redisDescriptions()
	out <- prometheus.MustNewConstMetric(d[0], prometheus.GaugeValue, truth(up))
	out <- prometheus.MustNewConstMetric(d[1], prometheus.GaugeValue, truth(shared))
}

func redisDescriptions() [2]*prometheus.Desc {
	return [2]*prometheus.Desc{
		prometheus.NewDesc("pecd_redis_up", "Whether the Redis that nodes share answers.", nil, nil),
		prometheus.NewDesc("pecd_limits_shared", "Whether send limits are counted by all nodes together; 0: by each alone, and stricter.", nil, nil),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
