// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func testFilters(e *env) {
	box, other := e.box("a@x.it").Mailbox, e.box("b@x.it").Mailbox
	told := func(m storage.MailboxID) string {
		e.Helper()
		return fmt.Sprint(must(e.Filters(e.ctx, m))(e))
	}
	put := func(m storage.MailboxID, name, script string, at time.Time) *storage.PutFilter {
		return &storage.PutFilter{Filter: storage.Filter{Mailbox: m, Name: name, Script: script, At: at}}
	}
	equal(e, "none", told(box), "[]")
	e.fails(fault.NotFound, put(box+99, "a", "", at))
	e.fails(fault.Invalid, put(box, "", "", at))
	e.fails(fault.NotFound, &storage.ActivateFilter{Mailbox: box, Name: "a"})
	e.fails(fault.NotFound, &storage.RemoveFilter{Mailbox: box, Name: "a"})
	_, err := e.ActiveFilter(e.ctx, box)
	e.wants(fault.NotFound, err)

	// The first is not active by being there; the second replaces it.
	e.ok(put(box, "ferie", "stop;", at), put(box, "è", "", at), put(other, "ferie", "keep;", at))
	_, err = e.ActiveFilter(e.ctx, box)
	e.wants(fault.NotFound, err)
	e.ok(&storage.ActivateFilter{Mailbox: box, Name: "ferie"})
	want := storage.Filter{Mailbox: box, Name: "ferie", Script: "stop;", Active: true, At: at}
	equal(e, "active", must(e.ActiveFilter(e.ctx, box))(e), want)
	later := at.Add(time.Hour)
	e.ok(put(box, "ferie", "keep;", later)) // stays active
	want.Script, want.At = "keep;", later
	equal(e, "replaced", must(e.Filter(e.ctx, box, "ferie"))(e), want)
	e.ok(&storage.ActivateFilter{Mailbox: box, Name: "è"})
	want.Active = false
	equal(e, "both", told(box), fmt.Sprint([]storage.Filter{want, {Mailbox: box, Name: "è", Active: true, At: at}}))
	e.fails(fault.NotFound, &storage.ActivateFilter{Mailbox: box, Name: "altro"}) // and the active one stays

	e.again()
	equal(e, "of another mailbox", told(other), fmt.Sprint([]storage.Filter{{Mailbox: other, Name: "ferie", Script: "keep;", At: at}}))
	e.ok(&storage.ActivateFilter{Mailbox: box})
	_, err = e.ActiveFilter(e.ctx, box)
	e.wants(fault.NotFound, err)
	e.ok(&storage.ActivateFilter{Mailbox: box, Name: "è"}, &storage.RemoveFilter{Mailbox: box, Name: "è"})
	equal(e, "removed", told(box), fmt.Sprint([]storage.Filter{want}))
	_, err = e.Filter(e.ctx, box, "è")
	e.wants(fault.NotFound, err)
}
