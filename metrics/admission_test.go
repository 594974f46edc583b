// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/admission"
	"pecd/metrics"
)

// TestAdmission: what was refused is told by gate and reason, without a word of
// whose it was.
func TestAdmission(t *testing.T) {
	c := metrics.Admission(func() metrics.AdmissionFigures {
		return metrics.AdmissionFigures{
			Gates: []admission.Figures{{Name: "mx", In: 2, Queued: 1, Admitted: 7, Refused: map[admission.Reason]uint64{admission.Backlog: 3}}}, Deliveries: 9, Room: -5,
		}
	})
	want := `
# HELP pecd_admission_refused_total Clients that were sent away (451, 452) before they sent a message, by reason.
# TYPE pecd_admission_refused_total counter
pecd_admission_refused_total{gate="mx",reason="backlog"} 3
pecd_admission_refused_total{gate="mx",reason="disk"} 0
pecd_admission_refused_total{gate="mx",reason="share"} 0
pecd_admission_refused_total{gate="mx",reason="slots"} 0
# HELP pecd_deliveries_waiting Deliveries into own mailboxes that nobody has begun.
# TYPE pecd_deliveries_waiting gauge
pecd_deliveries_waiting 9
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "pecd_admission_refused_total", "pecd_deliveries_waiting"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(c); n != 9 {
		t.Errorf("%d metrics", n)
	}
}
