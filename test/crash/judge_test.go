// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pecd/pec"
)

// watch compares, after each restart, the senders' mailboxes with what clients
// were told: an acceptance is in the commit that the 250 stands for.
type watch struct {
	last   map[string]imap.UID // by mailbox
	got    map[string]headers  // by mailbox
	checks int
}

func newWatch() *watch {
	return &watch{last: make(map[string]imap.UID), got: make(map[string]headers)}
}

// look compares the senders of a node that is up. What is answered meanwhile is
// left to the next time.
func (w *watch) look(t testing.TB, n *node, b *books) {
	t.Helper()
	list := b.entries()
	for i := range senders {
		box := n.box(i + 1)
		if w.got[box] == nil {
			w.got[box] = make(headers)
		}
		c, err := n.openIMAP(box)
		if err != nil {
			t.Errorf("%s after a restart: %v", box, err)
			return
		}
		_, err = c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
		if err == nil {
			w.last[box], err = n.glance(c, w.last[box], w.got[box])
		}
		c.Close()
		if err != nil {
			t.Errorf("%s after a restart: %v", box, err)
			return
		}
	}
	// What had no answer before the look may have one by now, and what had not
	// reached its final dot may be there.
	for i, s := range b.entries() {
		if i < len(list) && list[i].told == accepted {
			s = list[i]
		} else if s.told == accepted {
			continue
		}
		if s.at != n || s.mx {
			continue
		}
		w.checks++
		yes, no := w.got[s.from][s.id]["accettazione"], w.got[s.from][s.id]["non-accettazione"]
		if s.wrong {
			yes, no = no, yes
		}
		switch {
		case no > 0 || yes > 1:
			t.Errorf("%s: %d acceptances and %d of the other kind", s.id, yes, no)
		case s.told == accepted && yes != 1:
			t.Errorf("%s was answered 250 and has %d acceptances after the restart", s.id, yes)
		case (s.told == refused || s.told == never) && yes > 0:
			t.Errorf("%s was not accepted (%d) and has an acceptance", s.id, s.told)
		}
	}
}

