// SPDX-License-Identifier: EUPL-1.2

package deviation

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// bench is a monitor over scripted servers and a clock that is moved.
type bench struct {
	*Monitor
	clk     *clock.Manual
	board   *alarm.Board
	servers []*timeServer
}

func newBench(t *testing.T, scripts ...script) *bench {
	t.Helper()
	b := &bench{clk: clock.NewManual(noon)}
	b.board = alarm.NewBoard(b.clk, slog.New(slog.DiscardHandler))
	cfg := Config{Clock: b.clk, Alarms: b.board, Timeout: 300 * time.Millisecond}
	for _, f := range scripts {
		s := startServer(t, b.clk, f)
		b.servers = append(b.servers, s)
		cfg.Servers = append(cfg.Servers, s.addr)
	}
	b.Monitor = New(cfg)
	return b
}

// next lets the time between two rounds pass and measures.
func (b *bench) next() {
	b.clk.Advance(DefaultEvery)
	b.look()
	b.round(context.Background())
}

// alarms are the names and, joined, the texts of what is raised.
func (b *bench) alarms() (names []string, text string) {
	for _, a := range b.board.Raised() {
		names = append(names, a.Name)
		text += a.Text + "\n"
	}
	return names, text
}

func near(got, want time.Duration) bool { return (got - want).Abs() < time.Millisecond }

// TestRule6_2_Deviation: the legal tolerance of one second (pec-rules §6.2).
func TestRule6_2_Deviation(t *testing.T) {
	for name, c := range map[string]struct {
		servers []script
		offset  time.Duration
		alarm   string // part of the text, "" for none
	}{
		"exact":                 {[]script{ahead(0), ahead(0), ahead(0)}, 0, ""},
		"one source":            {[]script{ahead(20 * time.Millisecond)}, 20 * time.Millisecond, ""},
		"just within":           {[]script{ahead(999 * time.Millisecond)}, 999 * time.Millisecond, ""},
		"just beyond":           {[]script{ahead(1002 * time.Millisecond)}, 1002 * time.Millisecond, "1.002 s slow"},
		"two seconds slow":      {[]script{ahead(2 * time.Second), ahead(2 * time.Second), ahead(2100 * time.Millisecond)}, 2 * time.Second, "2.000 s slow by 3 of 3"},
		"two seconds fast":      {[]script{ahead(-2 * time.Second)}, -2 * time.Second, "avanti di 2.000 s"},
		"one liar among three":  {[]script{ahead(time.Millisecond), ahead(time.Hour), ahead(0)}, time.Millisecond, ""},
		"a liar from the past":  {[]script{ahead(-24 * time.Hour), ahead(0), ahead(0)}, 0, ""},
		"two that disagree":     {[]script{ahead(0), ahead(4 * time.Second)}, 2 * time.Second, "2.000 s slow by 2 of 2"},
		"one of three is there": {[]script{silent, ahead(3 * time.Second), silent}, 3 * time.Second, "by 1 of 3"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.servers...)
			if _, _, ok := b.Last(); ok {
				t.Error("measured before anybody was asked")
			}
			b.next()
			offset, at, ok := b.Last()
			if !ok || !near(offset, c.offset) || !at.Equal(noon.Add(DefaultEvery)) {
				t.Errorf("measured %v at %v, %v; want %v", offset, at, ok, c.offset)
			}
			names, text := b.alarms()
			if c.alarm == "" && names != nil || c.alarm != "" && (!slices.Equal(names, []string{alarm.ClockDeviation}) || !strings.Contains(text, c.alarm)) {
				t.Errorf("alarms %v %q, want %q", names, text, c.alarm)
			}
		})
	}
}

func TestDeviationEnds(t *testing.T) {
	b := newBench(t, ahead(2*time.Second))
	b.next()
	b.servers[0].plays(silent)
	for range 2 * patience {
		b.next()
	}
	if names, _ := b.alarms(); !slices.Equal(names, []string{alarm.ClockDeviation, alarm.ClockUnchecked}) {
		t.Errorf("a deviation nobody denied, and silence: %v", names)
	}
	b.servers[0].plays(ahead(100 * time.Millisecond))
	b.next()
	if names, _ := b.alarms(); names != nil {
		t.Errorf("back within the tolerance: %v", names)
	}
}

