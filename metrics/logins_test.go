// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/guesses"
	"pecd/metrics"
)

func TestLogins(t *testing.T) {
	c := metrics.Logins(func() []guesses.Refusals {
		return []guesses.Refusals{{Protocol: "imap", Reason: guesses.ByAccount, Count: 2}, {Protocol: "smtp", Reason: guesses.WrongGuess, Count: 3}}
	})
	want := `
# HELP pecd_logins_refused_total Logins that were refused: for a wrong password, or put off after too many of them from an address or for an account.
# TYPE pecd_logins_refused_total counter
pecd_logins_refused_total{protocol="imap",reason="account"} 2
pecd_logins_refused_total{protocol="smtp",reason="credentials"} 3
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
