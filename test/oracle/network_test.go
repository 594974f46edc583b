// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"pecd/fault"
	"pecd/pipeline"
)

// network carries messages between the nodes, badly.
type network struct {
	w        *world
	down     map[string]time.Time // until when "from>domain" or ">domain" does not answer
	refused  map[string]bool      // "message recipient": will never be taken
	carried  map[string]bool      // "message recipient": went over once, whatever the sender was told
	held     []*parcel            // answered with 250, on their way
	captured []*parcel            // what somebody listening has kept
}

// parcel is a message with its SMTP envelope.
type parcel struct {
	from       string // name of the node, or who else
	sender     string
	recipients []string
	domain     string
	raw        []byte
	due        time.Time
	tries      int
	doubtful   bool // altered so that it may or may not still be what it was
}

// answer is what became of handing a message to a node.
type answer int

const (
	taken   answer = iota // 250
	refused               // an error, nothing was kept
	unknown               // the node crashed on the way
)

// carrier is the network as one node sees it.
type carrier struct{ n *node }

var errNet = errors.New("the connection is gone")

// Send implements pipeline.Carrier.
func (c carrier) Send(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
	w := c.n.w
	out := make([]pipeline.RecipientResult, len(d.Recipients))
	for i, r := range d.Recipients {
		out[i] = pipeline.RecipientResult{Recipient: r, Err: fault.New("oracle.Send", fault.Temporary, errNet), Reply: "no answer"}
	}
	if c.n.store.dead {
		return pipeline.Attempt{Results: out, Contact: pipeline.Unreached}
	}
	raw, err := io.ReadAll(io.NewSectionReader(d.Body, 0, d.Size))
	if err != nil || int64(len(raw)) != d.Size {
		w.fail("%s sends a message of %d octets, read %d: %v", c.n.name, d.Size, len(raw), err)
	}
	p := &parcel{from: c.n.name, sender: d.Sender, recipients: slices.Clone(d.Recipients), domain: strings.ToLower(d.Domain), raw: raw}
	m := w.judge.wire(c.n, p)
	told, contact := w.net.carry(p, m.messageID)
	for i, r := range d.Recipients {
		out[i].Err = told[i]
		if told[i] == nil {
			out[i].Reply = "250 ok"
		}
		w.judge.told(m, r, told[i])
	}
	return pipeline.Attempt{Results: out, Contact: contact}
}

// carry decides the fate of a message and returns what its sender is told of
// each recipient.
func (net *network) carry(p *parcel, id string) ([]error, pipeline.Contact) {
	w, chance := net.w, net.w.chance
	w.keep(p)
	told := make([]error, len(p.recipients))
	lost := fault.New("oracle.Send", fault.Temporary, errNet)
	all := func(err error, c pipeline.Contact) ([]error, pipeline.Contact) {
		for i := range told {
			told[i] = err
		}
		return told, c
	}
	if p.domain == nowhere {
		return all(fault.New("oracle.Send", fault.NotFound, pipeline.ErrNoDomain), pipeline.Answered)
	}
	if n := w.nodeOf(p.domain); net.isDown(p) || chance(w.profile.fails) || n != nil && n.store == nil {
		w.note("net: %s to %s: no connection", id, p.domain)
		return all(lost, pipeline.Unreached)
	}
	if chance(w.profile.fails) {
		w.note("net: %s to %s: cut off", id, p.domain)
		return all(lost, pipeline.BrokeOff)
	}
	if chance(w.profile.refuses) {
		net.doom(p, id)
	}
	var pass []string
	for i, r := range p.recipients {
		switch {
		case net.refused[id+" "+r]:
			told[i] = fault.Say("oracle.Send", fault.Denied, "550 mai")
		case w.nodeOf(p.domain) == nil && strings.HasPrefix(r, "rifiuta"):
			told[i] = fault.Say("oracle.Send", fault.NotFound, "550 no such user")
		case w.nodeOf(p.domain) == nil && strings.HasPrefix(r, "pigro"):
			told[i] = lost
		case len(p.recipients) > 1 && chance(w.profile.splits):
			told[i] = lost
		default:
			pass = append(pass, r)
			told[i] = nil
		}
	}
	if len(pass) == 0 {
		return told, pipeline.Answered
	}
	go1 := *p
	go1.recipients = pass
	fresh := true
	for _, r := range pass {
		fresh = fresh && !net.carried[id+" "+r]
		net.carried[id+" "+r] = true
	}
	var err error
	switch {
	case chance(w.profile.swallows):
		w.saw("message swallowed", "net: %s to %s: swallowed", id, pass)
	case w.nodeOf(p.domain) != nil && fresh && chance(w.profile.alters):
		if twisted := w.twist(&go1); twisted != nil {
			w.saw("message altered", "net: %s to %s: altered on the way", id, pass)
			err = net.hand(twisted)
		}
	case chance(w.profile.delays):
		go1.due = w.clock.Now().Add(w.between(time.Minute, 9*time.Hour))
		net.held = append(net.held, &go1)
		w.saw("message held", "net: %s to %s: held until %s", id, pass, go1.due.Format("02T15:04:05"))
	default:
		err = net.hand(&go1)
		w.note("net: %s from %s to %s: %v", id, p.sender, pass, err)
		if chance(w.profile.doubles) {
			w.saw("message doubled", "net: … and once more: %v", net.hand(&go1))
		}
		if err == nil && chance(w.profile.forgets) {
			w.saw("answer lost", "net: … and the answer is lost")
			err = lost
		}
	}
	for i, r := range p.recipients {
		if told[i] == nil && slices.Contains(pass, r) {
			told[i] = err
		}
	}
	if errors.Is(err, errNet) {
		return told, pipeline.BrokeOff
	}
	return told, pipeline.Answered
}

