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
	"pecd/pipeline"
)

// TestADR7_5_List: what waits, where to, whose, and why.
func TestADR7_5_List(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.broken["mail.example"] = true
	w.replies["beta.example"] = fault.Say("test", fault.Temporary, "later")
	w.broke[bettina] = true
	start := w.clock.Now()
	w.submit(anna, []string{bruno, carla, dario, bettina}, message(anna, strings.Join([]string{bruno, carla, dario, bettina}, ", "), "", "x\r\n"))
	id := w.inbox(anna)[0].rec.CertData.ID
	w.settle()
	w.clock.Advance(time.Hour)
	w.submit("carla@alfa.example", []string{dario}, message("carla@alfa.example", dario, "", "x\r\n"))
	for _, c := range []struct {
		name string
		f    pipeline.Filter
		want string
	}{
		{"all", pipeline.Filter{}, "beta.example mail.example alfa.example mail.example"},
		{"destination", pipeline.Filter{Destination: "MAIL.example"}, "mail.example mail.example"},
		{"sender", pipeline.Filter{Mailbox: "Anna@alfa.example"}, "beta.example mail.example alfa.example"},
		{"recipient of ours", pipeline.Filter{Mailbox: bettina, Kind: pipeline.JobDeliver}, "alfa.example"},
		{"recipient elsewhere", pipeline.Filter{Mailbox: bruno}, ""},
		{"older", pipeline.Filter{OlderThan: time.Hour, Destination: "mail.example"}, "mail.example"},
		{"error", pipeline.Filter{LastError: "TES"}, "beta.example mail.example"},
		{"deliveries", pipeline.Filter{Kind: pipeline.JobDeliver}, "alfa.example"},
		{"held", pipeline.Filter{Held: true}, ""},
		{"deadlines", pipeline.Filter{Kind: pipeline.JobDeadline, Mailbox: anna}, " "},
		{"nothing", pipeline.Filter{Kind: "other"}, ""},
	} {
		var got []string
		es := p.list(c.f)
		slices.SortFunc(es, func(a, b pipeline.Entry) int { return int(a.Job - b.Job) })
		for _, e := range es {
			got = append(got, e.Destination)
		}
		want := strings.Fields(c.want)
		if c.want == " " {
			want = []string{""}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
	for _, e := range p.list(pipeline.Filter{OlderThan: time.Hour}) {
		if e.ID != id || !strings.EqualFold(e.Sender, anna) || !e.Created.Equal(start) || !e.Expires.Equal(start.Add(24*time.Hour)) || e.Receipt || e.Active || e.Held {
			t.Errorf("%+v", e)
		}
		switch e.Destination {
		case "beta.example":
			if fmt.Sprint(e.Recipients) != fmt.Sprint([]string{bruno, carla}) || e.Attempts != 1 || e.LastError != "test" || !e.Due.Equal(start.Add(2*time.Second)) {
				t.Errorf("%+v", e)
			}
		case "mail.example":
			if !e.Paused.IsZero() || e.Attempts != 1 {
				t.Errorf("%+v", e)
			}
		}
	}
	w.settle()
	if e := p.list(pipeline.Filter{Destination: "mail.example"})[0]; !e.Paused.Equal(w.clock.Now().Add(time.Minute)) {
		t.Errorf("paused until %v", e.Paused)
	}
	// A receipt of ours, and who is at work.
	beta := w.at(bruno)
	w.replies, w.broken["alfa.example"] = map[string]error{}, true
	w.clock.Advance(time.Minute)
	w.settle()
	es := beta.list(pipeline.Filter{})
	if len(es) == 0 || !es[0].Receipt || es[0].Sender != "posta-certificata@beta.example" || es[0].Destination != "alfa.example" {
		t.Errorf("%+v", es)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	busy := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		close(entered)
		<-leave
		return answer(d, pipeline.Answered, nil)
	}))
	done := make(chan error)
	w.clock.Advance(10 * time.Minute)
	j := p.take(1)[0]
	go func() { done <- busy.Relay(context.Background(), j) }()
	<-entered
	p.relays = busy
	active := 0
	for _, e := range p.list(pipeline.Filter{}) {
		if e.Active {
			active++
		}
	}
	close(leave)
	check(t, <-done)
	if active != 1 {
		t.Errorf("%d active", active)
	}
}
