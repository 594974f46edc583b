// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"log/slog"
	"testing"

	"pecd/alarm"
	"pecd/clock"
	"pecd/pipeline"
)

// TestScan_NoneIsAnAlarm: a node without an antivirus says so for as long.
func TestScan_NoneIsAnAlarm(t *testing.T) {
	for _, none := range []bool{false, true} { // false: a demonstration node
		cfg := defaultConfig()
		cfg.Scan.None = none
		n := newNode(&cfg, clock.System{}, slog.New(slog.DiscardHandler))
		n.core = &pipeline.Core{}
		must(t, n.openScanner())
		n.useScanner()
		raised := n.alarms.Raised()
		if (len(raised) == 1 && raised[0].Name == alarm.ScannerNone) != none || len(raised) > 1 || n.core.Scanner != nil || n.core.OrdinaryScanner != nil {
			t.Errorf("none = %v: %+v", none, raised)
		}
	}
}
