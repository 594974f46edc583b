// SPDX-License-Identifier: EUPL-1.2

package protection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"pecd/fault"
)

// Rule is what is done about one kind of finding, by the way of the message.
// What is "" is left to whoever stands above: the domain's policy, the provider's.
type Rule struct {
	Submission Action `json:"submission,omitempty" toml:"submission" doc:"Messages that a holder hands in: pass, tag (the log alone) or refuse (signed non-acceptance)."`
	Certified  Action `json:"certified,omitempty" toml:"certified" doc:"Certified messages for own mailboxes: pass, tag, folder or refuse (signed non-delivery); spam is never refused."`
	Ordinary   Action `json:"ordinary,omitempty" toml:"ordinary" doc:"Ordinary mail: pass, tag, folder or refuse (554)."`
}

func (r *Rule) of(d Direction) *Action {
	switch d {
	case Submission:
		return &r.Submission
	case Certified:
		return &r.Certified
	}
	return &r.Ordinary
}

// Policy is the rules of a provider, a domain or a mailbox.
type Policy struct {
	Spam   Rule `json:"spam,omitzero" toml:"spam" doc:"Spam, by the antispam engine."`
	Macro  Rule `json:"macro,omitzero" toml:"macro" doc:"Documents with macros or embedded programs (S4-062)."`
	Link   Rule `json:"link,omitzero" toml:"link" doc:"Dangerous links (S4-063)."`
	Opaque Rule `json:"opaque,omitzero" toml:"opaque" doc:"Contents that cannot be looked into: encrypted, malformed, beyond the bounds."`
}

func (p *Policy) rule(k Kind) *Rule {
	switch k {
	case Spam:
		return &p.Spam
	case Macro:
		return &p.Macro
	case Link:
		return &p.Link
	}
	return &p.Opaque
}

// Action is what the policy says of a kind in a direction; "" where nothing.
func (p Policy) Action(k Kind, d Direction) Action { return *p.rule(k).of(d) }

// With returns the policy with one action set; "" takes what it says away.
func (p Policy) With(k Kind, d Direction, a Action) Policy {
	*p.rule(k).of(d) = a
	return p
}

// each calls f for every cell.
func each(f func(k Kind, d Direction)) {
	for _, k := range Kinds() {
		for _, d := range Directions() {
			f(k, d)
		}
	}
}

// Default is the provider's policy where the configuration says nothing else.
// Nobody's mail is held back by it: what is found is marked, and spam that is
// not certified goes to its folder.
func Default() Policy {
	mark := Rule{Submission: Tag, Certified: Tag, Ordinary: Tag}
	return Policy{
		Spam:  Rule{Submission: Pass, Certified: Tag, Ordinary: Folder},
		Macro: mark, Link: mark,
		Opaque: Rule{Submission: Pass, Certified: Pass, Ordinary: Pass},
	}
}

// Effective is what holds for a mailbox: its own policy, where it says nothing
// its domain's, and nowhere less than the provider's.
func Effective(provider, domain, mailbox Policy) Policy {
	out := provider
	each(func(k Kind, d Direction) {
		a := mailbox.Action(k, d)
		if a == "" {
			a = domain.Action(k, d)
		}
		out = out.With(k, d, stricter(provider.Action(k, d), a))
	})
	return out
}

// Check returns Invalid where a policy says what cannot be done. A certified
// message is never refused for spam: a guess must not keep back what has legal
// value (S4-036).
func (p Policy) Check() error {
	const op = "protection.Check"
	var err error
	each(func(k Kind, d Direction) {
		switch a := p.Action(k, d); {
		case a != "" && a.strength() < 0:
			err = fault.Say(op, fault.Invalid, fmt.Sprintf("%s.%s = %q: pass, tag, folder o refuse / pass, tag, folder or refuse", k, d, a))
		case k == Spam && d == Certified && a == Refuse:
			err = fault.Say(op, fault.Invalid, "spam.certified: la posta certificata non si rifiuta come spam / certified mail is never refused for spam")
		case d == Submission && a == Folder:
			err = fault.Say(op, fault.Invalid, fmt.Sprintf("%s.submission: pass, tag o refuse / pass, tag or refuse", k))
		}
	})
	return err
}

// CheckAbove returns Denied where a policy says less than the floor: whoever
// chooses it must not believe in something that will not hold.
func (p Policy) CheckAbove(floor Policy) error {
	var err error
	each(func(k Kind, d Direction) {
		if a, least := p.Action(k, d), floor.Action(k, d); a != "" && a.strength() < least.strength() {
			err = fault.Say("protection.CheckAbove", fault.Denied,
				fmt.Sprintf("%s.%s: il gestore richiede almeno %s / the provider requires at least %s", k, d, least, least))
		}
	})
	return err
}

// maxPolicy bounds a stored policy, in octets.
const maxPolicy = 4 << 10

// Encode is the policy as it is stored and shown: JSON, what is not said left out.
func (p Policy) Encode() []byte {
	b, err := json.Marshal(p)
	if err != nil { // strings always encode
		return nil
	}
	return b
}

// Decode reads what Encode wrote, or an administrator did. Unknown words are Invalid.
func Decode(b []byte) (Policy, error) {
	const op = "protection.Decode"
	var p Policy
	if len(b) > maxPolicy {
		return p, fault.Say(op, fault.Invalid, "regole troppo lunghe / policy too long")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Policy{}, &fault.Error{Op: op, Kind: fault.Invalid, Err: err, Text: "regole non leggibili / policy not understood"}
	}
	if _, err := dec.Token(); err != io.EOF {
		return Policy{}, fault.Say(op, fault.Invalid, "regole non leggibili / policy not understood")
	}
	return p, p.Check()
}
