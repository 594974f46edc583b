// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// story tells what the sender has heard of each recipient after the acceptance,
// in the order in which it came, by the recipients' order.
func (w *world) story(sender string, recipients ...string) string {
	w.t.Helper()
	heard := make(map[string][]string)
	for _, g := range w.inbox(sender)[1:] {
		d := g.rec.CertData
		what := g.rec.Kind.String()
		switch g.rec.Kind {
		case pec.Timeout12, pec.Timeout24: // one header and one type for both
			what = "24h"
			if strings.HasSuffix(d.ExtendedError, "nelle prime 12 ore") {
				what = "12h"
			}
			if !strings.HasPrefix(d.ExtendedError, "5.4.1 - ") || d.Error != pec.OtherError {
				w.t.Errorf("%s: %s %q", what, d.Error, d.ExtendedError)
			}
		case pec.Delivery:
			what = "ok"
		case pec.NonDelivery:
			what = d.ExtendedError[:5]
		case pec.NonDeliveryVirus:
			what = "virus"
		}
		heard[strings.ToLower(d.Delivery)] = append(heard[strings.ToLower(d.Delivery)], what)
	}
	var out []string
	for _, r := range recipients {
		out = append(out, strings.Join(heard[r], " "))
	}
	return strings.Join(out, ", ")
}

// scene is one course of events, in hours after the acceptance.
type scene struct {
	name  string
	to    []string
	begin func(w *world)
	then  map[float64]func(w *world)
	want  string // story of to
}

const bettina, other = "bruno@alfa.example", "nessuno@beta.example"

func later() error { return fault.Say("test", fault.Temporary, "4.7.1 later") }

// scenes are the cases of pec-rules §6.1 and what lies around them.
func scenes(end ending) []scene {
	nobody := func(w *world) { w.replies["beta.example"] = later() }
	back := func(w *world) { w.replies = map[string]error{} }
	dead := func(w *world) { w.broken["beta.example"] = true }
	up := func(w *world) { w.broken = map[string]bool{} }
	keep := func(w *world) { w.stuck["beta.example deliver"] = true }
	go_ := func(w *world) { w.stuck = map[string]bool{} }
	sleep := func(w *world) { w.stuck["alfa.example"] = true }
	wake := func(w *world) { w.providers["alfa.example"].restart(); w.stuck = map[string]bool{} }
	type when = map[float64]func(w *world)
	out := []scene{
		{"all is well", []string{bruno}, nil, nil, "ok"},
		{"nobody there", []string{bruno}, nobody, nil, "12h 24h"},
		{"taken in charge only", []string{bruno}, keep, when{26: func(w *world) { w.stuck["beta.example"] = true }}, "24h"},
		{"taken in charge before 12 h", []string{bruno}, nobody, when{11: func(w *world) { back(w); keep(w) }, 26: func(w *world) { w.stuck["beta.example"] = true }}, "24h"},
		{"delivered after 13 h", []string{bruno}, nobody, when{13: back}, "12h ok"},
		{"delivered after 25 h", []string{bruno}, keep, when{25: go_}, "24h ok"},
		{"delivered before 12 h", []string{bruno}, nobody, when{11: back}, "ok"},
		{"refused before 12 h", []string{other}, nobody, when{6: back}, "5.1.1"},
		{"refused by SMTP", []string{bruno}, nobody, when{6: func(w *world) { w.replies["beta.example"] = fault.New("test", fault.NotFound, nil) }}, "5.1.1"},
		{"refused by SMTP after the first notice", []string{bruno}, nobody, when{14: func(w *world) { w.replies["beta.example"] = fault.New("test", fault.Denied, nil) }}, "12h 5.7.1"},
		{"one of two", []string{bruno, carla}, func(w *world) { w.stuck["beta.example deliver"] = true }, when{1: func(w *world) {
			w.once(w.providers["beta.example"], pipeline.JobDeliver) // stuck: nothing
			go_(w)
			end := w.end
			w.end = quietly
			w.once(w.providers["beta.example"], pipeline.JobDeliver)
			w.end = end
			keep(w)
		}, 26: func(w *world) { w.stuck["beta.example"] = true }}, "ok, 24h"},
		{"our own, stuck", []string{bettina}, func(w *world) { w.broke[bettina] = true }, nil, "24h 5.3.0"},
		{"ordinary mail", []string{"dario@mail.example"}, func(w *world) { w.replies["mail.example"] = later() }, nil, "5.4.7"},
		{"ordinary beside certified", []string{"dario@mail.example", bruno}, nil, nil, ", ok"},
		{"our node down from 11 to 30 h", []string{bruno}, nobody, when{11: sleep, 30: wake}, "24h"},
		{"our node down from 11 to 13 h", []string{bruno}, nobody, when{11: sleep, 13: wake, 20: back}, "12h ok"},
		{"our node down from 11 to 23 h", []string{bruno}, nobody, when{11: sleep, 23: wake}, "24h"},
	}
	if end == quietly { // a node that forgets its pauses makes thousands of attempts
		out = append(out,
			scene{"nobody to be reached", []string{bruno}, dead, nil, "12h 24h"},
			scene{"nobody to be reached until 13 h", []string{bruno}, dead, when{13: up}, "12h ok"},
			scene{"nobody to be reached, our node down from 11 to 30 h", []string{bruno}, dead, when{11: sleep, 30: wake}, "24h"},
		)
	}
	return out
}

