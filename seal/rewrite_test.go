// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pecd/ledger"
)

// removeSeals takes away the rows and files of the seals from a number on.
func (e *env) removeSeals(from int64) {
	e.Helper()
	for _, name := range e.names() {
		if number, _, _, ok := parseName(name); ok && number >= from {
			if err := os.Remove(filepath.Join(e.folder(), name)); err != nil {
				e.Fatal(err)
			}
		}
	}
	e.tamper(fmt.Sprintf("DELETE FROM seals WHERE number >= %d", from))
}

// TestRewritten: who has the store, the provider's key and an authority that
// stamps what it is given can make the log anew from any day on. The records of
// the earlier sealings are in the chain and say otherwise; where these are
// altered, too, all stamps are late.
func TestRewritten(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(*env) // what the new sealing told of itself
		want  []string
	}{
		{"with the old records of sealing", func(e *env) { e.tamper("DELETE FROM records WHERE seq > 29") },
			[]string{"seal 2 (|record 12 tells of another", "seal 3 (|record 18 tells of another", "seal 4 (|record 24 tells of another"}},
		{"with old and new ones", func(*env) {},
			[]string{"seal 2 (|record 12 tells of another", "seal 3 (|record 18 tells of another", "seal 4 (|record 24 tells of another"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := damaged(t)
			e.tamper(edit(8))
			e.rehash(8)
			e.removeSeals(2)
			e.moveTo("2026-11-24 23:00:00")
			e.turn(true)
			c.after(e)
			found, sum := e.verify()
			wantProblems(t, found, c.want)
			if sum.Late != 1 { // of the 21st
				t.Errorf("%d late", sum.Late)
			}
			if found, sum := e.verifyFolder(); len(found) > 0 || sum.Late != 1 {
				t.Errorf("the folder: %+v\n%s", sum, lines(found))
			}
		})
	}
}

// TestCutOff: a log that ends too early is told of after two days; what was
// known of its end before proves the rest.
func TestCutOff(t *testing.T) {
	e := damaged(t)
	before := e.wantClean()
	if state, err := e.store.LogState(t.Context()); err != nil || before.Head != Hash(state.Head) || before.Last != 29 {
		t.Errorf("%+v of %+v, %v", before, state, err)
	}
	e.removeSeals(3)
	e.tamper("DELETE FROM records WHERE seq > 17")
	found, sum := e.verify()
	wantProblems(t, found, []string{"seal 2 (|is the last one"})
	if sum.Head == before.Head || sum.Last >= before.Last {
		t.Errorf("%+v", sum)
	}
	// Without any seal the records themselves are too old.
	e.removeSeals(1)
	found, _ = e.verify()
	wantProblems(t, found, []string{"file \"000001-2026-11-20.log.p7m\"|record 6 tells that it was sealed", "file \"000002-2026-11-21.log.p7m\"|record 12 tells", "log|11 registrazioni|la prima è la 1 "})
}

// sealing is the event that tells of a seal.
func (e *env) sealing(number int) ledger.Event {
	return ledger.Event{Kind: ledger.LedgerSealed, Provider: provider, Detail: sealedDetail(e.seals()[number-1])}
}

// TestNoRecordOfSealing: a record that told of a sealing is missing in what was
// sealed anew, or tells of nothing, or tells it twice.
func TestNoRecordOfSealing(t *testing.T) {
	e := damaged(t)
	e.tamper("DELETE FROM records WHERE seq > 23")
	found, _ := e.verify()
	wantProblems(t, found, []string{"seal 4 (|no record tells of its sealing"})
	e.write(e.sealing(4))
	e.wantClean()
	e.write(e.sealing(4))
	odd := e.sealing(4)
	odd.Detail = "000004-2026-11-23.log.p7m, SHA-256 00"
	n := e.write(odd)
	found, _ = e.verify()
	wantProblems(t, found, []string{"seal 4 (|two records tell", fmt.Sprintf("record %d (|does not tell which file", n)})
}

// TestProvider_5_5: a log is somebody's. A folder or a node's files of another
// provider, in perfect order, are not his.
func TestProvider_5_5(t *testing.T) {
	e := damaged(t)
	c := e.verification()
	c.Provider = "Beta S.r.l."
	var found []Problem
	_, err := Verify(t.Context(), c, func(p Problem) error {
		found = append(found, p)
		return nil
	})
	if err != nil || len(found) != 4 || !strings.Contains(found[0].What, "file of another provider") {
		t.Errorf("%v, found:\n%s", err, lines(found))
	}
	c.Provider = ""
	if _, err := Verify(t.Context(), c, nil); err == nil {
		t.Error("verified as nobody's")
	}
	if found, sum := e.verifyFolder(); len(found) > 0 || sum.Provider != provider || sum.Head != Hash(e.seals()[3].Head) {
		t.Errorf("%+v\n%s", sum, lines(found))
	}
	// The certificate has both names: somebody with two houses.
	e.signer.name = provider + ", Beta S.r.l."
	e.resign(day3, false, func(content string) string { return strings.Replace(content, provider, "Beta S.r.l.", 1) })
	found, _ = e.verifyFolder()
	if !slices.ContainsFunc(found, func(p Problem) bool { return p.File == day3 && strings.Contains(p.What, "is another provider's") }) {
		t.Errorf("found:\n%s", lines(found))
	}
}
