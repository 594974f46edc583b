// SPDX-License-Identifier: EUPL-1.2

package pec

import "time"

// phrases are the parts that the texts of pec-rules §2.4 have in common, in
// Italian and in English.
type phrases struct {
	m  Message // clean
	at time.Time
}

func (p phrases) dayIT() string {
	return "Il giorno " + p.at.Format("02/01/2006") + " alle ore " + p.clock()
}

func (p phrases) dayEN() string {
	return "On " + p.at.Format("02/01/2006") + " at " + p.clock()
}

// clock writes the zone as "(+0200)", as production does, not as "(+02:00)" of
// RFC 6109 §4.2 (pec-rules §11 #1).
func (p phrases) clock() string { return p.at.Format("15:04:05 (-0700)") }

func (p phrases) subjectIT() string {
	if p.m.Subject == "" {
		return "(senza oggetto)"
	}
	return quote(p.m.Subject)
}

func (p phrases) subjectEN() string {
	if p.m.Subject == "" {
		return "(no subject)"
	}
	return quote(p.m.Subject)
}

func (p phrases) fromIT() string { return p.subjectIT() + " proveniente da " + quote(p.m.Sender) }
func (p phrases) fromEN() string { return p.subjectEN() + " originating from " + quote(p.m.Sender) }

func (p phrases) idIT() string { return "Identificativo messaggio: " + p.m.ID }
func (p phrases) idEN() string { return "Message identifier: " + p.m.ID }

func quote(s string) string { return "\"" + s + "\"" }

// listedEN points from the English text to the list in the Italian one: a list
// of a thousand addresses stands there once.
const listedEN = "and addressed to the recipients listed above"

// addresses returns the addresses of recipients.
func addresses(recipients []Recipient) []string {
	out := make([]string, len(recipients))
	for i, r := range recipients {
		out[i] = r.Address
	}
	return out
}
