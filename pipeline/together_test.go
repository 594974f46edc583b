// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/protection"
	"pecd/storage"
)

// A message that is marked by the protection, copied and forwarded by the filter,
// and told of, in a mailbox that it fills: it is there once with its receipt,
// goes on once, is told of once, however the node ends meanwhile; the copy that
// does not fit is left out. The next one is refused with the notice, and nothing
// else is done with it.
func TestFilteredMarkedForwardedToldNearTheQuota(t *testing.T) {
	for name, end := range map[string]ending{"quiet": quietly, "losing": losing, "unacknowledged": unacknowledged} {
		t.Run(name, func(t *testing.T) {
			w, _, beta := shielded(t)
			ctx := context.Background()
			beta.rules[bruno] = rule(protection.Macro, protection.Certified, protection.Tag)
			beta.rules[carla] = rule(protection.Macro, protection.Certified, protection.Folder)
			p, _ := w.watched(bruno)
			old := p.dress
			rules := *p.core.Notices
			p.dress = func(c *pipeline.Core) {
				old(c)
				c.Notices = &rules
			}
			w.submit(anna, []string{bruno}, withMacro(t, anna, bruno))
			w.settle()
			box, err := p.store.Mailbox(ctx, bruno)
			check(t, err)
			tier, err := p.users.Tier(ctx, box.Tier)
			check(t, err)
			tier.Code, tier.QuotaBytes = "piccola", box.Used*5/2 // one more, and not its copy
			box.Tier = tier.Code
			check(t, p.store.Commit(ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier}, &storage.PutMailbox{Mailbox: box})))
			w.clock.Advance(time.Minute)
			w.answers["fuori@mail.example"] = fault.Say("test", fault.NotFound, "no such user")
			w.filter(bruno, `if header :is "x-trasporto" "posta-certificata" { addflag "\\Flagged"; fileinto :copy "Copie"; redirect "`+carla+`"; redirect "fuori@mail.example"; }`)
			w.end = end
			w.submit(anna, []string{bruno}, strings.Replace(withMacro(t, anna, bruno), "in allegato", "in allegat2", 1))
			w.settle()
			w.end = quietly
			w.holds(bruno, "INBOX 3") // with what is said of the forward that failed
			w.holds(carla, storage.QuarantineName+" 1")
			if flags := strings.Join(w.folder(bruno, "INBOX")[1].row.Flags, " "); flags != `$Macro \Flagged` {
				t.Errorf("flags %s", flags)
			}
			if n := p.noted(); n != 2 {
				t.Errorf("%d arrivals noted", n)
			}
			levels, err := p.store.UntoldLevels(ctx)
			check(t, err)
			if len(levels) != 1 || levels[0].Mailbox != box.ID {
				t.Errorf("levels of the quota: %+v", levels)
			}
			w.submit(anna, []string{bruno}, strings.Replace(withMacro(t, anna, bruno), "in allegato", "in allegat3", 1))
			w.settle()
			w.holds(bruno, "INBOX 3")
			w.holds(carla, storage.QuarantineName+" 1")
			if n := p.noted(); n != 2 {
				t.Errorf("%d arrivals noted, one of what was refused", n)
			}
			w.want(anna, "accettazione avvenuta-consegna accettazione avvenuta-consegna accettazione errore-consegna")
			if sent, failed := p.records(ledger.ForwardSent), p.records(ledger.ForwardFailed); len(sent) != 2 || len(failed) != 1 {
				t.Errorf("%d forwards sent, %d failed", len(sent), len(failed))
			}
			if delivered := p.records(ledger.Delivered); len(delivered) != 2 || delivered[1].Folder != "INBOX, Copie" {
				t.Errorf("on record as delivered: %+v", delivered)
			}
			w.clean()
		})
	}
}
