// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/metrics"
)

func TestSendLimits(t *testing.T) {
	l := metrics.NewSendLimits()
	l.Refused("day")
	l.Refused("day")
	l.Checked(50 * time.Microsecond)
	want := `# HELP pecd_limit_refusals_total Messages and recipients kept back by a send limit, by its window.
# TYPE pecd_limit_refusals_total counter
pecd_limit_refusals_total{window="day"} 2
pecd_limit_refusals_total{window="minute"} 0
pecd_limit_refusals_total{window="recipients_day"} 0
pecd_limit_refusals_total{window="recipients_minute"} 0
`
	if err := testutil.CollectAndCompare(l, strings.NewReader(want), "pecd_limit_refusals_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(l, "pecd_limit_check_seconds"); n != 1 {
		t.Errorf("%d histograms", n)
	}
}
