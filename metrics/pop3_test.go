// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/metrics"
	"pecd/pop3"
)

func TestPOP3(t *testing.T) {
	c := metrics.POP3(func() pop3.Figures { return pop3.Figures{Logins: 1, Retrieved: 2, Octets: 3, Discarded: 4} })
	want := `
# HELP pecd_pop3_discarded_total Messages that POP3 clients deleted, moved to recoverable folders.
# TYPE pecd_pop3_discarded_total counter
pecd_pop3_discarded_total 4
# HELP pecd_pop3_logins_total Logins by POP3 that succeeded.
# TYPE pecd_pop3_logins_total counter
pecd_pop3_logins_total 1
# HELP pecd_pop3_retrieved_bytes_total Octets of those messages.
# TYPE pecd_pop3_retrieved_bytes_total counter
pecd_pop3_retrieved_bytes_total 3
# HELP pecd_pop3_retrieved_total Messages sent whole by POP3.
# TYPE pecd_pop3_retrieved_total counter
pecd_pop3_retrieved_total 2
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
