// SPDX-License-Identifier: EUPL-1.2

package roster

import (
	"context"
	"slices"

	"pecd/directory"
	"pecd/fault"
)

// Import creates what a file lists, for the body and with the choices of e, whose
// mailboxes are those of the file. All that stands against it is told at once, by
// line: then nothing was created. Errors are those of directory.Enrol.
func Import(ctx context.Context, d *directory.Directory, file []byte, e directory.Enrolment) (directory.Enrolled, []directory.Objection, error) {
	const op = "roster.Import"
	tiers, err := d.Tiers(ctx)
	if err != nil {
		return directory.Enrolled{}, nil, fault.Wrap(op, err)
	}
	boxes, unread := Read(file, tiers)
	if len(boxes) == 0 && len(unread) == 0 {
		unread = []directory.Objection{{Text: "il file non elenca caselle / the file lists no mailbox"}}
	}
	e.Mailboxes = boxes
	e.DryRun = e.DryRun || len(unread) > 0
	done, objections, err := d.Enrol(ctx, e)
	objections = append(unread, objections...)
	slices.SortStableFunc(objections, func(a, b directory.Objection) int { return a.Line - b.Line })
	return done, objections, fault.Wrap(op, err)
}
