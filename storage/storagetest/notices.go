// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// contact creates a confirmed contact of a user and returns it as it is stored.
func (e *env) contact(login string, kind storage.ContactKind, address string) storage.Contact {
	e.Helper()
	put := &storage.PutContact{Contact: storage.Contact{Login: login, Kind: kind, Address: address, Created: at, Confirmed: at}}
	e.ok(put)
	return must(e.Contact(e.ctx, put.ID))(e)
}

// reader creates a user who may read a mailbox.
func (e *env) reader(login string, m storage.MailboxID) {
	e.Helper()
	e.ok(&storage.PutUser{User: storage.User{Login: login, Created: at}}, &storage.PutGrant{Login: login, Mailbox: m, Permission: storage.MayRead})
}

func testContacts(e *env) {
	e.fails(fault.NotFound, &storage.PutContact{Contact: storage.Contact{Login: "ugo", Kind: storage.ContactSMS, Address: "+393331234567"}})
	e.reader("ugo", e.box("a@x.it").Mailbox)
	put := &storage.PutContact{Contact: storage.Contact{Login: "Ugo", Kind: storage.ContactSMS, Address: "+393331234567", Created: at, Code: []byte("sum"), CodeAt: at}}
	e.ok(put)
	e.fails(fault.Exists, &storage.PutContact{Contact: storage.Contact{Login: "ugo", Kind: storage.ContactSMS, Address: "+393331234567"}})
	e.fails(fault.Invalid, &storage.PutContact{Contact: storage.Contact{Login: "ugo", Kind: storage.ContactSMS}})
	c := must(e.Contact(e.ctx, put.ID))(e)
	want := put.Contact
	want.ID, want.Login = put.ID, "ugo"
	equal(e, "contact", fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", want))

	tried := c
	tried.Tries = 1
	e.ok(&storage.PutContact{Contact: tried, Before: c})
	e.fails(fault.Conflict, &storage.PutContact{Contact: tried, Before: c}) // nobody gets a try for nothing
	good := tried
	good.Confirmed, good.Code, good.CodeAt, good.Tries = at.Add(time.Minute), nil, time.Time{}, 0
	e.ok(&storage.PutContact{Contact: good, Before: tried})
	e.again()
	equal(e, "confirmed", fmt.Sprintf("%+v", must(e.Contacts(e.ctx, "UGO"))(e)), fmt.Sprintf("%+v", []storage.Contact{good}))

	for i := range 3 {
		e.ok(&storage.NoticeOutcome{Contact: c.ID, Refused: true, At: at.Add(time.Duration(i) * time.Hour)})
	}
	equal(e, "refused", len(must(e.RefusedContacts(e.ctx, 3, at.Add(time.Second)))(e)), 1)
	equal(e, "refused lately", len(must(e.RefusedContacts(e.ctx, 3, at))(e)), 0)
	equal(e, "refused often", len(must(e.RefusedContacts(e.ctx, 4, at.Add(time.Second)))(e)), 0)
	e.ok(&storage.NoticeOutcome{Contact: c.ID}, &storage.NoticeOutcome{Contact: c.ID + 99, Refused: true})
	equal(e, "delivered", must(e.Contact(e.ctx, c.ID))(e).Refused, 0)

	e.fails(fault.NotFound, &storage.DropContacts{Login: "anna", ID: c.ID})
	e.ok(&storage.DropContacts{Login: "Ugo", ID: c.ID}, &storage.DropContacts{Login: "ugo"})
	e.fails(fault.NotFound, &storage.PutContact{Contact: good, Before: good})
	_, err := e.Contact(e.ctx, c.ID)
	e.wants(fault.NotFound, err)
}

func testCodes(e *env) {
	send := func(after time.Duration) storage.Op {
		return &storage.NoteCode{Address: "+391", At: at.Add(after), PerHour: 2, PerDay: 3}
	}
	e.ok(send(0), send(0), &storage.NoteCode{Address: "+392", At: at, PerHour: 2, PerDay: 3})
	e.fails(fault.TooMany, send(time.Hour-1))
	e.ok(send(time.Hour))
	e.fails(fault.TooMany, send(3*time.Hour))
	e.ok(send(24 * time.Hour))
}

// testTargets: who is told is who may, at present.
func testTargets(e *env) {
	e.ok(&storage.PutTier{Tier: storage.Tier{Code: "standard", Notices: true}}, &storage.PutTier{Tier: storage.Tier{Code: "xl"}})
	box := must(e.MailboxByID(e.ctx, e.box("a@x.it").Mailbox))(e)
	e.reader("ugo", box.ID)
	c := e.contact("ugo", storage.ContactMail, "ugo@example.org")
	told := func(what string, want bool) {
		e.Helper()
		equal(e, what, len(must(e.TargetsOn(e.ctx, box.ID))(e)) == 1, want)
		equal(e, what+", mailbox", must(e.Mailbox(e.ctx, "a@x.it"))(e).Told, want)
	}
	told("nothing chosen", false)
	e.fails(fault.NotFound, &storage.PutTarget{Contact: c.ID + 99, Mailbox: box.ID, On: true})
	e.fails(fault.NotFound, &storage.PutTarget{Contact: c.ID, Mailbox: box.ID + 99, On: true})
	on := &storage.PutTarget{Contact: c.ID, Mailbox: box.ID, On: true}
	e.ok(on, on)
	told("chosen", true)
	e.box("b@x.it")
	equal(e, "another mailbox", must(e.Mailbox(e.ctx, "b@x.it"))(e).Told, false)
	equal(e, "targets", fmt.Sprintf("%+v", must(e.Targets(e.ctx, "Ugo"))(e)), fmt.Sprintf("%+v", []storage.Target{{Contact: c, Mailbox: box.ID, Address: "a@x.it"}}))

	e.ok(&storage.PutGrant{Login: "ugo", Mailbox: box.ID, Permission: storage.MaySend})
	told("may not read", false)
	e.ok(&storage.PutGrant{Login: "ugo", Mailbox: box.ID, Permission: storage.MayRead})
	e.ok(&storage.PutUser{User: storage.User{Login: "ugo", Disabled: true}})
	told("disabled", false)
	e.ok(&storage.PutUser{User: storage.User{Login: "ugo"}})
	box.Tier = "xl"
	e.ok(&storage.PutMailbox{Mailbox: box})
	told("tier without notices", false)
	e.ok(&storage.AllowNotices{Mailbox: box.ID, Allowed: true})
	told("allowed", true)
	equal(e, "allowed", must(e.NoticesAllowed(e.ctx, box.ID))(e), true)
	e.fails(fault.NotFound, &storage.AllowNotices{Mailbox: box.ID + 99, Allowed: true})
	e.ok(&storage.AllowNotices{Mailbox: box.ID})
	told("not any more", false)
	e.ok(&storage.AllowNotices{Mailbox: box.ID, Allowed: true})
	doubt := c
	doubt.Confirmed = time.Time{}
	e.ok(&storage.PutContact{Contact: doubt, Before: c})
	told("not confirmed", false)
	e.ok(&storage.PutContact{Contact: c, Before: doubt}, &storage.PutTarget{Contact: c.ID, Mailbox: box.ID})
	told("off", false)
}

// due prints the notices of a kind that are due.
func (e *env) due(kind storage.ContactKind, after time.Duration) string {
	e.Helper()
	var out []string
	for _, n := range must(e.DueNotices(e.ctx, kind, at.Add(after), 1000))(e) {
		out = append(out, fmt.Sprintf("%d×%v-%v %d%%", n.Count, n.First.Sub(at), n.Last.Sub(at), n.Level))
	}
	return strings.Join(out, ", ")
}

// testArrivals: the first arrivals are told one by one, the others together, and
// none is counted twice or left out.
func testArrivals(e *env) {
	e.ok(&storage.PutTier{Tier: storage.Tier{Code: "standard", Notices: true}})
	box := e.box("a@x.it").Mailbox
	e.reader("ugo", box)
	e.reader("anna", box)
	mail, sms := e.contact("ugo", storage.ContactMail, "ugo@example.org"), e.contact("anna", storage.ContactSMS, "+391")
	e.ok(&storage.PutTarget{Contact: mail.ID, Mailbox: box, On: true})
	arrives := func(after time.Duration) storage.Op {
		return &storage.NoteArrival{Mailbox: box, At: at.Add(after), Rules: storage.NoticeRules{OneByOne: 2, Interval: 5 * time.Minute, PerDay: 4}}
	}
	e.ok(arrives(0))
	e.ok(&storage.PutTarget{Contact: sms.ID, Mailbox: box, On: true}, arrives(time.Second))
	e.ok(arrives(2*time.Second), arrives(3*time.Second), arrives(time.Second))
	equal(e, "mail", e.due(storage.ContactMail, 10*time.Second), "1×0s-0s 0%, 1×1s-1s 0%")
	equal(e, "sms", e.due(storage.ContactSMS, 10*time.Second), "1×1s-1s 0%, 1×2s-2s 0%")
	equal(e, "together", e.due(storage.ContactMail, 6*time.Minute), "1×0s-0s 0%, 1×1s-1s 0%, 3×1s-3s 0%")

	all := must(e.DueNotices(e.ctx, storage.ContactMail, at.Add(6*time.Minute), 10))(e)
	equal(e, "address", all[0].Address+" "+all[0].Contact.Address, "a@x.it ugo@example.org")
	settle := func(n storage.Notice, count int64) *storage.SettleNotice {
		return &storage.SettleNotice{ID: n.ID, Count: count, At: at, DayEnds: at.Add(time.Hour)}
	}
	e.ok(settle(all[0], 1), settle(all[1], 1))
	e.fails(fault.Conflict, settle(all[0], 1))
	e.fails(fault.Conflict, settle(all[2], 2))
	e.ok(arrives(4 * time.Second))
	e.fails(fault.Conflict, &storage.CloseNotice{ID: all[2].ID, Count: 3})
	e.ok(&storage.CloseNotice{ID: all[2].ID, Count: 4}, arrives(70*time.Second))
	equal(e, "one by one again", e.due(storage.ContactMail, 10*time.Minute), "1×1m10s-1m10s 0%, 4×1s-4s 0%")
	e.ok(settle(all[2], 4), &storage.QueueNotice{Contact: mail.ID, Mailbox: box, Level: 80, At: at.Add(71 * time.Second)})
	e.fails(fault.NotFound, &storage.QueueNotice{Contact: 99, Mailbox: box, Level: 80, At: at})
	all = must(e.DueNotices(e.ctx, storage.ContactMail, at.Add(6*time.Minute), 10))(e)
	e.ok(settle(all[0], 1), &storage.RetryNotice{ID: all[1].ID, Due: at.Add(time.Hour)})
	equal(e, "put off", e.due(storage.ContactMail, time.Hour-1), "")
	equal(e, "attempts", must(e.DueNotices(e.ctx, storage.ContactMail, at.Add(time.Hour), 10))(e)[0].Attempts, 1)

	// Four notices of the day: what comes now is told when it is over.
	e.ok(arrives(5*time.Minute), arrives(6*time.Minute))
	equal(e, "over the day's bound", e.due(storage.ContactMail, time.Hour-1), "")
	equal(e, "on the next day", e.due(storage.ContactMail, time.Hour), "0×1m11s-1m11s 80%, 2×5m0s-6m0s 0%")
	before := e.due(storage.ContactMail, time.Hour)
	e.again()
	equal(e, "reopened", e.due(storage.ContactMail, time.Hour), before)
	e.ok(arrives(time.Hour+time.Minute), &storage.SettleNotice{ID: all[1].ID, Dropped: true})
	equal(e, "collects no more", e.due(storage.ContactMail, 2*time.Hour), "2×5m0s-6m0s 0%, 1×1h1m0s-1h1m0s 0%")
	e.ok(&storage.PutTarget{Contact: mail.ID, Mailbox: box})
	equal(e, "off", e.due(storage.ContactMail, 2*time.Hour), "")
	e.ok(&storage.DropContacts{Login: "anna"})
	equal(e, "without contact", e.due(storage.ContactSMS, 2*time.Hour), "")
}

// testQuotaLevels: a level is noted once each time it is reached, by whatever
// fills the mailbox.
func testQuotaLevels(e *env) {
	in := e.box("a@x.it")
	levels := func(what, want string) {
		e.Helper()
		equal(e, what, fmt.Sprint(must(e.UntoldLevels(e.ctx))(e)), want)
	}
	grow := func(n int, exempt bool) uint32 {
		e.Helper()
		b := &storage.NewBody{Head: []byte(strings.Repeat("x", n))}
		a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}, Quota: 1000, Exempt: exempt}
		e.ok(b, a)
		return a.UID
	}
	grow(799, false)
	levels("below", "[]")
	first := grow(1, false)
	levels("80", fmt.Sprintf("[{%d 80 false}]", in.Mailbox))
	told := &storage.SetQuotaLevel{Mailbox: in.Mailbox, Was: 80, Level: 80, Told: true}
	e.ok(told)
	e.fails(fault.Conflict, told)
	levels("told", "[]")
	grow(99, false)
	levels("still 80", "[]")
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{first}})
	second := grow(1, false)
	levels("899 again, never below 80", "[]")
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{second}})
	grow(201, true)
	levels("beyond all, by a receipt", fmt.Sprintf("[{%d 95 false}]", in.Mailbox))
	b := &storage.NewBody{Head: []byte("x")}
	e.fails(fault.Quota, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}, Quota: 1000})
	e.ok(&storage.SetQuotaLevel{Mailbox: in.Mailbox, Was: 95, Level: 95, Told: true})
	e.fails(fault.Conflict, &storage.SetQuotaLevel{Mailbox: in.Mailbox, Was: 90, Level: 0, Told: true})

	other := e.box("b@x.it")
	copying := &storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: other.ID, Quota: 998}
	e.ok(copying)
	levels("copied", fmt.Sprintf("[{%d 80 false}]", other.Mailbox))
	e.ok(&storage.SetQuotaLevel{Mailbox: other.Mailbox, Was: 80, Level: 0})
	equal(e, "all", fmt.Sprint(must(e.QuotaLevels(e.ctx))(e)), fmt.Sprintf("[{%d 95 true} {%d 0 false}]", in.Mailbox, other.Mailbox))
}
