// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"
)

const (
	flagSeen    = `\Seen`
	flagDeleted = `\Deleted`
	flagRecent  = `\Recent`
)

// systemFlags are the flags of RFC 9051 §2.3.2 that clients may set.
func systemFlags() []string {
	return []string{`\Answered`, flagDeleted, `\Draft`, `\Flagged`, flagSeen}
}

// storable checks the form of the flags of a command and returns them as they are
// stored; how long and how many they may be is the store's to decide.
// \Recent, which no client can set, is left out.
func storable(flags []string) ([]string, error) {
	var out []string
	for _, f := range flags {
		if strings.HasPrefix(f, `\`) {
			if strings.EqualFold(f, flagRecent) {
				continue
			}
			i := slices.IndexFunc(systemFlags(), func(known string) bool { return strings.EqualFold(known, f) })
			if i < 0 {
				return nil, bad("flag sconosciuto / unknown system flag")
			}
			f = systemFlags()[i]
		} else if !isAtom(f) {
			return nil, bad("flag non valido / invalid keyword")
		}
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out, nil
}

// hasFlag compares without case, as keywords do.
func hasFlag(flags []string, f string) bool {
	return slices.ContainsFunc(flags, func(have string) bool { return strings.EqualFold(have, f) })
}
