// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"net/mail"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	for _, c := range []struct{ in, local, utc string }{ // "" for no date
		{"Wed, 3 Jun 2026 12:15:05 +0200", "2026-06-03 12:15:05", "2026-06-03 10:15:05"},
		{"3 Jun 2026 12:15 -0330", "2026-06-03 12:15:00", "2026-06-03 15:45:00"},
		{"Wed , 03 jun 26 12:15:05 EDT", "2026-06-03 12:15:05", "2026-06-03 16:15:05"},
		{"Wed 3 Jun 2026 12:15:05 GMT (a (nested) comment)", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"Wed, 3 (third) Jun 2026\t12 : 15 : 05 z", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"1 January 1999 01:02:03 PST", "1999-01-01 01:02:03", "1999-01-01 09:02:03"},
		{"3 Jun 2026, 12:15 +0200", "2026-06-03 12:15:00", "2026-06-03 10:15:00"},
		{"1 Jan 99 00:00:60 +0000", "1999-01-01 00:01:00", "1999-01-01 00:01:00"},
		{"1-Jan-126 1:2:3 +0000", "2026-01-01 01:02:03", "2026-01-01 01:02:03"},
		// A wrong time is midnight, a wrong zone is UTC (RFC 5256 §2.2).
		{"3 Jun 2026", "2026-06-03 00:00:00", "2026-06-03 00:00:00"},
		{"3 Jun 2026 25:00:00 +0200", "2026-06-03 00:00:00", "2026-06-03 00:00:00"},
		{"3 Jun 2026 12:60 +0200", "2026-06-03 00:00:00", "2026-06-03 00:00:00"},
		{"3 Jun 2026 noon", "2026-06-03 00:00:00", "2026-06-03 00:00:00"},
		{"3 Jun 2026 12:15:05 +2", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"3 Jun 2026 12:15:05 +0199", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"3 Jun 2026 12:15:05 Europe/Rome", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"3 Jun 2026 12:15:05", "2026-06-03 12:15:05", "2026-06-03 12:15:05"},
		{"", "", ""}, {"today", "", ""}, {"31 Feb 2026 00:00:00 +0000", "", ""}, {"0 Jun 2026", "", ""},
		{"3 Foo 2026", "", ""}, {"3 Jun", "", ""}, {"3 Jun 12345", "", ""}, {"3 Jun 99999999999", "", ""}, {"(3 Jun 2026", "", ""},
	} {
		d, ok := ParseDate(c.in)
		const layout = time.DateTime
		if ok != (c.local != "") || ok && (d.Local.Format(layout) != c.local || d.UTC().Format(layout) != c.utc) {
			t.Errorf("%q: %v %v, %v", c.in, d.Local.Format(layout), d.UTC().Format(layout), ok)
		}
	}
}

// FuzzDate compares with the standard library where that reads the value. Of the
// years in two digits it takes 50 to 68 for 20xx, against RFC 5322 §4.3.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"Wed, 3 Jun 2026 12:15:05 +0200", "3 Jun 26 1:02 EST", "Wed, 3 (x) Jun 2026 12:15:05 GMT", "-", "1 Jan 0000 0:0 +9999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		d, ok := ParseDate(v)
		if ok && (d.Local.Year() < 1 || d.Offset.Abs() > 100*time.Hour || !d.UTC().Add(d.Offset).Equal(d.Local)) {
			t.Fatalf("%q: %+v", v, d)
		}
		want, err := mail.ParseDate(v)
		if err != nil || len(v) > maxDate || want.Year() < 1 {
			return
		}
		if !ok {
			t.Fatalf("%q is %v", v, want)
		}
		y, m, day := want.Date()
		if y >= 2050 && y <= 2068 && d.Local.Year() == y-100 {
			y -= 100
		}
		if gy, gm, gd := d.Local.Date(); gy != y || gm != m || gd != day {
			t.Fatalf("%q: %v, the standard library reads %v", v, d.Local, want)
		}
	})
}
