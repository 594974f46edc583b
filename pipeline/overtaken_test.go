// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// receiptAbout has beta's receipt about one recipient come in at alfa.
func (w *world) receiptAbout(m pec.Message, k pec.Kind, recipient string) {
	w.t.Helper()
	beta, at := w.providers["beta.example"], w.clock.Now()
	to, d := anna, pec.Draft{}
	switch k {
	case pec.Delivery:
		d = beta.core.Builder.Delivery(m, at, recipient, pec.FormConcise, false)
	case pec.NonDelivery:
		d = beta.core.Builder.NonDelivery(m, at, recipient, pec.NoDest, "5.1.1 - beta - x")
	case pec.TakeCharge:
		to, d = service, beta.core.Builder.TakeCharge(m, at, []string{recipient}, service)
	case pec.VirusDetection:
		to, d = service, beta.core.Builder.VirusDetection(m, at, recipient, virusName, service)
	default:
		w.t.Fatalf("no receipt of kind %v here", k)
	}
	check(w.t, w.receive("posta-certificata@beta.example", []string{to}, w.forge(beta, d, "")))
}

// TestRFC6109_3_1_6_Overtaken: what comes in while a notice is being signed is
// heeded: there is no notice after the outcome, no two outcomes, and no notice of
// ours about what another provider answers for.
func TestRFC6109_3_1_6_Overtaken(t *testing.T) {
	deadline := func(w *world) { w.once(w.at(anna), pipeline.JobDeadline) }
	relay := func(w *world) { w.once(w.at(anna), pipeline.JobRelay) }
	detection := func(w *world) {
		w.receiptAbout(pec.MessageOf(*w.inbox(anna)[0].rec.CertData), pec.VirusDetection, bruno)
	}
	refused := fault.New("test", fault.Denied, nil)
	for _, c := range []struct {
		name  string
		after time.Duration
		reply error // of beta's server; nil: it cannot be reached
		act   func(*world)
		comes pec.Kind
		want  string // of bruno, last
	}{
		{"first notice by the take-charge receipt", 12 * time.Hour, nil, deadline, pec.TakeCharge, ""},
		{"first notice by the delivery receipt", 12 * time.Hour, nil, deadline, pec.Delivery, "ok"},
		{"second notice by the take-charge receipt", 23 * time.Hour, nil, deadline, pec.TakeCharge, "24h"},
		{"second notice by the delivery receipt", 23 * time.Hour, nil, deadline, pec.Delivery, "ok"},
		{"second notice by the non-delivery notice", 23 * time.Hour, nil, deadline, pec.NonDelivery, "5.1.1"},
		{"second notice by the virus", 23 * time.Hour, nil, deadline, pec.VirusDetection, "virus"},
		{"second notice of the relay by the delivery receipt", 25 * time.Hour, nil, relay, pec.Delivery, "ok"},
		{"refusal by the delivery receipt", time.Minute, refused, relay, pec.Delivery, "ok"},
		{"refusal by the non-delivery notice", time.Minute, refused, relay, pec.NonDelivery, "5.1.1"},
		{"refusal by the take-charge receipt", time.Minute, refused, relay, pec.TakeCharge, ""},
		{"virus by the delivery receipt", time.Minute, nil, detection, pec.Delivery, "ok"},
		{"virus by the non-delivery notice", time.Minute, nil, detection, pec.NonDelivery, "5.1.1"},
		{"virus by the take-charge receipt", time.Minute, nil, detection, pec.TakeCharge, "virus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			w.broken["beta.example"] = c.reply == nil
			w.replies["beta.example"] = c.reply
			w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
			m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
			w.clock.Advance(c.after)
			overtaken := false
			p.shaky.meanwhile = func() { w.receiptAbout(m, c.comes, bruno); overtaken = true }
			c.act(w)
			if !overtaken {
				t.Fatal("nothing came in")
			}
			if got := w.story(anna, bruno); got != c.want {
				t.Errorf("heard %q, want %q", got, c.want)
			}
			if r := w.tx(t, m.ID).Recipients[0]; (r.Outcome == storage.Pending) != (c.want == "" || c.want == "24h") || (r.SecondNoticeAt.IsZero()) != (c.want != "24h") {
				t.Errorf("%+v", r)
			}
			w.clean()
		})
	}
}

// TestDeadline_StreamOfReceipts: where a receipt comes in at every attempt, the
// others' notices go out all the same.
func TestDeadline_StreamOfReceipts(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.broken["beta.example"] = true
	var to []string
	for n := range 20 {
		to = append(to, fmt.Sprintf("r%02d@beta.example", n))
	}
	w.submit(anna, to, message(anna, strings.Join(to, ", "), "", "x\r\n"))
	m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	w.clock.Advance(23 * time.Hour)
	next := len(to)
	p.shaky.meanwhile = func() {
		next--
		w.receiptAbout(m, pec.Delivery, to[next])
		p.shaky.meanwhile = func() {
			next -= 12 // in the middle of the next ten
			w.receiptAbout(m, pec.Delivery, to[next])
		}
	}
	for w.once(p, pipeline.JobDeadline) {
	}
	told := 0
	for _, r := range w.tx(t, m.ID).Recipients {
		if (r.Outcome == storage.Pending) == r.SecondNoticeAt.IsZero() {
			t.Errorf("%+v", r)
		}
		if !r.SecondNoticeAt.IsZero() {
			told++
		}
	}
	if n := strings.Count(w.kinds(anna), "preavviso"); told != 18 || n != 18 || next != 7 {
		t.Errorf("%d marks, %d notices: %s", told, n, w.kinds(anna))
	}
	if jobs, err := p.store.TakeDue(context.Background(), pipeline.JobDeadline, w.clock.Now().Add(48*time.Hour), 1, 0); err != nil || len(jobs) != 0 {
		t.Errorf("still queued: %v, %v", jobs, err)
	}
	w.clean()
}
