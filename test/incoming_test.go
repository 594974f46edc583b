// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// incomingCase is one row of the table: what the scripted provider, or an
// ordinary server, does at alfa's incoming point, and all that must come of it.
type incomingCase struct {
	name string
	// act sends and says what must come of it.
	act func(c *incomingRun)
}

// incomingRun is one row while it is played. What was promised is looked at
// when every row has been played and alfa's queue is empty.
type incomingRun struct {
	testing.TB
	p    *peerProvider
	name string
	ids  []string // identificativi and Message-IDs of the row

	boxes  map[string][]string // by address: kinds of message in it
	peer   []string            // what came to the scripted provider: "kind recipient detail"
	ledger []string            // events that the log must have, as kinds or as record has them
	absent []string            // … and kinds that it must not
}

// box returns a mailbox of alfa that no other row uses, in which nothing is
// expected so far.
func (c *incomingRun) box() string {
	n := c.p.boxes
	c.p.boxes++
	name := fmt.Sprintf("strutturata%03d", n+1)
	if n >= 70 {
		name = fmt.Sprintf("standard%03d", n-69)
	}
	a := name + "@" + c.p.demo.get(c, "ALFA_DOMAIN")
	c.boxes[a] = nil
	return a
}

func (c *incomingRun) pecd(args ...string) {
	c.Helper()
	if code, out := pecdIn(c, "", append(args, "--config", filepath.Join(c.p.demo.dir, "alfa.toml"))...); code != 0 {
		c.Fatalf("%s: pecd %v: exit %d\n%s", c.name, args, code, out)
	}
}

func (c *incomingRun) closed() string {
	a := c.box()
	c.pecd("mailbox", "ordinary", a, "closed")
	return a
}

func (c *incomingRun) blocked() string {
	a := c.box()
	c.pecd("mailbox", "state", a, "blocked")
	return a
}

// expect adds kinds to what must be in a mailbox at the end.
func (c *incomingRun) expect(address string, kinds ...string) {
	c.boxes[address] = append(c.boxes[address], kinds...)
}

// told adds what must come to the scripted provider.
func (c *incomingRun) told(lines ...string) { c.peer = append(c.peer, lines...) }

// record is an event with what it says of the message: whose it is, which
// provider sent it, and the recipients it is about.
func record(kind, side, provider string, rcpts ...string) string {
	return strings.Join([]string{kind, side, provider, strings.Join(slices.Sorted(slices.Values(rcpts)), ",")}, "|")
}

// logged adds events that the log must have, by kind or by record, "!kind" one
// that it must not have.
func (c *incomingRun) logged(kinds ...string) {
	for _, k := range kinds {
		if not, ok := strings.CutPrefix(k, "!"); ok {
			c.absent = append(c.absent, not)
		} else {
			c.ledger = append(c.ledger, k)
		}
	}
}

// envelope sends a message of the scripted provider for its own recipients and
// wants the answer's code.
func (c *incomingRun) envelope(code int, m peerMessage, rcpts ...string) peerMessage {
	c.Helper()
	m = m.complete()
	c.message(code, m, c.p.bytes(c, m), rcpts...)
	return m
}

func (c *incomingRun) message(code int, m peerMessage, raw []byte, rcpts ...string) {
	c.Helper()
	if len(rcpts) == 0 {
		rcpts = append(append(rcpts, m.to...), m.cc...)
	}
	from := m.from
	if !m.envelope() {
		from = m.service
	}
	// What is neither envelope nor receipt is in the log by its Message-ID.
	c.known(m.id, "<"+m.header+">")
	if r := c.p.send(c, from, rcpts, raw); r.code != code {
		c.Errorf("%s: answered %v, want %d", c.name, r, code)
	}
}

// known adds identifiers of the row; one that is sent twice counts once.
func (c *incomingRun) known(ids ...string) {
	for _, id := range ids {
		if !slices.Contains(c.ids, id) {
			c.ids = append(c.ids, id)
		}
	}
}

// plain sends ordinary mail.
func (c *incomingRun) plain(code int, from string, content string, rcpts ...string) {
	c.Helper()
	id := newMsgID()
	c.known(id)
	head := "From: chiunque@mail.example\r\nTo: " + strings.Join(rcpts, ", ") + "\r\nMessage-ID: " + id + "\r\n"
	if r := c.p.send(c, from, rcpts, []byte(head+content)); r.code != code {
		c.Errorf("%s: answered %v, want %d", c.name, r, code)
	}
}

// submitted has a holder of alfa send to the scripted provider, and returns the
// message as that provider's receipts must speak of it.
func (c *incomingRun) submitted(holder string, to ...string) peerMessage {
	c.Helper()
	m := peerMessage{from: holder, to: to, msgID: newMsgID(), kind: "avvenuta-consegna"}
	s := c.p.demo.submission(c, account{"ALFA", holder})
	defer s.Close()
	if r := s.envelope(holder, to); !r.positive() {
		c.Fatalf("%s: %v", c.name, r)
	}
	r := s.data(strings.NewReader("From: " + holder + "\r\nTo: " + strings.Join(to, ", ") + "\r\nSubject: Prova\r\nMessage-ID: " + m.msgID + "\r\n\r\nTesto.\r\n"))
	words := strings.Fields(strings.Join(r.lines, " "))
	if r.code != 250 {
		c.Fatalf("%s: %v", c.name, r)
	}
	m.id = words[len(words)-1]
	c.expect(holder, "accettazione")
	c.told("posta-certificata " + strings.Join(to, ","))
	return m
}