// doom lets the other side never take the message, which must not have reached
// it before.
func (net *network) doom(p *parcel, id string) {
	for _, r := range p.recipients {
		if net.carried[id+" "+r] {
			return
		}
	}
	w := net.w
	w.saw("refused for good", "net: %s will never be taken for %s", id, p.recipients)
	for _, r := range p.recipients {
		net.refused[id+" "+r] = true
	}
}

func (net *network) isDown(p *parcel) bool {
	now := net.w.clock.Now()
	return now.Before(net.down[">"+p.domain]) || now.Before(net.down[p.from+">"+p.domain])
}

// hand gives the message to the servers of its domain.
func (net *network) hand(p *parcel) error {
	w := net.w
	n := w.nodeOf(p.domain)
	if n == nil {
		w.judge.left(p)
		return nil
	}
	if n.store == nil {
		return fault.New("oracle.Send", fault.Temporary, errNet)
	}
	ctx, faults := context.Background(), n.faults.Load()
	var err error
	for _, r := range p.recipients {
		if e := n.incoming.MayReceive(ctx, r); e != nil {
			err = e
		}
	}
	if err == nil {
		_, err = n.incoming.Receive(ctx, pipeline.Arrival{
			Sender: p.sender, Recipients: p.recipients, Peer: pipeline.Peer{Helo: "mail.peer.example", Remote: "192.0.2.1", TLS: "TLSv1.3"},
		}, bytes.NewReader(p.raw))
	}
	a := taken
	switch {
	case n.store.dead:
		a, err = unknown, fault.New("oracle.Send", fault.Temporary, errNet)
		w.note("%s crashed while receiving", n.name)
		n.stop()
	case err != nil:
		a = refused
		if fault.CodesOf(err).SMTP < 500 {
			err = fault.New("oracle.Send", fault.Temporary, err)
		} else {
			err = fault.New("oracle.Send", fault.Denied, err)
		}
	}
	w.judge.handedOver(n, p, a, err, faults)
	return err
}

// arrive hands over held messages whose time has come, limit at most.
func (net *network) arrive(limit int) {
	for i := 0; i < len(net.held) && limit > 0; {
		p := net.held[i]
		if p.due.After(net.w.clock.Now()) {
			i++
			continue
		}
		limit--
		err := net.hand(p)
		net.w.note("net: held message from %s (%s) to %s: %v", p.sender, p.from, p.recipients, err)
		if fault.Is(err, fault.Temporary) && p.tries < 50 {
			p.tries++
			p.due = net.w.clock.Now().Add(15 * time.Minute)
			i++
			continue
		}
		net.held = slices.Delete(net.held, i, i+1)
	}
}
