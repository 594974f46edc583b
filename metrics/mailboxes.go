// SPDX-License-Identifier: EUPL-1.2

package metrics

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"pecd/storage"
)

// maxDomains is how many domains have series of their own: those with most
// mailboxes. The others are told together, as "other".
const maxDomains = 200

// Mailboxes collects how many mailboxes there are, by domain, tier and state.
func Mailboxes(counts func() []storage.MailboxCount) prometheus.Collector { return mailboxes{counts} }

type mailboxes struct {
	counts func() []storage.MailboxCount
}

// Describe implements prometheus.Collector.
func (m mailboxes) Describe(out chan<- *prometheus.Desc) {
	for _, d := range mailboxDescriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m mailboxes) Collect(out chan<- prometheus.Metric) {
	counts := m.counts()
	named := largest(counts)
	type series struct{ domain, tier, state string }
	boxes, octets := make(map[series]int64), make(map[string]int64)
	for _, c := range counts {
		domain := "other"
		if named[c.Domain] {
			domain = c.Domain
		}
		boxes[series{domain, c.Tier, string(c.State)}] += c.Mailboxes
		octets[domain] += c.Used
	}
	d := mailboxDescriptions()
	for s, n := range boxes {
		out <- prometheus.MustNewConstMetric(d[0], prometheus.GaugeValue, float64(n), s.domain, s.tier, s.state)
	}
	for domain, n := range octets {
		out <- prometheus.MustNewConstMetric(d[1], prometheus.GaugeValue, float64(n), domain)
	}
}

// largest are the domains with most mailboxes.
func largest(counts []storage.MailboxCount) map[string]bool {
	size := make(map[string]int64)
	var all []string
	for _, c := range counts {
		if _, ok := size[c.Domain]; !ok {
			all = append(all, c.Domain)
		}
		size[c.Domain] += c.Mailboxes
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(size[b], size[a]), cmp.Compare(a, b)) })
	named := make(map[string]bool, maxDomains)
	for _, domain := range all[:min(len(all), maxDomains)] {
		named[domain] = true
	}
	return named
}

func mailboxDescriptions() [2]*prometheus.Desc {
	return [2]*prometheus.Desc{
		prometheus.NewDesc("pecd_mailboxes", "Mailboxes, without the provider's service mailboxes; domains beyond the 200 largest as other.", []string{"domain", "tier", "state"}, nil),
		prometheus.NewDesc("pecd_mailboxes_bytes", "Octets that the mailboxes of a domain hold; domains as in pecd_mailboxes.", []string{"domain"}, nil),
	}
}
