// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pecd/fault"
)

// Bounds of folder names and of their number.
const (
	maxLevelBytes = 255
	maxDepth      = 20
	maxFolders    = 10_000 // a mailbox
)

const inbox = "INBOX"

// folderName returns the canonical form of a folder's name: NFC, "/" between
// levels, INBOX upper case as first level (RFC 9051 §5.1). A "/" at the end,
// which announces children in CREATE, is dropped.
func folderName(op, name string) (string, error) {
	refuse := func(text string) (string, error) { return "", fault.Say(op, fault.Invalid, text) }
	if !utf8.ValidString(name) {
		return refuse("nome di cartella non UTF-8 / folder name is not UTF-8")
	}
	name = strings.TrimSuffix(norm.NFC.String(name), "/")
	levels := strings.Split(name, "/")
	if len(levels) > maxDepth {
		return refuse("troppi livelli di cartelle / folders nested too deeply")
	}
	for _, l := range levels {
		switch {
		case l == "":
			return refuse("nome di cartella vuoto / empty folder name")
		case len(l) > maxLevelBytes:
			return refuse("nome di cartella troppo lungo / folder name too long")
		case strings.ContainsFunc(l, unicode.IsControl):
			return refuse("nome di cartella con caratteri di controllo / control characters in folder name")
		}
	}
	if strings.EqualFold(levels[0], inbox) {
		levels[0] = inbox
	}
	return strings.Join(levels, "/"), nil
}

// parents returns the names above name, outermost first.
func parents(name string) []string {
	var out []string
	for i := range len(name) {
		if name[i] == '/' {
			out = append(out, name[:i])
		}
	}
	return out
}

// address returns the form in which addresses, domains and logins are compared.
func address(a string) string { return strings.ToLower(a) }
