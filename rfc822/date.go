// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"strings"
	"time"
)

// Date is the value of a Date field.
type Date struct {
	// Local is the date and time as written, whatever the zone, told as UTC.
	Local time.Time
	// Offset is how far the zone written is ahead of UTC.
	Offset time.Duration
}

// UTC is the instant meant.
func (d Date) UTC() time.Time { return d.Local.Add(-d.Offset) }

// maxDate is how many octets of a value are looked at for a date.
const maxDate = 256

// ParseDate reads the value of a Date field (RFC 5322 §3.3 with the obsolete
// forms of §4.3) as RFC 5256 §2.2 wants it done: a time that is missing or wrong
// is midnight, a zone that is missing or wrong is UTC. ok is false without a day
// of the calendar.
func ParseDate(v string) (d Date, ok bool) {
	v = v[:min(len(v), maxDate)]
	if strings.IndexByte(v, '(') >= 0 {
		v = withoutComments(v)
	}
	p := dateParser{v}
	if w, rest := cutLetters(p.trimmed()); w != "" { // the day of the week
		p.s = rest
	}
	p.skip(",")
	day, _ := p.number()
	p.skip("-")
	month := p.month()
	p.skip("-")
	year, digits := p.number()
	switch {
	case digits == 2 && year < 50:
		year += 2000
	case digits == 2 || digits == 3:
		year += 1900
	}
	if month == 0 || day < 1 || year < 1 || digits < 2 || digits > 4 {
		return Date{}, false
	}
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if date.Day() != day {
		return Date{}, false
	}
	p.skip(",")
	clock, ok := p.clock()
	if !ok {
		return Date{Local: date}, true
	}
	return Date{Local: date.Add(clock), Offset: p.zone()}, true
}

type dateParser struct{ s string }

// trimmed leaves white space out.
func (p *dateParser) trimmed() string {
	p.s = strings.TrimLeft(p.s, " \t\r\n")
	return p.s
}

func (p *dateParser) skip(prefix string) bool {
	rest, found := strings.CutPrefix(p.trimmed(), prefix)
	if found {
		p.s = rest
	}
	return found
}

// number reads up to nine digits; more leave digits at ten.
func (p *dateParser) number() (n, digits int) {
	s := p.trimmed()
	for digits < len(s) && digits < 10 && s[digits] >= '0' && s[digits] <= '9' {
		if digits < 9 {
			n = n*10 + int(s[digits]-'0')
		}
		digits++
	}
	p.s = s[digits:]
	return n, digits
}

func cutLetters(s string) (letters, rest string) {
	i := 0
	for i < len(s) && (s[i]|0x20) >= 'a' && (s[i]|0x20) <= 'z' {
		i++
	}
	return s[:i], s[i:]
}

// month reads the name of a month; 0 is none.
func (p *dateParser) month() time.Month {
	w, rest := cutLetters(p.trimmed())
	if len(w) < 3 {
		return 0
	}
	p.s = rest
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for i := 0; i < len(names); i += 3 {
		if strings.EqualFold(w[:3], names[i:i+3]) {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}

// clock reads hour:minute[:second].
func (p *dateParser) clock() (d time.Duration, ok bool) {
	hour, digits := p.number()
	if digits < 1 || hour > 23 || !p.skip(":") {
		return 0, false
	}
	minute, digits := p.number()
	if digits < 1 || minute > 59 {
		return 0, false
	}
	second := 0
	if p.skip(":") {
		if second, digits = p.number(); digits < 1 || second > 60 {
			return 0, false
		}
	}
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second, true
}

// zone reads an offset or one of the names that RFC 5322 §4.3 gives a meaning.
func (p *dateParser) zone() time.Duration {
	sign := time.Duration(1)
	switch {
	case p.skip("-"):
		sign = -1
	case !p.skip("+"):
		return p.namedZone()
	}
	n, digits := p.number()
	if digits != 4 || n%100 > 59 {
		return 0
	}
	return sign * (time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute)
}

func (p *dateParser) namedZone() time.Duration {
	w, _ := cutLetters(p.trimmed())
	if len(w) != 3 || w[2]|0x20 != 't' {
		return 0
	}
	var hours time.Duration
	switch w[0] | 0x20 {
	case 'e':
		hours = -5
	case 'c':
		hours = -6
	case 'm':
		hours = -7
	case 'p':
		hours = -8
	default:
		return 0
	}
	switch w[1] | 0x20 {
	case 's':
		return hours * time.Hour
	case 'd':
		return (hours + 1) * time.Hour
	}
	return 0
}
