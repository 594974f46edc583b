// SPDX-License-Identifier: EUPL-1.2

package notify_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/notify"
	"pecd/storage"
)

// TestS4_014_ManyArrivalsAreToldTogether: of 500 in a minute the first few are
// told one by one and the others once, by mail and by SMS, and none is missing.
func TestS4_014_ManyArrivalsAreToldTogether(t *testing.T) {
	w := newWorld(t)
	w.ok(w.service.Tell(w.ctx, standard, standard, w.confirmed(standard, cell).ID, true))
	w.ok(w.service.Tell(w.ctx, standard, standard, w.confirmed(standard, "m@posta.example").ID, true))
	w.arrives(standard, 500, 100*time.Millisecond)
	w.running()
	var texts []notify.SMS
	var mails []letter
	bySMS, byMail := 0, 0
	w.until("all are told", func() (bool, string) {
		for _, m := range w.texts() {
			texts, bySMS = append(texts, m), bySMS+told(m.Text)
		}
		for _, m := range w.mails() {
			mails, byMail = append(mails, m), byMail+told(m.body)
		}
		return bySMS >= 500 && byMail >= 500, fmt.Sprint(bySMS, byMail)
	})
	w.moves(10 * time.Minute)
	if bySMS != 500 || byMail != 500 || len(texts) != 6 || len(mails) != 6 || len(w.texts())+len(w.mails()) != 0 {
		t.Errorf("%d told by %d text messages, %d by %d mails", bySMS, len(texts), byMail, len(mails))
	}
	if last := texts[len(texts)-1].Text; last != "495 nuovi messaggi PEC nella casella mario@pec.example fra le 10:30 e le 10:30" {
		t.Errorf("%q", last)
	}
	ids := make(map[string]bool)
	for _, m := range texts {
		ids[m.ID] = true
	}
	if len(ids) != len(texts) {
		t.Errorf("%d identifiers of %d messages", len(ids), len(texts))
	}
	if got := w.service.Figures(); got[0].Count != 6 || got[3].Count != 6 {
		t.Errorf("%+v", got)
	}
}

// TestS4_014_GatewayDown: what the gateway does not take is tried three times more
// within an hour, under the same identifier; then it is given up.
func TestS4_014_GatewayDown(t *testing.T) {
	w := newWorld(t)
	w.ok(w.service.Tell(w.ctx, standard, standard, w.confirmed(standard, cell).ID, true))
	w.playing(fault.New("test", fault.Temporary, fmt.Errorf("refused")))
	w.arrives(standard, 1, 0)
	w.running()
	var tries []notify.SMS
	start := w.clk.Now()
	w.step = 10 * time.Second
	w.until("the second try", func() (bool, string) {
		tries = append(tries, w.texts()...)
		return len(tries) == 2, fmt.Sprint(len(tries))
	})
	w.until("the alarm", func() (bool, string) { return len(w.alarms.Raised()) == 1, "" })
	w.playing(nil)
	w.until("it is told", func() (bool, string) {
		tries = append(tries, w.texts()...)
		return len(tries) == 3, fmt.Sprint(len(tries))
	})
	if tries[0] != tries[2] {
		t.Errorf("%+v", tries)
	}
	w.until("no alarm", func() (bool, string) { return len(w.alarms.Raised()) == 0, "" })
	if took := w.clk.Now().Sub(start); took > time.Hour {
		t.Errorf("after %v", took)
	}

	w.playing(fault.New("test", fault.Temporary, fmt.Errorf("refused")))
	w.arrives(standard, 1, 0)
	w.until("given up", func() (bool, string) { return len(w.events("notice.failed")) == 1, "" })
	w.moves(2 * time.Minute)
	if n := len(w.texts()); n != 4 {
		t.Errorf("%d tries", n)
	}
	if r := w.alarms.Raised(); len(r) != 1 || r[0].Name != alarm.SMSGateway {
		t.Errorf("%+v", r)
	}
}

// TestContactIsDoubted: three refusals over a day end the notices to a contact, and
// its user reads it in his mailbox.
func TestContactIsDoubted(t *testing.T) {
	w := newWorld(t)
	c := w.confirmed(standard, cell)
	w.ok(w.service.Tell(w.ctx, standard, standard, c.ID, true))
	w.playing(fault.New("test", fault.Denied, fmt.Errorf("the gateway answers 422")))
	w.running()
	for i := range 3 {
		w.arrives(standard, 1, 0)
		w.until("refused", func() (bool, string) { return len(w.events("notice.failed")) == i+1, "" })
	}
	if n := len(w.inbox(standard)); n != 0 {
		t.Errorf("%d messages within a minute", n)
	}
	w.clk.Advance(24 * time.Hour)
	w.until("the user is told", func() (bool, string) { return len(w.inbox(standard)) == 1, "" })
	if s := w.inbox(standard)[0]; !strings.HasPrefix(s, "Avvisi sospesi") {
		t.Errorf("%q", s)
	}
	w.texts()
	w.arrives(standard, 1, 0)
	w.moves(5 * time.Second)
	if c, err := w.store.Contact(w.ctx, c.ID); err != nil || !c.Confirmed.IsZero() || len(w.texts()) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	w.playing(nil)
	if c = w.confirmed(standard, cell); c.ID == 0 {
		t.Error("not to be confirmed again")
	}
	w.arrives(standard, 1, 0)
	w.until("told again", func() (bool, string) { return len(w.texts()) == 1, "" })
}

