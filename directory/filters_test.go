// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

func TestS4_042_FiltersOfAMailbox(t *testing.T) {
	h := newHouse(t)
	m := h.mailbox("ugo@alfa.example", "standard")
	by := As(ctx, "ugo@alfa.example")

	h.want(h.PutFilter(by, "nessuno@alfa.example", "a", "keep;"), fault.NotFound)
	h.want(h.PutFilter(by, m.Address, " ", "keep;"), fault.Invalid)
	h.want(h.PutFilter(by, m.Address, strings.Repeat("a", 129), "keep;"), fault.Invalid)
	err := h.PutFilter(by, m.Address, "ferie", "keep;\ndiscard;")
	h.want(err, fault.Invalid)
	if text := fault.TextOf(err); !strings.HasPrefix(text, "riga 2: discard non è ammesso") || !strings.Contains(text, "/ line 2:") {
		t.Errorf("told: %s", text)
	}
	h.want(h.ActivateFilter(by, m.Address, "ferie"), fault.NotFound)
	h.want(h.RemoveFilter(by, m.Address, "ferie"), fault.NotFound)

	last := h.lastRecord()
	h.ok(h.PutFilter(by, "UGO@alfa.example", " Perche\u0301 ", "stop;"))
	h.ok(h.PutFilter(by, m.Address, "Perché", "stop;")) // as it was: no record
	h.ok(h.ActivateFilter(by, m.Address, "Perché"))
	h.ok(h.ActivateFilter(by, m.Address, "Perché"))
	h.ok(h.PutFilter(by, m.Address, "Perché", "keep;"))
	all, err := h.Filters(ctx, m.Address)
	h.ok(err)
	if got, want := fmt.Sprint(all), fmt.Sprint([]storage.Filter{{Mailbox: m.ID, Name: "Perché", Script: "keep;", Active: true, At: start}}); got != want {
		t.Errorf("filters %s, want %s", got, want)
	}
	h.ok(h.PutFilter(by, m.Address, "altro", "stop;"))
	h.want(h.RenameFilter(by, m.Address, "Perché", "altro"), fault.Exists)
	h.want(h.RenameFilter(by, m.Address, "nessuno", "nuovo"), fault.NotFound)
	h.ok(h.RenameFilter(by, m.Address, "Perché", "nuovo"))
	if s, err := h.ActiveScript(ctx, m.ID); s == nil {
		t.Errorf("not active under its new name: %v", err)
	}
	h.ok(h.RenameFilter(by, m.Address, "nuovo", "Perché"))
	h.ok(h.RemoveFilter(by, m.Address, "altro"))
	h.ok(h.RemoveFilter(by, m.Address, "Perché"))
	_, err = h.Filter(ctx, m.Address, "Perché")
	h.want(err, fault.NotFound)

	stop, keep := sumOfScript("stop;"), sumOfScript("keep;")
	want := []string{"script: Perché  > " + stop, "active: Perché  > " + stop, "script: Perché " + stop + " > " + keep,
		"script: altro  > " + stop, "renamed: Perché > nuovo " + keep + " > " + keep, "renamed: nuovo > Perché " + keep + " > " + keep,
		"removed: altro " + stop + " > ", "removed: Perché " + keep + " > "}
	var got []string
	h.ok(h.st.FindRecords(ctx, storage.RecordQuery{Event: string(ledger.FilterChanged), Mailbox: m.Address}, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		if r.Seq > last {
			got = append(got, fmt.Sprintf("%s %s > %s", e.Detail, e.From, e.To))
		}
		if e.Actor != "ugo@alfa.example" {
			t.Errorf("by %q", e.Actor)
		}
		return err
	}))
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	for i := range MaxFilters {
		h.ok(h.PutFilter(by, m.Address, fmt.Sprint("f", i), "keep;"))
	}
	h.want(h.PutFilter(by, m.Address, "uno di troppo", "keep;"), fault.TooMany)
	h.ok(h.PutFilter(by, m.Address, "f3", "stop;"))
}

// What is run follows a change at once here, and within seconds where another
// node made it.
func TestActiveScript(t *testing.T) {
	h := newHouse(t)
	m := h.mailbox("ugo@alfa.example", "standard")
	active := func() bool {
		t.Helper()
		s, err := h.ActiveScript(ctx, m.ID)
		h.ok(err)
		return s != nil
	}
	if active() {
		t.Error("a script in a new mailbox")
	}
	h.ok(h.PutFilter(ctx, m.Address, "a", "keep;"))
	if active() {
		t.Error("a script that was not activated is run")
	}
	h.ok(h.ActivateFilter(ctx, m.Address, "a"))
	if !active() {
		t.Error("not run")
	}
	h.ok(h.ActivateFilter(ctx, m.Address, ""))
	if active() {
		t.Error("still run")
	}
	h.ok(h.st.Commit(ctx, new(storage.Step).Add(&storage.ActivateFilter{Mailbox: m.ID, Name: "a"})))
	h.clk.Advance(6 * time.Second)
	if !active() {
		t.Error("another node's change is not seen")
	}
	h.ok(h.st.Commit(ctx, new(storage.Step).Add(&storage.PutFilter{Filter: storage.Filter{Mailbox: m.ID, Name: "a", Script: "vecchia lingua"}})))
	h.clk.Advance(6 * time.Second)
	_, err := h.ActiveScript(ctx, m.ID)
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("a script that does not compile: %v", err)
	}
}
