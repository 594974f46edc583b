// SPDX-License-Identifier: EUPL-1.2

// Package protection says what is done about messages that carry no virus and
// are unwanted all the same (S4-036, S4-062 … S4-066): spam, documents with
// macros, deceptive links, contents that cannot be looked into. It is rules
// alone: what is found comes from elsewhere, and so does the store.
package protection

import (
	"cmp"
	"slices"
)

// Kind is what kind of thing was found. The names are part of the log's format.
type Kind string

// The kinds.
const (
	Spam   Kind = "spam"   // by the score of the antispam engine
	Macro  Kind = "macro"  // a document with a program in it
	Link   Kind = "link"   // a link that is not what it seems, or to what the operator has listed
	Opaque Kind = "opaque" // contents that cannot be looked into
)

// Kinds lists all of them, in the order in which they are reported.
func Kinds() []Kind { return []Kind{Spam, Macro, Link, Opaque} }

// Direction is the way of a message.
type Direction string

// The directions.
const (
	Submission Direction = "submission" // handed in by a holder of ours
	Certified  Direction = "certified"  // an envelope for a mailbox of ours, from whatever provider
	Ordinary   Direction = "ordinary"   // anything else that comes in
)

// Directions lists all of them.
func Directions() []Direction { return []Direction{Submission, Certified, Ordinary} }

// Action is what is done about a finding. The zero value says nothing.
type Action string

// The actions, from the mildest to the strictest.
const (
	Pass   Action = "pass"   // nothing
	Tag    Action = "tag"    // a keyword on the stored message; of a submission, the log alone
	Folder Action = "folder" // and a folder of its own instead of INBOX
	Refuse Action = "refuse" // not accepted or not delivered, with the notice that is due
)

// Actions lists all of them, from the mildest to the strictest.
func Actions() []Action { return []Action{Pass, Tag, Folder, Refuse} }

// strength orders actions; what is unset is weaker than all.
func (a Action) strength() int { return slices.Index(Actions(), a) }

// stricter returns the stricter of two actions.
func stricter(a, b Action) Action {
	if b.strength() > a.strength() {
		return b
	}
	return a
}

// Finding is one thing that was found in a message.
type Finding struct {
	Kind Kind `json:"kind"`
	// Name is what it is, printable ASCII: "Ooxml.Vba", "Link.IpAddress", a score.
	Name string `json:"name"`
	// Where is the name of the attachment, "" for none. It is the sender's choice
	// and belongs to the contents: notices may tell it, logs may not.
	Where string `json:"where,omitempty"`
}

// maxFindings bounds what is kept of one message; further ones say nothing new.
const maxFindings = 8

// Distinct returns the findings in the order of kinds, each name once, and at
// most eight of them; every kind that was found is among them.
func Distinct(found []Finding) []Finding {
	var out []Finding
	for _, f := range found {
		if !slices.ContainsFunc(out, func(o Finding) bool { return o.Kind == f.Kind && o.Name == f.Name }) {
			out = append(out, f)
		}
	}
	order := func(k Kind) int { return slices.Index(Kinds(), k) }
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(order(a.Kind), order(b.Kind)) })
	for len(out) > maxFindings {
		out = slices.Delete(out, spare(out), spare(out)+1)
	}
	return out
}

// spare is the last finding whose kind has another one before it.
func spare(found []Finding) int {
	for i := len(found) - 1; i > 0; i-- {
		if found[i].Kind == found[i-1].Kind {
			return i
		}
	}
	return len(found) - 1
}
