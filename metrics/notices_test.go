// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/metrics"
)

func TestNotices(t *testing.T) {
	c := metrics.Notices(func() []metrics.NoticeFigure {
		return []metrics.NoticeFigure{{Kind: "sms", Result: "retried", Count: 3}, {Kind: "mail", Result: "sent", Count: 7}}
	})
	want := `
# HELP pecd_notices_total Notices to users' ordinary mail and mobile phones, by kind and result.
# TYPE pecd_notices_total counter
pecd_notices_total{kind="mail",result="sent"} 7
pecd_notices_total{kind="sms",result="retried"} 3
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
