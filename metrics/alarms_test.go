// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pecd/alarm"
	"pecd/clock"
	"pecd/metrics"
)

// TestAlarms: an alarm is a series while it is raised, and only then.
func TestAlarms(t *testing.T) {
	b := alarm.NewBoard(clock.NewManual(time.Unix(1e9, 5e8)), slog.New(slog.DiscardHandler))
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.Alarms(b))
	check := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	check("")
	b.Raise(alarm.ScannerDown, "text is no label")
	check(`
# HELP pecd_alarm A condition that lasts and needs a person; absent while it is not raised.
# TYPE pecd_alarm gauge
pecd_alarm{alarm="scanner_down"} 1
# HELP pecd_alarm_since_seconds Unix time at which the alarm was raised.
# TYPE pecd_alarm_since_seconds gauge
pecd_alarm_since_seconds{alarm="scanner_down"} 1.0000000005e+09
`)
	b.Clear(alarm.ScannerDown)
	check("")
}

// TestClockOffset: nothing is told before the first measurement.
func TestClockOffset(t *testing.T) {
	var offset time.Duration
	measured := false
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.ClockOffset(func() (time.Duration, time.Time, bool) { return offset, time.Unix(2e9, 0), measured }))
	if err := testutil.GatherAndCompare(reg, strings.NewReader("")); err != nil {
		t.Error(err)
	}
	offset, measured = -1500*time.Millisecond, true
	if n, err := testutil.GatherAndCount(reg, "pecd_clock_offset_seconds", "pecd_clock_measured_seconds"); err != nil || n != 2 {
		t.Errorf("%d series, %v", n, err)
	}
}
