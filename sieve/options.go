// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"slices"
	"strings"
)

// takes says which tags a command or test may have.
type takes struct{ match, part, copy, create, flags, size bool }

// options are the arguments of a command or test, its tags sorted out.
type options struct {
	match    matchType
	octet    bool // the comparator is i;octet
	part     addressPart
	copy     bool
	flags    []string
	hasFlags bool
	over     bool // of size; else under
	rest     []arg
}

type matchType uint8

const (
	matchIs matchType = iota
	matchContains
	matchGlob
)

type addressPart uint8

const (
	partAll addressPart = iota
	partLocal
	partDomain
)

// options sorts the tags out. What remains is in the order in which it is written.
func (c *compiler) options(n node, may takes) (o options, err error) {
	seen := make(map[string]bool) // groups of tags of which one may be there
	for i := 0; i < len(n.args); i++ {
		a := n.args[i]
		if a.kind != tag {
			o.rest = append(o.rest, a)
			continue
		}
		group, ok := "", true
		switch a.tag {
		case ":is", ":contains", ":matches":
			group, ok = "match", may.match
			o.match = map[string]matchType{":is": matchIs, ":contains": matchContains, ":matches": matchGlob}[a.tag]
		case ":all", ":localpart", ":domain":
			group, ok = "part", may.part
			o.part = map[string]addressPart{":all": partAll, ":localpart": partLocal, ":domain": partDomain}[a.tag]
		case ":over", ":under":
			group, ok, o.over = "size", may.size, a.tag == ":over"
		case ":copy":
			group, ok, o.copy = "copy", may.copy, true
			err = c.need(a.line, "copy")
		case ":create":
			group, ok = "create", may.create
			err = c.need(a.line, "mailbox")
		case ":comparator", ":flags":
			if i++; i == len(n.args) || n.args[i].kind != text {
				return o, wrongf(a.line, "dopo %s manca il valore", "a value is missing after %s", a.tag)
			}
			group = a.tag
			if a.tag == ":flags" {
				ok = may.flags
				o.flags, o.hasFlags, err = nil, true, c.need(a.line, "imap4flags")
				if err == nil {
					o.flags, err = flagList(a.line, n.args[i].texts)
				}
			} else {
				ok = may.match
				o.octet, err = comparator(a.line, n.args[i].texts)
			}
		default:
			ok = false
		}
		switch {
		case !ok:
			return o, wrongf(a.line, "%s qui non è ammesso", "%s is not possible here", a.tag)
		case err != nil:
			return o, err
		case seen[group]:
			return o, wrongf(a.line, "%s contraddice un argomento precedente", "%s contradicts an argument before it", a.tag)
		}
		seen[group] = true
	}
	if may.size && !seen["size"] {
		return o, wrong(n.line, "size vuole :over oppure :under", "size wants :over or :under")
	}
	return o, nil
}

func comparator(line int, names []string) (octet bool, err error) {
	if len(names) == 1 && names[0] == "i;octet" {
		return true, nil
	}
	if len(names) == 1 && names[0] == "i;ascii-casemap" {
		return false, nil
	}
	return false, wrongf(line, "confronto non disponibile: %s", "comparator is not available: %s", strings.Join(names, ", "))
}

// shape checks that the arguments that are no tags are of the kinds given.
func shape(n node, o options, kinds ...kind) error {
	if !slices.EqualFunc(o.rest, kinds, func(a arg, k kind) bool { return a.kind == k }) {
		return wrongf(n.line, "argomenti di %s non validi", "wrong arguments of %s", n.name)
	}
	return nil
}

// orShape is err, or else what shape finds.
func orShape(n node, o options, err error, kinds ...kind) error {
	if err != nil {
		return err
	}
	return shape(n, o, kinds...)
}

// flagList reads flags, of which one string may hold several (RFC 5232 §2), in
// the spelling of RFC 9051 §2.3.2, none twice.
func flagList(line int, texts []string) ([]string, error) {
	var flags []string
	for _, t := range texts {
		for _, f := range strings.Fields(t) {
			flag, ok := flagName(f)
			switch {
			case !ok && strings.EqualFold(f, `\Deleted`):
				return nil, refused(line, f)
			case !ok:
				return nil, wrongf(line, "contrassegno non valido: %s", "not a flag: %s", f)
			}
			flags = addFlag(flags, flag)
		}
	}
	if len(flags) > maxFlags {
		return nil, wrong(line, "troppi contrassegni", "too many flags")
	}
	return flags, nil
}

func flagName(f string) (string, bool) {
	if strings.HasPrefix(f, `\`) {
		for _, system := range []string{`\Answered`, `\Draft`, `\Flagged`, `\Seen`} {
			if strings.EqualFold(f, system) {
				return system, true
			}
		}
		return "", false
	}
	const longest = 100
	for i := range len(f) {
		if c := f[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return "", false
		}
	}
	return f, f != "" && len(f) <= longest
}

// addFlag adds a flag that is not there yet, in any case of letters.
func addFlag(flags []string, f string) []string {
	if slices.ContainsFunc(flags, func(g string) bool { return strings.EqualFold(f, g) }) {
		return flags
	}
	return append(flags, f)
}
