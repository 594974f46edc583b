// SPDX-License-Identifier: EUPL-1.2

// Package metrics holds the Prometheus collectors of a node. No label carries
// an address, an identifier or anything else that grows with the mail.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pecd/alarm"
)

// Alarms collects what is raised on a board: pecd_alarm{alarm} is 1, and
// pecd_alarm_since_seconds{alarm} the Unix time since when.
func Alarms(b *alarm.Board) prometheus.Collector { return alarms{b} }

type alarms struct{ board *alarm.Board }

// Describe implements prometheus.Collector.
func (a alarms) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (a alarms) Collect(out chan<- prometheus.Metric) {
	d := descriptions()
	for _, r := range a.board.Raised() {
		out <- prometheus.MustNewConstMetric(d[0], prometheus.GaugeValue, 1, r.Name)
		out <- prometheus.MustNewConstMetric(d[1], prometheus.GaugeValue, float64(r.Since.UnixMilli())/1000, r.Name)
	}
}

func descriptions() [2]*prometheus.Desc {
	label := []string{"alarm"}
	return [2]*prometheus.Desc{
		prometheus.NewDesc("pecd_alarm", "A condition that lasts and needs a person; absent while it is not raised.", label, nil),
		prometheus.NewDesc("pecd_alarm_since_seconds", "Unix time at which the alarm was raised.", label, nil),
	}
}

// ClockOffset collects the last measured deviation of the clock: its offset in
// seconds and the Unix time of the measurement. Nothing is told before the first one.
func ClockOffset(last func() (offset time.Duration, at time.Time, ok bool)) prometheus.Collector {
	return clockOffset{last}
}

type clockOffset struct {
	last func() (time.Duration, time.Time, bool)
}

// Describe implements prometheus.Collector.
func (c clockOffset) Describe(out chan<- *prometheus.Desc) {
	for _, d := range clockDescriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c clockOffset) Collect(out chan<- prometheus.Metric) {
	offset, at, ok := c.last()
	if !ok {
		return
	}
	d := clockDescriptions()
	out <- prometheus.MustNewConstMetric(d[0], prometheus.GaugeValue, offset.Seconds())
	out <- prometheus.MustNewConstMetric(d[1], prometheus.GaugeValue, float64(at.UnixMilli())/1000)
}

func clockDescriptions() [2]*prometheus.Desc {
	return [2]*prometheus.Desc{
		prometheus.NewDesc("pecd_clock_offset_seconds", "Deviation of the clock from the configured time servers.", nil, nil),
		prometheus.NewDesc("pecd_clock_measured_seconds", "Unix time of the last measurement of the clock.", nil, nil),
	}
}
