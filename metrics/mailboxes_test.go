// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/metrics"
	"pecd/storage"
)

// TestMailboxes: the number of series does not grow with the number of domains.
func TestMailboxes(t *testing.T) {
	counts := []storage.MailboxCount{
		{Domain: "b.example", Tier: "standard", State: storage.MailboxActive, Mailboxes: 40, Used: 7},
		{Domain: "b.example", Tier: "xl", State: storage.MailboxClosed, Mailboxes: 2, Used: 1},
	}
	for i := range 1000 {
		counts = append(counts, storage.MailboxCount{Domain: fmt.Sprintf("a%04d.example", i), Tier: "standard", State: storage.MailboxActive, Mailboxes: 1, Used: 10})
	}
	c := metrics.Mailboxes(func() []storage.MailboxCount { return counts })
	if n := testutil.CollectAndCount(c); n != 2+199+1+200+1 {
		t.Errorf("%d series", n)
	}
	counts = append(counts[:2:2], counts[200:203]...)
	counts[2].Domain = "a\"b\\c"
	want := `
# HELP pecd_mailboxes Mailboxes, without the provider's service mailboxes; domains beyond the 200 largest as other.
# TYPE pecd_mailboxes gauge
pecd_mailboxes{domain="a\"b\\c",state="active",tier="standard"} 1
pecd_mailboxes{domain="a0199.example",state="active",tier="standard"} 1
pecd_mailboxes{domain="a0200.example",state="active",tier="standard"} 1
pecd_mailboxes{domain="b.example",state="active",tier="standard"} 40
pecd_mailboxes{domain="b.example",state="closed",tier="xl"} 2
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "pecd_mailboxes"); err != nil {
		t.Error(err)
	}
}
