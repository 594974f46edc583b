// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
)

// Problem is one thing that Verify found: of a record, or of a seal, or of a
// file that no seal names, or of the log as a whole.
type Problem struct {
	Seq  int64       // the record; 0: the problem is not one record's
	Kind ledger.Kind // of the record's event, with ID and At: as sealed, where that is known
	ID   string
	At   time.Time

	Seal int64  // number of the seal that holds it; 0: none does
	File string // of the seal
	What string // what is wrong, Italian first; several things are parted by "; "

	// Late says that this is no fault of what is there, but something that has to
	// be explained: the authority's word came long after the day, or not yet.
	Late bool
}

// String tells the problem on one line, safe to print.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Seq > 0 && p.Kind == "":
		fmt.Fprintf(&b, "registrazione / record %d", p.Seq)
	case p.Seq > 0:
		fmt.Fprintf(&b, "registrazione / record %d (%q, %q, %s)", p.Seq, string(p.Kind), p.ID, p.At.UTC().Format(time.RFC3339Nano))
	case p.Seal > 0:
		fmt.Fprintf(&b, "sigillo / seal %d (%q)", p.Seal, p.File)
	case p.File != "":
		fmt.Fprintf(&b, "file %q", p.File)
	default:
		b.WriteString("log")
	}
	b.WriteString(": ")
	b.WriteString(p.What)
	return b.String()
}

// Summary is what Verify looked at.
type Summary struct {
	Provider    string // whose log it is
	First, Last int64  // the records, Last < First without any
	Records     int64  // how many of them are there
	Seals       int64  // sealed days that are kept
	Purged      int64  // sealed days whose time of keeping is over
	Unstamped   int64  // sealed days that still lack their time stamp
	SealedTo    int64  // the last record that is in a seal: later ones have their chain alone
	Head        Hash   // hash of the last record: kept elsewhere, it proves later that nothing up to it was rewritten or cut off
	Late        int64  // sealed days stamped more than 48 hours after their end, or not stamped since; they are no problems
	Problems    int64
	Altered     *Problem // the altered record with the lowest number; nil: none was found
}

// reporter counts what is reported.
type reporter struct {
	to  func(Problem) error
	sum Summary
}

func (r *reporter) report(p Problem) error {
	if p.Late {
		r.sum.Late++
		return r.to(p)
	}
	r.sum.Problems++
	if p.Seq > 0 && (r.sum.Altered == nil || p.Seq < r.sum.Altered.Seq) {
		r.sum.Altered = &p
	}
	return r.to(p)
}

// reasons collects what is wrong with one thing.
type reasons []string

func (r *reasons) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

// String joins the reasons; "" without any.
func (r reasons) String() string { return strings.Join(r, "; ") }

// why is the text of an error for a reason.
func why(err error) string {
	if t := fault.TextOf(err); t != "" {
		return t
	}
	return fmt.Sprintf("%q", err.Error())
}
