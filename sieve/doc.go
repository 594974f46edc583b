// SPDX-License-Identifier: EUPL-1.2

// Package sieve reads the filters that holders write for their mailboxes, in a
// subset of Sieve (RFC 5228), and decides what is done with a message (S4-039 …
// S4-042). It does no I/O, knows no clock and keeps nothing: what it is asked
// twice it answers alike.
//
// The subset, all of RFC 5228 but discard, and of its extensions what moves,
// copies, forwards and marks:
//
//	control     require, if, elsif, else, stop
//	actions     keep, fileinto, redirect; :copy (RFC 3894); :flags, addflag,
//	            setflag, removeflag (RFC 5232); :create (RFC 5490)
//	tests       address, envelope (from, to), header, exists, size, allof, anyof,
//	            not, true, false, hasflag
//	matches     :is, :contains, :matches
//	comparators i;octet, i;ascii-casemap
//
// Three things differ from RFC 5228, because certified mail is evidence. Nothing
// throws a message away: discard, reject, ereject, vacation and the flag \Deleted
// are refused when a script is compiled. A redirect never ends the implicit keep:
// the holder's mailbox keeps the original (S4-041). A folder that is missing is
// made, with :create and without.
//
// Scripts and messages are hostile. A script is bounded in size, nesting and
// commands when it is compiled, a run in the octets that its tests look at, in
// forwards and in copies; what exceeds them ends the run with an error, and the
// message is kept. Only the header is looked at, never the text.
package sieve

// Bounds of a script and of a run.
const (
	MaxScript   = 64 << 10 // octets of a script
	MaxForwards = 3        // different addresses that one message is forwarded to
	MaxFolders  = 8        // different folders that one message is put into

	maxNesting  = 20       // blocks and tests within each other
	maxCommands = 2000     // commands and tests of a script
	maxFlags    = 20       // flags that one message gets
	maxName     = 255      // octets of the name of a folder
	maxWork     = 32 << 20 // octets that the tests of one run look at, those of patterns tried again among them
)

// Capabilities are what require may name, in the order of the specification
// (RFC 5228 §6.1).
func Capabilities() []string {
	return []string{"fileinto", "envelope", "copy", "imap4flags", "mailbox", "comparator-i;octet", "comparator-i;ascii-casemap"}
}
