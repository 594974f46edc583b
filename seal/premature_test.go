// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pecd/ledger"
)

// TestPrematurePurge_2_3: a purge before the time of keeping was over is found,
// whatever the log says of it.
func TestPrematurePurge_2_3(t *testing.T) {
	whole := damaged(t)
	if err := whole.store.Close(); err != nil {
		t.Fatal(err)
	}
	remove := func(e *env, seals ...int) {
		for _, n := range seals {
			s := e.seals()[n-1]
			e.tamper(fmt.Sprintf("UPDATE seals SET purged = 1 WHERE number = %d", n), fmt.Sprintf("DELETE FROM records WHERE seq BETWEEN %d AND %d", s.First, s.Last))
			os.Remove(filepath.Join(e.folder(), s.File))
			os.Remove(filepath.Join(e.folder(), StampName(s.File)))
		}
	}
	tell := func(e *env, at string, number int) {
		e.write(ledger.Event{At: e.at(at), Kind: ledger.LedgerPurged, Detail: purgedDetail(e.seals()[number-1])})
	}
	const early, untold = "purged before its time", "purged without a record"
	for _, c := range []struct {
		name   string
		damage func(*env)
		want   []string
	}{
		{"without a record", func(e *env) { remove(e, 1) }, []string{"seal 1 (|" + untold}},
		{"with its record", func(e *env) { remove(e, 1); tell(e, "2026-11-24 11:00:00", 1) }, []string{"seal 1 (|" + early}},
		{"with a record of a day to come", func(e *env) { remove(e, 1); tell(e, "2029-11-24 11:00:00", 1) }, []string{"seal 1 (|" + early}},
		{"with such a record under a stamp, and years later", func(e *env) {
			remove(e, 1)
			tell(e, "2029-11-24 11:00:00", 1)
			e.write(ledger.Event{Kind: ledger.Access}) // before which the day is cut
			e.day(0)
			e.moveTo("2030-01-01 00:00:00")
		}, []string{"seal 1 (|" + early, "seal 5 (|is the last one", "log|are in no seal"}},
		{"of everything", func(e *env) { remove(e, 1, 2, 3, 4) },
			[]string{"seal 1 (|" + untold, "seal 2 (|" + untold, "seal 3 (|" + untold, "seal 4 (|" + untold}},
		{"with a stamp of something else", func(e *env) {
			remove(e, 1)
			e.tamper("UPDATE seals SET stamp = (SELECT stamp FROM seals WHERE number = 3) WHERE number = 1")
		}, []string{"seal 1 (|the time stamp that is kept does not hold"}},
		{"that did not happen", func(e *env) { tell(e, "2026-11-24 11:00:00", 1) }, []string{"seal 1 (|tells that it was purged, which it is not"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := whole.clone(t)
			start := e.clk.Now()
			defer func() { e.clk.Advance(start.Sub(e.clk.Now())) }()
			c.damage(e)
			found, _ := e.verify()
			wantProblems(t, found, c.want)
		})
	}
}