// TestIncomingCases plays every row of the incoming point's table (pec-rules
// §1.5, §1.3, §1.4) with a provider whose key is in the index, and checks the
// mailboxes, the provider's service mailbox and the log.
func TestIncomingCases(t *testing.T) {
	p := newPeer(t, nil)
	cases := slices.Concat(envelopeCases(), signatureCases(), formCases(), receiptCases(), ordinaryCases())
	if len(cases) < 40 {
		t.Fatalf("%d cases", len(cases))
	}
	var runs []*incomingRun
	for _, c := range cases {
		r := &incomingRun{TB: t, p: p, name: c.name, boxes: make(map[string][]string)}
		c.act(r)
		runs = append(runs, r)
	}
	p.settle(t)
	events, told := p.events(t), p.told(t)
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.check(t, events, told) })
	}
	nothingElse(t, told, runs)
	verifyClean(t, filepath.Join(p.demo.dir, "alfa.toml"))
	t.Logf("%d cases", len(runs))
}

// settle waits until alfa has nothing more to deliver or to relay.
func (p *peerProvider) settle(t testing.TB) {
	t.Helper()
	until(t, time.Minute, "alfa's queue is empty", func() (bool, string) {
		_, out := pecdIn(t, "", "status", "--json", "--config", filepath.Join(p.demo.dir, "alfa.toml"))
		var s struct{ Jobs map[string]int }
		err := json.Unmarshal([]byte(out), &s)
		return err == nil && s.Jobs["deliver"] == 0 && s.Jobs["relay"] == 0, out
	})
}

// nothingElse looks for messages to the scripted provider that no row accounts for.
func nothingElse(t *testing.T, told map[string][]string, runs []*incomingRun) {
	t.Helper()
	for id, what := range told {
		if !slices.ContainsFunc(runs, func(r *incomingRun) bool { return slices.Contains(r.ids, id) }) {
			t.Errorf("the other provider got %q about %q, which no row sent", what, id)
		}
	}
}

// events returns the log as records, by identificativo and Message-ID.
func (p *peerProvider) events(t testing.TB) map[string][]string {
	t.Helper()
	code, out := pecdIn(t, "", "ledger", "search", "--json", "--config", filepath.Join(p.demo.dir, "alfa.toml"))
	if code != 0 {
		t.Fatalf("ledger search: exit %d\n%s", code, out)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(out) {
		var r struct {
			Event struct {
				Kind, ID, MsgID, Side, Provider string
				Recipients                      []struct{ Address string }
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		var rcpts []string
		for _, to := range r.Event.Recipients {
			rcpts = append(rcpts, to.Address)
		}
		for _, key := range []string{r.Event.ID, r.Event.MsgID} {
			if key != "" {
				all[key] = append(all[key], record(r.Event.Kind, r.Event.Side, r.Event.Provider, rcpts...))
			}
		}
	}
	return all
}

// told returns what came to the scripted provider, by identificativo.
func (p *peerProvider) told(t testing.TB) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, s := range p.sink.everything() {
		m, err := readPEC(s.message)
		if err != nil {
			t.Errorf("to %v: %v\n%.500s", s.to, err, s.message)
			continue
		}
		kind, detail := m.header.Get("X-Ricevuta"), ""
		switch {
		case kind == "":
			kind = m.header.Get("X-Trasporto")
		case len(m.cert.Receptions) > 0:
			detail = " " + strings.Join(m.cert.Receptions, ",")
		case m.cert.Delivery != "":
			detail = " " + m.cert.Delivery
		}
		if status, _, ok := strings.Cut(m.cert.Extended, " - "); ok {
			detail += " " + m.cert.Error + " " + status
		}
		if (kind == "avvenuta-consegna") && m.original == nil {
			detail += " senza originale"
		}
		m.verify(t, p.demo)
		all[m.cert.ID] = append(all[m.cert.ID], kind+" "+strings.Join(s.to, ",")+detail)
	}
	return all
}

// check compares what came of a row with what was promised.
func (c *incomingRun) check(t *testing.T, events, told map[string][]string) {
	for address, want := range c.boxes {
		in := c.p.demo.openInbox(t, account{"ALFA", address})
		var got []string
		for _, m := range in.refresh() {
			kind := m.header.Get("X-Ricevuta")
			if kind == "" {
				kind = m.header.Get("X-Trasporto")
			}
			got = append(got, kind)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q%s", address, got, want, in.subjects())
		}
	}
	var gotTold, gotEvents []string
	for _, id := range c.ids {
		gotTold = append(gotTold, told[id]...)
		gotEvents = append(gotEvents, events[id]...)
	}
	slices.Sort(gotTold)
	slices.Sort(c.peer)
	if !slices.Equal(gotTold, c.peer) {
		t.Errorf("the other provider got\n  %s\nwant\n  %s", strings.Join(gotTold, "\n  "), strings.Join(c.peer, "\n  "))
	}
	has := func(k string) bool {
		return slices.ContainsFunc(gotEvents, func(e string) bool { return e == k || strings.HasPrefix(e, k+"|") })
	}
	all := strings.Join(gotEvents, "\n  ")
	for _, k := range c.ledger {
		if !has(k) {
			t.Errorf("no event %s in the log:\n  %s", k, all)
		}
	}
	for _, k := range c.absent {
		if has(k) {
			t.Errorf("event %s in the log:\n  %s", k, all)
		}
	}
}
