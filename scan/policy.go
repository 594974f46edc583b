// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"fmt"
	"strings"

	"pecd/fault"
)

// Class is what kind of thing was found.
type Class uint8

// The classes. The zero value is clean.
const (
	Clean Class = iota
	Virus
	// Bomb exceeds what the engine is willing to unpack: size, number of files,
	// depth, time. What lies behind the limit was not looked at.
	Bomb
	// Encrypted cannot be looked into without a password.
	Encrypted
)

var classNames = [...]string{"clean", "virus", "bomb", "encrypted"}

// String returns the class's name for logs and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// How clamd names what is no virus. It is the same for years, while the part
// after the prefix grows: MaxRecursion, MaxScanSize, EmailHeaders, …; Zip, PDF, ….
const (
	limitsPrefix    = "Heuristics.Limits.Exceeded"
	encryptedPrefix = "Heuristics.Encrypted"
)

// classOf classes a finding by its name. What nobody knows is a virus.
func classOf(name string) Class {
	switch {
	case name == "":
		return Clean
	case under(name, limitsPrefix):
		return Bomb
	case under(name, encryptedPrefix):
		return Encrypted
	}
	return Virus
}

// under reports whether name is prefix, or prefix and a dot and more.
func under(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '.')
}

// Action is what is done about a class.
type Action uint8

// The actions. The zero value refuses.
const (
	Refuse Action = iota // treated as a virus
	Report               // let through, and said in the log
	Pass                 // let through
)

var actionNames = [...]string{"refuse", "report", "pass"}

// String returns the action's word in configurations.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// Policy says what is done about messages that are neither clean nor infected.
// Viruses are always refused.
type Policy struct {
	Bombs     Action
	Encrypted Action
}

// DefaultPolicy refuses bombs and reports encrypted contents, which the rules
// do not forbid (pec-rules §9).
func DefaultPolicy() Policy { return Policy{Bombs: Refuse, Encrypted: Report} }

// ParsePolicy reads the two actions from a configuration's words: "refuse",
// "report" or "pass"; "" is the default's. Anything else is Invalid.
func ParsePolicy(bombs, encrypted string) (Policy, error) {
	p := DefaultPolicy()
	for _, f := range []struct {
		key, word string
		a         *Action
	}{{"bombs", bombs, &p.Bombs}, {"encrypted", encrypted, &p.Encrypted}} {
		switch f.word {
		case "":
		case "refuse":
			*f.a = Refuse
		case "report":
			*f.a = Report
		case "pass":
			*f.a = Pass
		default:
			return Policy{}, fault.Say("scan.ParsePolicy", fault.Invalid,
				fmt.Sprintf("%s = %q: refuse, report o pass / refuse, report or pass", f.key, f.word))
		}
	}
	return p, nil
}

// action returns what is done about c.
func (p Policy) action(c Class) Action {
	switch c {
	case Clean:
		return Pass
	case Bomb:
		return p.Bombs
	case Encrypted:
		return p.Encrypted
	}
	return Refuse
}