// play lets a scene happen and returns the identifier of its message.
func (w *world) play(s scene) string {
	w.t.Helper()
	start := w.clock.Now()
	if s.begin != nil {
		s.begin(w)
	}
	w.submit(anna, s.to, message(anna, strings.Join(s.to, ", "), "Reply-To: altra@alfa.example\r\n", "x\r\n"))
	var hours []float64
	for h := range s.then {
		hours = append(hours, h)
	}
	slices.Sort(hours)
	for _, h := range hours {
		w.until(start.Add(time.Duration(h*float64(time.Hour)) - time.Second))
		w.clock.Advance(time.Second)
		s.then[h](w)
	}
	w.until(start.Add(36 * time.Hour))
	return w.inbox(anna)[0].rec.CertData.ID
}

// TestPec_6_1_Timeouts: what the sender hears, and when, however often the
// nodes are restarted and wherever they end.
func TestPec_6_1_Timeouts(t *testing.T) {
	for name, end := range map[string]ending{"undisturbed": quietly, "restarted after every job": restarting, "ended before every commit": losing, "ended after every commit": unacknowledged} {
		for _, s := range scenes(end) {
			t.Run(name+"/"+s.name, func(t *testing.T) {
				t.Parallel() // they wait for the disk most of the time
				w := newWorld(t)
				w.end = end
				id := w.play(s)
				if got := w.story(anna, s.to...); got != s.want {
					t.Errorf("heard %q, want %q", got, s.want)
				}
				w.checkNotices(t, id, strings.Contains(s.name, "30 h"))
				check(t, w.providers["alfa.example"].store.Jobs(context.Background(), pipeline.JobDeadline, func(j storage.Job) error {
					t.Errorf("deadline still queued, due %v", j.Due)
					return nil
				}))
				w.clean()
			})
		}
	}
}

// checkNotices holds the notices against the marks, the log and the hours.
func (w *world) checkNotices(t *testing.T, id string, down bool) {
	t.Helper()
	tx := w.tx(t, id)
	if tx.ReplyTo != "altra@alfa.example" {
		t.Errorf("answers to %q", tx.ReplyTo)
	}
	issued := make(map[string]time.Time) // Message-ID of a notice to its instant
	for _, g := range w.inbox(anna)[1:] {
		d := g.rec.CertData
		if d.ReplyTo != tx.ReplyTo || !strings.EqualFold(d.Sender, anna) {
			t.Errorf("%v: sender %q, answers to %q", g.rec.Kind, d.Sender, d.ReplyTo)
		}
		if g.rec.Kind != pec.Timeout12 && g.rec.Kind != pec.Timeout24 {
			continue
		}
		if g.original() != "" {
			t.Error("the notice carries the original")
		}
		msgid := strings.Trim(g.msg.Root.Header.Get("Message-ID"), "<>")
		if _, twice := issued[msgid]; twice {
			t.Errorf("notice %s twice", msgid)
		}
		issued[msgid] = d.At
	}
	marks := 0
	for _, r := range tx.Recipients {
		if at := r.FirstNoticeAt; !at.IsZero() {
			marks++
			if h := at.Sub(tx.At); h < 12*time.Hour || h > 14*time.Hour {
				t.Errorf("first notice after %v", h)
			}
		}
		if at := r.SecondNoticeAt; !at.IsZero() {
			marks++
			if h := at.Sub(tx.At); (h < 22*time.Hour || h > 24*time.Hour) && !down {
				t.Errorf("second notice after %v", h)
			}
		}
		if r.External && !(r.FirstNoticeAt.IsZero() && r.SecondNoticeAt.IsZero()) {
			t.Errorf("ordinary recipient: %+v", r)
		}
	}
	logged := 0
	check(t, w.at(anna).store.FindRecords(context.Background(), storage.RecordQuery{ID: id, Event: string(ledger.ReceiptEmitted)}, func(rec storage.Record) error {
		e, err := ledger.Decode(rec.Data)
		if err == nil && e.Receipt == "preavviso-errore-consegna" {
			logged++
			at, ok := issued[e.Related[0]]
			if !ok || !at.Equal(e.At) || e.Side != ledger.Own || e.Error != "altro" || !strings.HasPrefix(e.Detail, "5.4.1 - ") || len(e.Recipients) != 1 || e.Mailbox != anna {
				t.Errorf("record %+v of %v", e, at)
			}
		}
		return err
	}))
	if marks != len(issued) || logged != len(issued) {
		t.Errorf("%d notices, %d marks, %d records", len(issued), marks, logged)
	}
}