// TestUnchecked: answers that do not count are as good as none.
func TestUnchecked(t *testing.T) {
	for name, c := range map[string]struct {
		server script
		why    string
	}{
		"silent":      {silent, "no answer in time"},
		"cut short":   {func(p packet) []byte { return p.bytes()[:47] }, "EOF"},
		"garbage":     {func(packet) []byte { return []byte(strings.Repeat("garbage ", 60)) }, "mode"},
		"empty":       {func(packet) []byte { return []byte{} }, "EOF"},
		"not asked":   {func(p packet) []byte { p.origin++; return p.bytes() }, "match"},
		"a client":    {func(p packet) []byte { p.mode = 3; return p.bytes() }, "mode"},
		"no leap":     {func(p packet) []byte { p.leap = 3; return p.bytes() }, "leap"},
		"stratum 16":  {func(p packet) []byte { p.stratum = 16; return p.bytes() }, "stratum"},
		"last month":  {func(p packet) []byte { p.reference = p.reference.AddDate(0, -1, 0); return p.bytes() }, "fresh"},
		"far from it": {func(p packet) []byte { p.rootDisp = 1100 * time.Millisecond; return p.bytes() }, "uncertain"},
		"long way":    {func(p packet) []byte { p.rootDelay = 2100 * time.Millisecond; return p.bytes() }, "uncertain"},
		"backwards":   {func(p packet) []byte { p.receive = p.receive.Add(time.Second); return p.bytes() }, "backwards"},
		"starting":    {kiss("INIT"), `kiss of death "INIT"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.server)
			for i := range patience {
				if names, _ := b.alarms(); names != nil {
					t.Fatalf("after %d rounds: %v", i, names)
				}
				b.next()
			}
			names, text := b.alarms()
			if !slices.Equal(names, []string{alarm.ClockUnchecked}) || !strings.Contains(text, c.why) || !strings.Contains(text, b.servers[0].addr+":") {
				t.Errorf("after %d rounds: %v %q, want %q", patience, names, text, c.why)
			}
			if _, _, ok := b.Last(); ok {
				t.Error("an answer that does not count was used")
			}
			b.servers[0].plays(ahead(0))
			b.next()
			if names, _ := b.alarms(); names != nil || b.servers[0].asked.Load() != patience+1 {
				t.Errorf("after a good answer: %v, asked %d times", names, b.servers[0].asked.Load())
			}
		})
	}
}

// TestUnchecked_OneGoodAnswerStartsTheCountAnew: only rounds in a row count.
func TestUnchecked_OneGoodAnswerStartsTheCountAnew(t *testing.T) {
	b := newBench(t, silent)
	for _, s := range []script{silent, silent, ahead(0), silent, silent} {
		b.servers[0].plays(s)
		b.next()
	}
	if names, _ := b.alarms(); names != nil {
		t.Errorf("raised: %v", names)
	}
}

func TestUnchecked_NoSource(t *testing.T) {
	b := newBench(t)
	for range patience {
		b.next()
	}
	if names, text := b.alarms(); !slices.Equal(names, []string{alarm.ClockUnchecked}) || !strings.Contains(text, "configurata") {
		t.Errorf("raised: %v %q", names, text)
	}
}

// TestKissOfDeath: who is told to keep away does (RFC 5905 §7.4).
func TestKissOfDeath(t *testing.T) {
	b := newBench(t, kiss("RATE"), kiss("DENY"), kiss("RSTR"), ahead(0))
	asked := func() (n []int64) {
		for _, s := range b.servers {
			n = append(n, s.asked.Load())
		}
		return n
	}
	b.next()
	for _, s := range b.servers {
		s.plays(ahead(0))
	}
	for range 11 { // 55 minutes
		b.next()
	}
	if got := asked(); !slices.Equal(got, []int64{1, 1, 1, 12}) {
		t.Errorf("asked %v times within the hour", got)
	}
	for range 300 { // a day and an hour
		b.next()
	}
	if got := asked(); !slices.Equal(got, []int64{1 + 300, 1, 1, 312}) {
		t.Errorf("asked %v times over a day", got)
	}
	if names, _ := b.alarms(); names != nil {
		t.Errorf("raised: %v", names)
	}
}
