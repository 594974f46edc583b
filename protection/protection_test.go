// SPDX-License-Identifier: EUPL-1.2

package protection_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pecd/fault"
	"pecd/protection"
)

func policy() *rapid.Generator[protection.Policy] {
	return rapid.Custom(func(t *rapid.T) protection.Policy {
		var p protection.Policy
		for _, k := range protection.Kinds() {
			for _, d := range protection.Directions() {
				a := rapid.SampledFrom(append(protection.Actions(), "")).Draw(t, fmt.Sprint(k, d))
				if k == protection.Spam && d == protection.Certified && a == protection.Refuse || d == protection.Submission && a == protection.Folder {
					a = protection.Tag
				}
				p = p.With(k, d, a)
			}
		}
		return p
	})
}

func strength(a protection.Action) int { return slices.Index(protection.Actions(), a) }

// TestS4_066_FloorHolds: whatever a domain and a mailbox choose, nothing is less
// strict than the provider's policy, and where it says more, it holds.
func TestS4_066_FloorHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		provider, domain, box := policy().Draw(t, "provider"), policy().Draw(t, "domain"), policy().Draw(t, "mailbox")
		e := protection.Effective(provider, domain, box)
		for _, k := range protection.Kinds() {
			for _, d := range protection.Directions() {
				own := box.Action(k, d)
				if own == "" {
					own = domain.Action(k, d)
				}
				want := max(strength(provider.Action(k, d)), strength(own))
				if got := strength(e.Action(k, d)); got != want {
					t.Errorf("%s.%s: %d, want %d", k, d, got, want)
				}
			}
		}
	})
}

// TestS4_036_SpamNeverRefusesCertified: no policy that passes the check, and none
// that came into the store by another way, refuses a certified message for spam.
func TestS4_036_SpamNeverRefusesCertified(t *testing.T) {
	p := protection.Policy{}.With(protection.Spam, protection.Certified, protection.Refuse)
	if err := p.Check(); !fault.Is(err, fault.Invalid) {
		t.Errorf("accepted: %v", err)
	}
	d := p.Decide(protection.Certified, []protection.Finding{{Kind: protection.Spam, Name: "15"}})
	if d.Action != protection.Folder || d.Place != protection.Junk || len(d.Refused()) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestDecide(t *testing.T) {
	spam, macro := protection.Finding{Kind: protection.Spam, Name: "15.0"}, protection.Finding{Kind: protection.Macro, Name: "Ooxml.Vba", Where: "a.docm"}
	link := protection.Finding{Kind: protection.Link, Name: "Link.IpAddress"}
	of := func(s, m, l protection.Action) protection.Policy {
		return protection.Policy{}.With(protection.Spam, protection.Ordinary, s).With(protection.Macro, protection.Ordinary, m).With(protection.Link, protection.Ordinary, l)
	}
	for _, c := range []struct {
		name   string
		p      protection.Policy
		found  []protection.Finding
		action protection.Action
		place  protection.Place
		tags   string
	}{
		{"nothing found", of("refuse", "refuse", "refuse"), nil, "", protection.Inbox, ""},
		{"nothing said", protection.Policy{}, []protection.Finding{spam, macro}, "", protection.Inbox, ""},
		{"passed", of("pass", "pass", "pass"), []protection.Finding{spam, macro}, "", protection.Inbox, ""},
		{"spam marked", of("tag", "", ""), []protection.Finding{spam}, protection.Tag, protection.Inbox, "$Junk"},
		{"spam put away", of("folder", "", ""), []protection.Finding{spam}, protection.Folder, protection.Junk, "$Junk"},
		{"harm beats spam", of("folder", "folder", "tag"), []protection.Finding{spam, macro, link}, protection.Folder, protection.Quarantine, "$Junk $Macro $Phishing"},
		{"whatever the order", of("folder", "folder", "tag"), []protection.Finding{macro, spam}, protection.Folder, protection.Quarantine, "$Junk $Macro"},
		{"marked harm leaves spam's folder", of("folder", "tag", ""), []protection.Finding{spam, macro}, protection.Folder, protection.Junk, "$Junk $Macro"},
		{"refused", of("folder", "refuse", "tag"), []protection.Finding{spam, macro}, protection.Refuse, protection.Quarantine, "$Junk $Macro"},
	} {
		d := c.p.Decide(protection.Ordinary, c.found)
		if d.Action != c.action || d.Place != c.place || strings.Join(d.Tags, " ") != c.tags {
			t.Errorf("%s: %+v", c.name, d)
		}
		if s := d.Softened(); s.Action == protection.Refuse || len(s.Taken) != len(d.Taken) || s.Place != d.Place {
			t.Errorf("%s: softened %+v", c.name, s)
		}
	}
	twice := of("", "tag", "refuse").Decide(protection.Ordinary, []protection.Finding{macro, {Kind: protection.Macro, Name: "Ole.Vba"}, link})
	if got := twice.ByKind(); len(got) != 2 || got[0].Name != "Ooxml.Vba, Ole.Vba" || got[0].Where != "" || got[1].Action != protection.Refuse {
		t.Errorf("%+v", got)
	}
	it, en := protection.Reason([]protection.Finding{macro, link}, true)
	if !strings.Contains(it, "(Ooxml.Vba: a.docm)") || !strings.Contains(en, "(Link.IpAddress)") {
		t.Errorf("%s / %s", it, en)
	}
	if it, _ := protection.Reason([]protection.Finding{macro}, false); strings.Contains(it, "a.docm") {
		t.Errorf("%s tells an attachment's name", it)
	}
}

func TestPolicyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy().Draw(t, "p")
		if got, err := protection.Decode(p.Encode()); err != nil || got != p {
			t.Errorf("%s: %+v, %v", p.Encode(), got, err)
		}
	})
	for _, s := range []string{
		"", "[]", `{"spam":{"ordinary":"delete"}}`, `{"virus":{}}`, `{"spam":{"certified":"refuse"}}`, `{"macro":{"submission":"folder"}}`,
		`{} {}`, `{"spam":{"ordinary":"` + strings.Repeat("x", 5000) + `"}}`,
	} {
		if _, err := protection.Decode([]byte(s)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.60s: %v", s, err)
		}
	}
	floor := protection.Default()
	less := protection.Policy{}.With(protection.Spam, protection.Ordinary, protection.Pass)
	if err := less.CheckAbove(floor); !fault.Is(err, fault.Denied) || !strings.Contains(fault.CodesOf(err).Text, "folder") {
		t.Errorf("below the floor: %v", err)
	}
	if err := less.With(protection.Spam, protection.Ordinary, protection.Refuse).CheckAbove(floor); err != nil {
		t.Error(err)
	}
	if err := floor.Check(); err != nil {
		t.Error(err)
	}
}

func TestDistinct(t *testing.T) {
	var all []protection.Finding
	for n := range 30 {
		all = append(all, protection.Finding{Kind: protection.Link, Name: fmt.Sprint(n % 20)})
	}
	all = append(all, protection.Finding{Kind: protection.Opaque, Name: "x"}, protection.Finding{Kind: protection.Macro, Name: "y"})
	got := protection.Distinct(all)
	if len(got) != 8 || got[0].Kind != protection.Macro || got[7].Kind != protection.Opaque || got[6].Name != "5" {
		t.Errorf("%v", got)
	}
	if got := protection.Distinct(nil); got != nil {
		t.Errorf("%v", got)
	}
}