// TestDeadline_None: mail to ordinary recipients alone is not waited for.
func TestDeadline_None(t *testing.T) {
	w := newWorld(t)
	w.submit(anna, []string{"dario@mail.example"}, message(anna, "dario@mail.example", "", "x\r\n"))
	check(t, w.at(anna).store.Jobs(context.Background(), pipeline.JobDeadline, func(storage.Job) error {
		t.Error("a deadline is queued")
		return nil
	}))
}

// TestDeadline_ManyRecipients: hundreds of silent recipients are told of in
// bounded steps, each one once.
func TestDeadline_ManyRecipients(t *testing.T) {
	const n, untaken = 350, 150
	w := newWorld(t)
	w.replies["beta.example"] = later()
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("r%04d@beta.example", i))
	}
	start := w.clock.Now()
	w.submit(anna, to, message(anna, strings.Join(to, ",\r\n "), "", "x\r\n"))
	p := w.at(anna)
	ctx := context.Background()
	count := func() int {
		box, err := p.store.Mailbox(ctx, anna)
		check(t, err)
		inbox, err := p.store.Folder(ctx, box.ID, "INBOX")
		check(t, err)
		return int(inbox.Messages)
	}
	id := w.inbox(anna)[0].rec.CertData.ID
	taken := new(storage.Step)
	for _, r := range to[untaken:] {
		taken.Add(&storage.MarkRecipient{ID: id, Own: true, Address: r, TakenAt: start})
	}
	check(t, p.store.Commit(ctx, taken))
	have := count()
	for _, c := range []struct{ hours, notices int }{{12, untaken}, {23, n}} {
		before := have
		w.clock.Advance(start.Add(time.Duration(c.hours) * time.Hour).Sub(w.clock.Now()))
		steps := 0
		for w.once(p, pipeline.JobDeadline) {
			now := count()
			if d := now - have; d > 100 {
				t.Fatalf("%d notices in one step", d)
			}
			have = now
			if steps++; steps == 3 {
				p.restart()
			}
		}
		if have-before != c.notices || steps < c.notices/100 {
			t.Errorf("after %d h and %d steps: %d notices, want %d", c.hours, steps, have-before, c.notices)
		}
	}
	for i, r := range w.tx(t, id).Recipients {
		if r.FirstNoticeAt.IsZero() != (i >= untaken) || r.SecondNoticeAt.IsZero() {
			t.Errorf("%+v", r)
		}
	}
}

// TestDeadline_SenderGone: there is nobody to tell, and the log says so.
func TestDeadline_SenderGone(t *testing.T) {
	w := newWorld(t)
	w.replies["beta.example"] = later()
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	id := w.inbox(anna)[0].rec.CertData.ID
	w.at(anna).core.Mailboxes = nobodyHome{w.at(anna).core.Mailboxes}
	w.clock.Advance(12 * time.Hour)
	for w.once(w.at(anna), pipeline.JobDeadline) {
	}
	w.want(anna, "accettazione")
	if tx := w.tx(t, id); tx.Recipients[0].FirstNoticeAt.IsZero() {
		t.Error("no mark: it would be tried for ever")
	}
	found := false
	check(t, w.at(anna).store.FindRecords(context.Background(), storage.RecordQuery{ID: id}, func(rec storage.Record) error {
		found = found || strings.Contains(string(rec.Data), "mittente inesistente")
		return nil
	}))
	if !found {
		t.Error("the log does not tell")
	}
}

type nobodyHome struct{ pipeline.Mailboxes }

func (nobodyHome) Mailbox(context.Context, string) (storage.Mailbox, error) {
	return storage.Mailbox{}, fault.New("test", fault.NotFound, nil)
}
