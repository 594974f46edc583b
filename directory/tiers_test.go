// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"strings"
	"testing"

	"pecd/storage"
)

func TestS4_010_to_038_TierFigures(t *testing.T) {
	const mib100 = 100 << 20
	want := []storage.Tier{
		{Code: "standard", Name: "Standard", Figures: storage.Figures{QuotaBytes: 3 << 30, MaxPerDay: 500, MaxPerMinute: 50, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}, Notices: true},
		{Code: "strutturata", Name: "Strutturata", Figures: storage.Figures{QuotaBytes: 6 << 30, MaxPerDay: 500, MaxPerMinute: 50, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}, MultiUser: true, Notices: true},
		{Code: "small", Name: "Massiva small", Figures: storage.Figures{QuotaBytes: 6 << 30, MaxPerDay: 5000, MaxPerMinute: 250, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 2500, RecipientsPerDay: 50000}, MultiUser: true, Application: true},
		{Code: "medium", Name: "Massiva medium", Figures: storage.Figures{QuotaBytes: 18 << 30, MaxPerDay: 12000, MaxPerMinute: 1200, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 12000, RecipientsPerDay: 120000}, MultiUser: true, Application: true},
		{Code: "large", Name: "Massiva large", Figures: storage.Figures{QuotaBytes: 36 << 30, MaxPerDay: 25000, MaxPerMinute: 2500, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 25000, RecipientsPerDay: 250000}, MultiUser: true, Application: true},
		{Code: "xl", Name: "Massiva extra large", Figures: storage.Figures{QuotaBytes: 64 << 30, MaxPerDay: 50000, MaxPerMinute: 5000, MaxRecipients: 1000, MaxMessage: mib100, RecipientsPerMinute: 50000, RecipientsPerDay: 500000}, MultiUser: true, Application: true},
	}
	got := SeedTiers()
	if len(got) != len(want) {
		t.Fatalf("%d tiers", len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("\n got %+v\nwant %+v", got[i], want[i])
		}
	}
}

func TestReadTiersRefuses(t *testing.T) {
	one := tiersTOML[strings.Index(tiersTOML, "[[tier]]"):]
	one = one[:len("[[tier]]")+strings.Index(one[len("[[tier]]"):], "[[tier]]")]
	if _, err := readTiers(one); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"syntax":         "[[tier",
		"unknown key":    one + "colour = 3\n",
		"missing figure": strings.Replace(one, "per_day = 500", "", 1),
		"negative":       strings.Replace(one, "per_day = 500", "per_day = -1", 1),
	} {
		if _, err := readTiers(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
