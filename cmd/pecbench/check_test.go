// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"strings"
	"testing"
	"time"
)

// TestAudit_Judge: a bench that overlooks a lost or doubled message would be
// worse than none.
func TestAudit_Judge(t *testing.T) {
	const from, to1, to2 = "s@alfa.example", "a@alfa.example", "b@alfa.example"
	good := func() *audit {
		c := &crew{sent: []sentLetter{{from, []string{to1, to2}, 5000}, {}, {from, []string{to1}, 5000}},
			letters: newLetters("run", 5000, time.Unix(1e9, 0))}
		return &audit{crew: c, acceptance: []int{1, 0, 1},
			envelopes: []map[string]int{{to1: 1, to2: 1}, {}, {to1: 1}}, receipts: []map[string]int{{to1: 1, to2: 1}, {}, {to1: 1}},
			taken: []map[string]int{{}, {}, {}}}
	}
	remote := func(a *audit) {
		a.crew.remote, a.taken = true, []map[string]int{{to1: 1, to2: 1}, {}, {to1: 1}}
	}
	for name, c := range map[string]struct {
		spoil func(*audit)
		says  string
	}{
		"complete":             {func(*audit) {}, ""},
		"no acceptance":        {func(a *audit) { a.acceptance[2] = 0 }, "message 2 has 0 acceptance"},
		"two acceptances":      {func(a *audit) { a.acceptance[0] = 2 }, "message 0 has 2 acceptance"},
		"no envelope":          {func(a *audit) { delete(a.envelopes[0], to2) }, to2},
		"two envelopes":        {func(a *audit) { a.envelopes[2][to1] = 2 }, "2 envelopes"},
		"envelope gone astray": {func(a *audit) { a.envelopes[2][to2] = 1 }, "envelopes in 2 mailboxes"},
		"no receipt":           {func(a *audit) { a.receipts[0][to1] = 0 }, "0 delivery receipts"},
		"two receipts":         {func(a *audit) { a.receipts[0][to1] = 2 }, "2 delivery receipts"},
		"receipt for a wrong":  {func(a *audit) { a.receipts[2]["c@alfa.example"] = 1 }, "delivery receipts for 2"},
		"all taken in charge":  {remote, ""},
		"not taken in charge":  {func(a *audit) { remote(a); delete(a.taken[0], to2) }, "message 0: taken in charge"},
		"taken twice":          {func(a *audit) { remote(a); a.taken[2][to1] = 2 }, "message 2: taken in charge"},
		"taken by nobody":      {func(a *audit) { a.taken[2][to1] = 1 }, "message 2: taken in charge"},
	} {
		a := good()
		c.spoil(a)
		a.judge()
		var told []string
		for _, err := range a.faults {
			told = append(told, err.Error())
		}
		if all := strings.Join(told, "; "); (all == "") != (c.says == "") || !strings.Contains(all, c.says) {
			t.Errorf("%s: %q, want %q", name, all, c.says)
		}
	}
}

// TestAudit_Foreign: what nobody submitted, or is no certified mail, is a fault.
func TestAudit_Foreign(t *testing.T) {
	c := &crew{letters: newLetters("run", 5000, time.Unix(1e9, 0)), sent: []sentLetter{{"s@alfa.example", []string{"a@alfa.example"}, 5000}}}
	a := &audit{crew: c, every: 1, acceptance: []int{0}, envelopes: []map[string]int{{}}, receipts: []map[string]int{{}}}
	plain := c.letters.write(nil, 0, "s@alfa.example", []string{"a@alfa.example"})
	if err := a.message("a@alfa.example", plain); err == nil {
		t.Error("plain mail passes for certified mail")
	}
}

// TestCheckPlain_Judge: one copy for each recipient, and none for anybody else.
func TestCheckPlain_Judge(t *testing.T) {
	const to1, to2 = "a@x.example", "b@x.example"
	sent := []sentLetter{{"s@x.example", []string{to1, to2}, 5000}, {}}
	for name, c := range map[string]struct {
		copies map[string]int
		says   string
	}{
		"complete":        {map[string]int{to1: 1, to2: 1}, ""},
		"lost":            {map[string]int{to1: 1}, "message 0 to b@x.example: 0 copies"},
		"doubled":         {map[string]int{to1: 1, to2: 2}, "message 0 to b@x.example: 2 copies"},
		"a wrong mailbox": {map[string]int{to1: 1, to2: 1, "c@x.example": 1}, "copies in 3 mailboxes"},
	} {
		told := ""
		if err := judgeCopies(sent, []map[string]int{c.copies, {}}); err != nil {
			told = err.Error()
		}
		if (told == "") != (c.says == "") || !strings.Contains(told, c.says) {
			t.Errorf("%s: %q, want %q", name, told, c.says)
		}
	}
}