// drain waits until no message is on its way.
func (s *site) drain(t testing.TB) {
	t.Helper()
	end, quiet := time.Now().Add(3*time.Minute), 0
	for quiet < 2 {
		left, out := 0, ""
		for _, n := range s.nodes {
			// Pauses of a destination that was down are minutes.
			n.command(t, "queue", "retry", "--all", "--yes")
			_, list := n.command(t, "queue", "list", "--json")
			left += strings.Count(list, "\n")
			out += list
		}
		if quiet++; left > 0 {
			quiet = 0
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages are still on their way:\n%.3000s", left, out)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// verdict is what there is about one client's message.
type verdict struct {
	list []found
}

// judge reads all mailboxes and compares them with the books. It returns how
// many messages it read.
func (s *site) judge(t testing.TB, b *books) int {
	t.Helper()
	seen, read := make(map[[32]byte]found), 0
	about := make(map[string]*verdict)
	for _, n := range s.nodes {
		all := []string{n.service()}
		for i := range boxes {
			all = append(all, n.box(i+1))
		}
		for _, box := range all {
			list, err := n.look(box, seen)
			if err != nil {
				t.Fatal(err)
			}
			read += len(list)
			for _, f := range list {
				if f.wrong != "" {
					t.Errorf("%s: %s", f.where, f.wrong)
				}
				if about[f.ref] == nil {
					about[f.ref] = &verdict{}
				}
				about[f.ref].list = append(about[f.ref].list, f)
			}
		}
	}
	for _, e := range b.entries() {
		v := about[e.id]
		delete(about, e.id)
		if problems := s.compare(e, v); problems != nil {
			t.Errorf("%s, told %d, to %d recipients, %d octets, at %s, wrong %v, mx %v:\n\t%s\n\t%s", e.id, e.told, len(e.to), e.size, e.at.name, e.wrong, e.mx,
				strings.Join(problems, "\n\t"), strings.Join(v.where(), "\n\t"))
		}
	}
	for id, v := range about {
		t.Errorf("%q is of nobody: %v", id, v.where())
	}
	return read
}

func (v *verdict) where() (out []string) {
	if v == nil {
		return nil
	}
	for _, f := range v.list {
		out = append(out, fmt.Sprintf("%s: %s", f.where, f.kind))
	}
	return out
}

// tally counts things by what they are.
type tally map[string]int

func (c tally) differs(want tally) (out []string) {
	keys := make(map[string]bool)
	for k := range c {
		keys[k] = true
	}
	for k := range want {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if c[k] != want[k] {
			out = append(out, fmt.Sprintf("%d × %s, want %d", c[k], k, want[k]))
		}
	}
	return out
}

// compare says in what the messages about e differ from what its client was told.
func (s *site) compare(e sending, v *verdict) []string {
	if v == nil {
		v = &verdict{}
	}
	got := make(tally)
	ids, instants := make(map[string]bool), make(map[int64]bool)
	var problems []string
	for _, f := range v.list {
		switch {
		case f.sent:
			got["sent copy in "+f.box]++
		case f.kind == pec.TakeCharge:
			for _, r := range f.cert.Receptions {
				got["take-charge of "+r+" in "+f.box]++
			}
		case f.kind == pec.Delivery || f.kind == pec.NonDelivery:
			got[f.kind.String()+" of "+f.cert.Delivery+" in "+f.box]++
		default:
			got[f.kind.String()+" in "+f.box]++
		}
		if (f.sent || e.carried(f.kind)) && f.body != e.body {
			problems = append(problems, f.where+": the original in it is not what was sent")
		}
		if f.cert != nil {
			ids[f.cert.ID] = true
			if f.kind == pec.Acceptance || f.kind == pec.TransportEnvelope {
				instants[f.cert.At.Unix()] = true
			}
			problems = append(problems, e.agrees(f)...)
		}
	}
	if len(ids) > 1 {
		problems = append(problems, fmt.Sprintf("several identificativi: %v", slices.Collect(maps.Keys(ids))))
	}
	if len(instants) > 1 {
		problems = append(problems, fmt.Sprintf("several instants of acceptance: %v", slices.Collect(maps.Keys(instants))))
	}
	want, outside := e.want(s)
	nothing := len(got) == 0
	for _, to := range outside {
		sums := s.sink.received(e.id, to)
		nothing = nothing && len(sums) == 0
		if len(sums) == 0 {
			got["nothing at "+to]++
		}
		if slices.ContainsFunc(sums, func(sum [32]byte) bool { return sum != sums[0] }) {
			problems = append(problems, to+" got different messages")
		}
	}
	switch {
	case nothing && e.told != accepted:
		return problems
	case e.told == never || e.told == refused:
		return append(problems, "it was not accepted, and there is something of it")
	}
	return append(problems, got.differs(want)...)
}

// carried says whether messages of a kind carry the whole original.
func (e *sending) carried(kind pec.Kind) bool {
	switch kind {
	case pec.TransportEnvelope, pec.AnomalyEnvelope:
		return true
	case pec.Delivery:
		return e.form == "" || e.form == "completa"
	}
	return false
}

// want is what an accepted message leads to: messages in mailboxes, and the
// ordinary recipients that get it.
func (e *sending) want(s *site) (want tally, outside []string) {
	want = make(tally)
	if !e.mx && files(e.from) {
		want["sent copy in "+e.from]++
	}
	switch {
	case e.mx:
		for _, r := range e.to {
			want[pec.AnomalyEnvelope.String()+" in "+r.address]++
		}
		return want, nil
	case e.wrong:
		want[pec.NonAcceptance.String()+" in "+e.from]++
		return want, nil
	}
	want[pec.Acceptance.String()+" in "+e.from]++
	for _, r := range e.to {
		switch r.kind {
		case certified:
			want[pec.TransportEnvelope.String()+" in "+r.address]++
			want[pec.Delivery.String()+" of "+r.address+" in "+e.from]++
		case nobody:
			want[pec.NonDelivery.String()+" of "+r.address+" in "+e.from]++
		case ordinary:
			outside = append(outside, r.address)
		}
		if r.node != nil && r.node != e.at {
			want["take-charge of "+r.address+" in "+e.at.service()]++
		}
	}
	return want, outside
}

// agrees says in what the certification data of a message differ from what was sent.
func (e *sending) agrees(f found) (problems []string) {
	c := f.cert
	if !strings.EqualFold(c.Sender, e.from) || c.Subject != e.subject || !e.wrong && len(c.Recipients) != len(e.to) {
		problems = append(problems, fmt.Sprintf("%s: daticert.xml says from %s, subject %q, %d recipients", f.where, c.Sender, c.Subject, len(c.Recipients)))
	}
	for _, r := range c.Recipients {
		if _, ok := slices.BinarySearchFunc(e.sorted(), r.Address, func(a recipient, b string) int { return cmp.Compare(a.address, b) }); !ok {
			problems = append(problems, fmt.Sprintf("%s: daticert.xml names %s", f.where, r.Address))
		}
	}
	return problems
}

func (e *sending) sorted() []recipient {
	return slices.SortedFunc(slices.Values(e.to), func(a, b recipient) int { return cmp.Compare(a.address, b.address) })
}