// TestQuotaNotices: each level is told once when it is reached, in the mailbox
// and to its contacts, and again only after it was left; what deliveries do not
// see the daily comparison finds.
func TestQuotaNotices(t *testing.T) {
	w := newWorld(t)
	w.ok(w.service.Tell(w.ctx, standard, standard, w.confirmed(standard, cell).ID, true))
	box, err := w.store.Mailbox(w.ctx, standard)
	w.ok(err)
	const quota = 10 << 20
	tier, err := w.users.Tier(w.ctx, "standard")
	w.ok(err)
	tier.Code, tier.QuotaBytes = "piccola", quota
	box.Tier = tier.Code
	w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier}, &storage.PutMailbox{Mailbox: box})))
	w.clk.Advance(time.Minute)
	w.running()
	var last *storage.Append
	fill := func(percent int64, bound int64) {
		t.Helper()
		b, err := w.store.MailboxByID(w.ctx, box.ID)
		w.ok(err)
		body := &storage.NewBody{Head: []byte("Subject: x\r\n\r\n" + strings.Repeat("x", int(quota/100*percent+quota/200-b.Used)))}
		last = &storage.Append{Mailbox: box.ID, Body: storage.BodyRef{New: body}, Quota: bound}
		w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(body, last)))
	}
	empty := func() {
		t.Helper()
		w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.Expunge{Folder: last.In, UIDs: []uint32{last.UID}})))
	}
	var texts []string
	wants := func(what string, levels ...int) {
		t.Helper()
		w.until(what, func() (bool, string) {
			for _, m := range w.texts() {
				texts = append(texts, m.Text)
			}
			return len(texts) >= len(levels) && len(w.inbox(standard)) >= len(levels), fmt.Sprint(texts)
		})
		w.moves(3 * time.Second)
		in := w.inbox(standard)
		if len(texts) != len(levels) || len(in) != len(levels) {
			t.Fatalf("%s: %q, %q", what, texts, in)
		}
		for i, l := range levels {
			if want := fmt.Sprintf("%d%%", l); !strings.HasSuffix(texts[i], want) || !strings.Contains(in[i], want) {
				t.Errorf("%s: %q, %q, want %s", what, texts[i], in[i], want)
			}
		}
	}
	fill(79, quota)
	wants("79")
	fill(80, quota)
	wants("80", 80)
	fill(85, quota)
	wants("85", 80)
	fill(90, quota)
	wants("90", 80, 90)
	fill(93, quota)
	fill(95, quota)
	wants("95", 80, 90, 95)
	empty() // 93
	fill(96, quota)
	wants("95 once more, after it was left", 80, 90, 95, 95)
	fill(99, 0) // by something without a bound
	wants("99", 80, 90, 95, 95)

	raised := box
	raised.Raised.QuotaBytes = 2 * quota
	w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.PutMailbox{Mailbox: raised})))
	w.clk.Advance(24 * time.Hour)
	w.until("the level is known to be lower", func() (bool, string) {
		all, err := w.store.QuotaLevels(w.ctx)
		return err == nil && all[0].Level == 0, fmt.Sprint(all, err)
	})
	w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.PutMailbox{Mailbox: box})))
	w.clk.Advance(24 * time.Hour)
	wants("found by the comparison", 80, 90, 95, 95, 95)
	if e := w.events("quota.reached"); len(e) != 5 || !strings.Contains(e[1], `"detail":"90%"`) {
		t.Errorf("%v", e)
	}
}

// TestOneMailboxKeepsNoOtherFromItsNotice: a mailbox whose tier is gone has no
// quota; those behind it are told of theirs all the same.
func TestOneMailboxKeepsNoOtherFromItsNotice(t *testing.T) {
	w := newWorld(t)
	tier, err := w.users.Tier(w.ctx, "standard")
	w.ok(err)
	tier.Code, tier.QuotaBytes = "piccola", 1000
	w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	var boxes []storage.Mailbox
	w.ok(w.store.Mailboxes(w.ctx, "", func(b storage.Mailbox) error {
		boxes = append(boxes, b)
		return nil
	}))
	slices.SortFunc(boxes, func(a, b storage.Mailbox) int { return cmp.Compare(a.ID, b.ID) })
	boxes[0].Tier, boxes[1].Tier = "sparita", "piccola"
	for _, b := range boxes[:2] {
		body := &storage.NewBody{Head: []byte("Subject: x\r\n\r\n" + strings.Repeat("x", 850))}
		w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.PutMailbox{Mailbox: b}, body, &storage.Append{Mailbox: b.ID, Body: storage.BodyRef{New: body}, Quota: 1000})))
	}
	w.clk.Advance(time.Minute)
	w.running()
	w.until("the other one is told", func() (bool, string) {
		in := w.inbox(boxes[1].Address)
		return len(in) == 2, fmt.Sprint(in)
	})
}
