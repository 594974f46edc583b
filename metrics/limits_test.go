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
	l := metrics.NewSendLimits(func() (configured, up, shared bool) { return true, true, false })
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
	states := `# HELP pecd_limits_shared Whether send limits are counted by all nodes together; 0: by each alone, and stricter.
# TYPE pecd_limits_shared gauge
pecd_limits_shared 0
# HELP pecd_redis_up Whether the Redis that nodes share answers.
# TYPE pecd_redis_up gauge
pecd_redis_up 1
`
	if err := testutil.CollectAndCompare(l, strings.NewReader(states), "pecd_redis_up", "pecd_limits_shared"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(l, "pecd_limit_check_seconds"); n != 1 {
		t.Errorf("%d histograms", n)
	}
}
