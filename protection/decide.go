// SPDX-License-Identifier: EUPL-1.2

package protection

import (
	"slices"
	"strings"
)

// Place is the folder that a message is put into.
type Place uint8

// The places.
const (
	Inbox      Place = iota // where it would go anyway
	Junk                    // the folder of spam
	Quarantine              // the folder of what may do harm
)

// Decision is what is done about a message. The zero value: nothing.
type Decision struct {
	Action Action // the strictest of all; "" and Pass: nothing
	Place  Place
	Tags   []string  // IMAP keywords, sorted
	Taken  []Measure // what was found and is acted upon, in the order of kinds
}

// Measure is a finding and what is done about it.
type Measure struct {
	Finding
	Action Action
}

// tag is the keyword of a kind. The first two are registered with IANA for IMAP;
// clients show them.
func tag(k Kind) string {
	switch k {
	case Spam:
		return "$Junk"
	case Link:
		return "$Phishing"
	case Macro:
		return "$Macro"
	}
	return "$Opaque"
}

// Decide says what is done about the findings of a message that goes a way.
func (p Policy) Decide(d Direction, found []Finding) Decision {
	var out Decision
	for _, f := range found {
		a := p.Action(f.Kind, d)
		if f.Kind == Spam && d == Certified && a == Refuse {
			a = Folder // whatever a store says
		}
		if a.strength() <= Pass.strength() {
			continue
		}
		out.add(f, a)
	}
	return out
}

func (d *Decision) add(f Finding, a Action) {
	d.Action = stricter(d.Action, a)
	d.Taken = append(d.Taken, Measure{f, a})
	if t := tag(f.Kind); !slices.Contains(d.Tags, t) {
		d.Tags = append(d.Tags, t)
		slices.Sort(d.Tags)
	}
	switch {
	case a.strength() < Folder.strength():
	case f.Kind != Spam:
		d.Place = Quarantine
	case d.Place == Inbox:
		d.Place = Junk
	}
}

// ByKind lists what is acted upon, once for each kind: it is one interception,
// however many things of a kind there are. Name has the names of all of them.
func (d Decision) ByKind() []Measure {
	var out []Measure
	for _, m := range d.Taken {
		m.Where = ""
		if n := len(out) - 1; n >= 0 && out[n].Kind == m.Kind {
			out[n].Name += ", " + m.Name
		} else {
			out = append(out, m)
		}
	}
	return out
}

// Softened is the decision for a message that must reach its mailbox: what
// would be refused goes to its folder.
func (d Decision) Softened() Decision {
	var out Decision
	for _, m := range d.Taken {
		if m.Action == Refuse {
			m.Action = Folder
		}
		out.add(m.Finding, m.Action)
	}
	return out
}

// Refused lists the findings for which the message is refused.
func (d Decision) Refused() []Finding {
	var out []Finding
	for _, m := range d.Taken {
		if m.Action == Refuse {
			out = append(out, m.Finding)
		}
	}
	return out
}

// Asks reports whether anything is done about a kind in a direction, so that it
// is worth looking for.
func (p Policy) Asks(k Kind, d Direction) bool { return p.Action(k, d).strength() > Pass.strength() }

// Reason says why a message is refused, for its sender: in Italian, then in
// English. where tells the attachments as well, which only the sender may see.
func Reason(found []Finding, where bool) (italian, english string) {
	texts := map[Kind][2]string{
		Spam:   {"messaggio riconosciuto come spam", "message recognised as spam"},
		Macro:  {"documento con macro o programmi incorporati", "document with macros or embedded programs"},
		Link:   {"collegamento pericoloso o ingannevole", "dangerous or deceptive link"},
		Opaque: {"contenuto che non si può esaminare", "contents that cannot be examined"},
	}
	var it, en []string
	for _, f := range found {
		what := " (" + f.Name
		if where && f.Where != "" {
			what += ": " + f.Where
		}
		what += ")"
		it, en = append(it, texts[f.Kind][0]+what), append(en, texts[f.Kind][1]+what)
	}
	return strings.Join(it, "; "), strings.Join(en, "; ")
}
