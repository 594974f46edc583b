// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pecd/admission"
)

// AdmissionFigures are what a node knows of its ways in.
type AdmissionFigures struct {
	Gates      []admission.Figures
	Deliveries int   // waiting for own mailboxes
	Room       int64 // octets on the disk above the bound
}

// Admission collects what the ways in have let in and refused.
func Admission(figures func() AdmissionFigures) prometheus.Collector { return admissions{figures} }

type admissions struct{ figures func() AdmissionFigures }

// Describe implements prometheus.Collector.
func (a admissions) Describe(out chan<- *prometheus.Desc) {
	for _, d := range admissionDescriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (a admissions) Collect(out chan<- prometheus.Metric) {
	d := admissionDescriptions()
	f := a.figures()
	for _, g := range f.Gates {
		out <- prometheus.MustNewConstMetric(d[0], prometheus.CounterValue, float64(g.Admitted), g.Name)
		for _, why := range admission.Reasons() {
			out <- prometheus.MustNewConstMetric(d[1], prometheus.CounterValue, float64(g.Refused[why]), g.Name, string(why))
		}
		out <- prometheus.MustNewConstMetric(d[2], prometheus.GaugeValue, float64(g.In), g.Name)
		out <- prometheus.MustNewConstMetric(d[3], prometheus.GaugeValue, float64(g.Queued), g.Name)
	}
	out <- prometheus.MustNewConstMetric(d[4], prometheus.GaugeValue, float64(f.Deliveries))
	out <- prometheus.MustNewConstMetric(d[5], prometheus.GaugeValue, float64(f.Room))
}

func admissionDescriptions() [6]*prometheus.Desc {
	gate := []string{"gate"}
	return [6]*prometheus.Desc{
		prometheus.NewDesc("pecd_admission_admitted_total", "Messages that were let in, to be accepted or refused for what they are.", gate, nil),
		prometheus.NewDesc("pecd_admission_refused_total", "Clients that were sent away (451, 452) before they sent a message, by reason.", []string{"gate", "reason"}, nil),
		prometheus.NewDesc("pecd_admission_messages", "Messages that are being taken in.", gate, nil),
		prometheus.NewDesc("pecd_admission_waiting", "Clients that are made to wait.", gate, nil),
		prometheus.NewDesc("pecd_deliveries_waiting", "Deliveries into own mailboxes that nobody has begun.", nil, nil),
		prometheus.NewDesc("pecd_disk_room_bytes", "Octets that new messages may take up on the store's file system; none are taken in below zero.", nil, nil),
	}
}
