// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/metrics"
)

// TestS4_064_Interceptions: viruses and spam are counted apart, and every kind is
// there before the first one.
func TestS4_064_Interceptions(t *testing.T) {
	m := metrics.NewInterceptions()
	if n := testutil.CollectAndCount(m); n != 17 {
		t.Errorf("%d series", n)
	}
	m.Count("virus", "refuse")
	m.Count("spam", "folder")
	m.Count("spam", "folder")
	if v := testutil.ToFloat64(m.WithLabelValues("spam", "folder")); v != 2 {
		t.Errorf("%v", v)
	}
	if v := testutil.ToFloat64(m.WithLabelValues("virus", "refuse")); v != 1 {
		t.Errorf("%v", v)
	}
	if problems, err := testutil.CollectAndLint(m); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
