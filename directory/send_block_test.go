// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// TestSendBlock: the program's block is replaced by a person's and not the other
// way round, is seen at once, and is the provider's to end.
func TestSendBlock(t *testing.T) {
	h := newHouse(t)
	h.ok(h.CreateDomain(ctx, "terzo.example", storage.DomainCertified))
	_, err := h.CreateMailbox(ctx, NewMailbox{Address: "g@terzo.example", Tier: "standard", User: &NewUser{Password: password}})
	h.ok(err)
	by := As(ctx, "root")
	for _, c := range []struct {
		do         func(ctx context.Context) error
		ctx        context.Context
		by, reason string // afterwards
		records    int64
	}{
		{func(c context.Context) error { return h.BlockSending(c, "G@terzo.example", "prima") }, ctx, "", "prima", 1},
		{func(c context.Context) error { return h.BlockSending(c, "g@terzo.example", "seconda") }, ctx, "", "prima", 0},
		{func(c context.Context) error { return h.BlockSending(c, "g@terzo.example", "verifica") }, by, "root", "verifica", 1},
		{func(c context.Context) error { return h.BlockSending(c, "g@terzo.example", "verifica") }, by, "root", "verifica", 0},
		{func(c context.Context) error { return h.BlockSending(c, "g@terzo.example", "programma") }, ctx, "root", "verifica", 0},
		{func(c context.Context) error { return h.UnblockSending(c, "g@terzo.example") }, by, "", "", 1},
		{func(c context.Context) error { return h.UnblockSending(c, "g@terzo.example") }, by, "", "", 0},
	} {
		before := h.lastRecord()
		h.ok(c.do(c.ctx))
		m, err := h.Mailbox(ctx, "g@terzo.example")
		h.ok(err)
		if m.Block.By != c.by || m.Block.Reason != c.reason || m.Block.On() != (c.reason != "") {
			t.Errorf("%+v, want by %q: %q", m.Block, c.by, c.reason)
		}
		if n := h.lastRecord() - before; n != c.records {
			t.Errorf("%d records, want %d", n, c.records)
		}
	}
	before := h.lastRecord()
	h.ok(h.BlockSending(by, "g@terzo.example", "prima"))
	h.ok(h.BlockSending(by, "g@terzo.example", "seconda"))
	if got, want := h.records(before), "mailbox.send_blocked by root:  g@terzo.example   [prima > ] seconda"; len(got) != 2 || got[1] != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
	body := AsActor(ctx, Actor{Name: "ente", Role: RoleCustomer, Customer: "c_a123"})
	if err := h.UnblockSending(body, "g@terzo.example"); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) {
		t.Errorf("a body's administrator: %v", err)
	}
}
