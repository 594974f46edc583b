// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// sent prints what is on record of all mailboxes.
func (e *env) sent() (out string) {
	e.Helper()
	err := e.SentTotals(e.ctx, time.Time{}, func(t storage.SentTotal) error {
		out += fmt.Sprintf("%s %d/%d from %d to %d:", t.Address, t.Messages, t.Recipients, t.First.Unix(), t.Last.Unix())
		for _, c := range must(e.Sent(e.ctx, t.Mailbox, time.Time{}))(e) {
			out += fmt.Sprintf(" %d=%d/%d", c.At.Unix(), c.Messages, c.Recipients)
		}
		out += "\n"
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// testSent: what was sent is on record by the second, and leaves it again.
func testSent(e *env) {
	a, b := e.box("a@x.it"), e.box("b@x.it")
	start := time.Unix(1_780_000_000, 0)
	count := func(m storage.MailboxID, after time.Duration, recipients int) *storage.CountSent {
		return &storage.CountSent{Mailbox: m, At: start.Add(after), Recipients: recipients}
	}
	e.ok(count(a.Mailbox, 0, 3), count(a.Mailbox, 999*time.Millisecond, 4), count(b.Mailbox, time.Minute, 1))
	e.ok(count(a.Mailbox, time.Second, 1000))
	equal(e, "on record", e.sent(), "a@x.it 3/1007 from 1780000000 to 1780000001: 1780000000=2/7 1780000001=1/1000\n"+
		"b@x.it 1/1 from 1780000060 to 1780000060: 1780000060=1/1\n")
	equal(e, "since the second", len(must(e.Sent(e.ctx, a.Mailbox, start))(e)), 2)
	equal(e, "since a part of it", len(must(e.Sent(e.ctx, a.Mailbox, start.Add(time.Nanosecond)))(e)), 1)
	equal(e, "later", len(must(e.Sent(e.ctx, a.Mailbox, start.Add(2*time.Second)))(e)), 0)
	late := 0
	if err := e.SentTotals(e.ctx, start.Add(time.Second), func(t storage.SentTotal) error { late += t.Recipients; return nil }); err != nil {
		e.Fatal(err)
	}
	equal(e, "recipients since", late, 1001)
	e.again()
	purge := &storage.PurgeSent{Mailbox: a.Mailbox, Before: start.Add(time.Second)}
	e.ok(purge)
	equal(e, "purged", purge.Purged, 1)
	equal(e, "left", e.sent(), "a@x.it 1/1000 from 1780000001 to 1780000001: 1780000001=1/1000\n"+
		"b@x.it 1/1 from 1780000060 to 1780000060: 1780000060=1/1\n")
	e.fails(fault.Invalid, count(a.Mailbox, 0, -1))
}
