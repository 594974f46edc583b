// SPDX-License-Identifier: EUPL-1.2

//go:build race

package sqlite

import "flag"

// fewerSequences lets the model tests run fewer random sequences than their 100
// where the race detector slows everything down tenfold, unless the command line
// says how many.
func fewerSequences() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return nil
	}
	return flag.Set("rapid.checks", "30")
}
