// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pecd/fault"
	"pecd/protection"
	"pecd/storage"
)

// TestS4_066_Rules: a mailbox's rules go before its domain's, neither below the
// provider's; who changed what is on record, and a refused change is not.
func TestS4_066_Rules(t *testing.T) {
	h := newHouse(t)
	h.mailbox("mario@alfa.example", "standard")
	h.mailbox("anna@alfa.example", "standard")
	floor := protection.Default()
	p := h.Protections(floor)
	after := h.lastRecord()
	rule := func(a protection.Action) protection.Policy {
		return protection.Policy{}.With(protection.Macro, protection.Certified, a)
	}
	want := func(address string, a protection.Action) {
		t.Helper()
		for _, p := range []*Protections{p, h.Protections(floor)} { // what is remembered, and what is stored
			if got, err := p.Of(ctx, address); err != nil || got.Action(protection.Macro, protection.Certified) != a {
				t.Errorf("%s: %+v, %v; want %s", address, got.Macro, err, a)
			}
		}
	}
	set := func(scope string, policy protection.Policy) {
		t.Helper()
		_, _, err := p.Set(As(ctx, "root"), scope, policy)
		h.ok(err)
	}
	want("Mario@alfa.example", protection.Tag)
	set("Alfa.Example", rule(protection.Refuse))
	want("mario@alfa.example", protection.Refuse)
	set("mario@ALFA.example", rule(protection.Folder))
	want("mario@alfa.example", protection.Folder)
	want("anna@alfa.example", protection.Refuse)
	r, err := p.Show(ctx, "mario@alfa.example")
	h.ok(err)
	if r.Scope != "mario@alfa.example" || r.Own != rule(protection.Folder) || r.Effective != protection.Effective(floor, rule(protection.Refuse), rule(protection.Folder)) {
		t.Errorf("%+v", r)
	}
	set("mario@alfa.example", rule(protection.Folder)) // nothing changes, nothing is recorded
	set("mario@alfa.example", protection.Policy{})
	want("mario@alfa.example", protection.Refuse)
	for _, c := range []struct {
		scope  string
		policy protection.Policy
		kind   fault.Kind
	}{
		{"alfa.example", rule(protection.Pass), fault.Denied},
		{"alfa.example", rule("perhaps"), fault.Invalid},
		{"alfa.example", protection.Policy{}.With(protection.Spam, protection.Certified, protection.Refuse), fault.Invalid},
		{"altri.example", rule(protection.Refuse), fault.NotFound},
		{"nessuno@alfa.example", rule(protection.Refuse), fault.NotFound},
		{"", rule(protection.Refuse), fault.NotFound},
	} {
		if _, _, err := p.Set(ctx, c.scope, c.policy); !fault.Is(err, c.kind) {
			t.Errorf("%q %+v: %v", c.scope, c.policy, err)
		}
	}
	if got, want := h.records(after), []string{
		"protection.changed by root: alfa.example    [ > ] macro.certified: - > refuse",
		"protection.changed by root:  mario@alfa.example   [ > ] macro.certified: - > folder",
		"protection.changed by root:  mario@alfa.example   [ > ] macro.certified: folder > -",
	}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if r, err := p.Show(ctx, ""); err != nil || r.Effective != floor {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestUnreadableRules: what cannot be read keeps no mail back, and can be replaced.
func TestUnreadableRules(t *testing.T) {
	h := newHouse(t)
	h.ok(h.st.Commit(ctx, new(storage.Step).Add(&storage.PutProtection{Protection: storage.Protection{Scope: "alfa.example", Policy: []byte("{nonsense")}})))
	p := h.Protections(protection.Default())
	if got, err := p.Of(ctx, "x@alfa.example"); err != nil || got != protection.Default() {
		t.Errorf("%+v, %v", got, err)
	}
	_, after, err := p.Set(ctx, "alfa.example", protection.Policy{})
	h.ok(err)
	if after.Own != (protection.Policy{}) {
		t.Errorf("%+v", after)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Protections(protection.Default()).Of(gone, "y@alfa.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("a store that does not answer: %v", err)
	}
}
