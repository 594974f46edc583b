// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/notice"
	"pecd/pipeline"
	"pecd/storage"
)

// watched gives a holder a confirmed contact that is told of his mailbox.
func (w *world) watched(holder string) (*provider, storage.Contact) {
	w.t.Helper()
	p := w.at(holder)
	p.core.Notices = &storage.NoticeRules{OneByOne: 5, Interval: 5 * time.Minute, PerDay: 100}
	box, err := p.store.Mailbox(context.Background(), holder)
	check(w.t, err)
	put := &storage.PutContact{Contact: storage.Contact{Login: holder, Kind: storage.ContactMail, Address: dario, Confirmed: w.clock.Now()}}
	check(w.t, p.store.Commit(context.Background(), new(storage.Step).Add(put)))
	check(w.t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTarget{Contact: put.ID, Mailbox: box.ID, On: true})))
	c, err := p.store.Contact(context.Background(), put.ID)
	check(w.t, err)
	return p, c
}

// noted counts the arrivals that contacts are to be told of.
func (p *provider) noted() (n int64) {
	p.w.t.Helper()
	all, err := p.store.DueNotices(context.Background(), storage.ContactMail, p.w.clock.Now().Add(time.Hour), 1000)
	check(p.w.t, err)
	for _, d := range all {
		n += d.Count
	}
	return n
}

// TestS4_015_ArrivalsAreNoted: what is stored is noted in the same step, if it is
// a certified message or an anomaly; receipts, refused messages and notices of
// ours that come back are not.
func TestS4_015_ArrivalsAreNoted(t *testing.T) {
	w := newWorld(t)
	p, _ := w.watched(bruno)
	wants := func(what string, want int64) {
		t.Helper()
		w.settle()
		if n := p.noted(); n != want {
			t.Errorf("%s: %d noted, want %d", what, n, want)
		}
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	wants("certified", 1)
	w.submit(bruno, []string{carla}, message(bruno, carla, "", "x\r\n"))
	wants("receipts", 1)
	ordinary := func(header string) {
		t.Helper()
		_, err := p.incoming.Receive(context.Background(), pipeline.Arrival{Sender: dario, Recipients: []string{bruno}},
			strings.NewReader(header+"To: "+bruno+"\r\nSubject: x\r\n\r\nx\r\n"))
		check(t, err)
	}
	ordinary("From: " + dario + "\r\n")
	wants("anomaly", 2)
	ordinary("From: Avvisi <AVVISI@beta.example>\r\n" + notice.Marker + ": 1\r\n")
	wants("a notice of ours", 2)
	ordinary("From: " + dario + "\r\n" + notice.Marker + ": 1\r\n")
	wants("a notice of somebody's", 3)

	p.shaky.before = true
	_, err := p.incoming.Receive(context.Background(), pipeline.Arrival{Sender: dario, Recipients: []string{bruno}}, strings.NewReader("From: "+dario+"\r\n\r\nx\r\n"))
	p.shaky.before = false
	if err == nil || p.noted() != 3 {
		t.Errorf("what was not stored is noted: %v", err)
	}
}

// TestS4_015_NoticeRelay: a notice is ordinary mail from nobody; what becomes of
// it is counted for its contact, and nobody's address is on record.
func TestS4_015_NoticeRelay(t *testing.T) {
	w := newWorld(t)
	p, c := w.watched(bruno)
	send := func() {
		t.Helper()
		step := new(storage.Step).Add(pipeline.NoticeMail([]byte("Subject: avviso\r\n\r\nx\r\n"), c, bruno, w.clock.Now())...)
		check(t, p.store.Commit(context.Background(), step))
	}
	refused := func() int {
		t.Helper()
		now, err := p.store.Contact(context.Background(), c.ID)
		check(t, err)
		return now.Refused
	}
	w.answers[dario] = fault.Say("test", fault.NotFound, dario+" unknown")
	send()
	w.settle()
	if refused() != 1 || p.relays.LostNotices.Load() != 1 {
		t.Errorf("refused %d times, %d lost", refused(), p.relays.LostNotices.Load())
	}
	w.answers[dario] = later()
	send()
	w.settle()
	delete(w.answers, dario)
	w.outside = nil
	w.until(w.clock.Now().Add(time.Minute))
	if len(w.outside) != 1 || w.outside[0].Sender != "" || w.outside[0].RequireTLS || refused() != 0 {
		t.Errorf("%+v, refused %d times", w.outside, refused())
	}
	w.broken["mail.example"] = true
	send()
	w.until(w.clock.Now().Add(25 * time.Hour))
	if len(p.relayJobs()) != 0 || refused() != 0 || p.relays.LostNotices.Load() != 2 {
		t.Errorf("%d jobs, refused %d times, %d lost", len(p.relayJobs()), refused(), p.relays.LostNotices.Load())
	}
	failed := p.records(ledger.NoticeFailed)
	if len(failed) != 2 || failed[0].Mailbox != bruno || failed[0].User != bruno {
		t.Errorf("%+v", failed)
	}
	send() // an operator holds it, then ends it
	jobs := p.relayJobs()
	if n, err := p.queue().Hold(context.Background(), operator, jobs[0].ID); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, e := range p.list(pipeline.Filter{}) {
		if strings.Join(e.Recipients, " ") != c.Masked() || e.Destination != "mail.example" {
			t.Errorf("listed: %+v", e)
		}
	}
	if n, err := p.queue().Fail(context.Background(), operator, "prova", jobs[0].ID); n != 1 || err != nil || len(p.relayJobs()) != 0 {
		t.Errorf("%d, %v", n, err)
	}
	check(t, p.store.Records(context.Background(), 1, func(r storage.Record) error {
		if strings.Contains(string(r.Data), "dario") {
			return fmt.Errorf("on record: %s", r.Data)
		}
		return nil
	}))
	w.clean()
}

// TestQuota_LevelsByReceipts: receipts are stored whatever the quota says, and the
// level that they bring about is noted all the same.
func TestQuota_LevelsByReceipts(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	ctx := context.Background()
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	box, err := p.store.Mailbox(ctx, anna)
	check(t, err)
	tier, err := p.users.Tier(ctx, box.Tier)
	check(t, err)
	tier.Code, tier.QuotaBytes = "piccola", box.Used*100/70
	box.Tier = tier.Code
	check(t, p.store.Commit(ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier}, &storage.PutMailbox{Mailbox: box})))
	w.clock.Advance(time.Minute)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "y\r\n"))
	w.settle()
	if n := len(w.inbox(anna)); n != 4 {
		t.Fatalf("%d messages", n)
	}
	levels, err := p.store.QuotaLevels(ctx)
	check(t, err)
	if fmt.Sprint(levels) != fmt.Sprintf("[{%d 95 false}]", box.ID) {
		t.Errorf("%v", levels)
	}
}
