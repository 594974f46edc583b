// SPDX-License-Identifier: EUPL-1.2

// Package admission decides whether another message may come in (ADR 0015). A
// provider that is asked for more than it can do takes in less, and says so
// before the message is sent, instead of falling behind with what it has
// accepted: what was accepted has its receipts and notices first.
//
// A Gate is one way in. Its limits are on the messages that are in it at once,
// on the deliveries that wait, and on the room that is left on the disk. Where
// there is none it makes a client wait for a moment, and then sends it away; as
// long as clients are sent away others are told at once.
package admission

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// Reason is why a message was not let in. The values are labels of metrics.
type Reason string

// The reasons.
const (
	Slots   Reason = "slots"   // too many messages are coming in
	Share   Reason = "share"   // too many of one client
	Backlog Reason = "backlog" // deliveries wait
	Disk    Reason = "disk"    // no room
)

// Reasons lists them.
func Reasons() []Reason { return []Reason{Slots, Share, Backlog, Disk} }

// Config is what a Gate works with.
type Config struct {
	Name   string // of the way in, for logs, metrics and alarms
	Clock  clock.Clock
	Logger *slog.Logger

	Slots int // messages in it at once
	Each  int // … of one client
	// Wait is how long a client is made to wait before it is sent away.
	Wait time.Duration
	// Backlog is how many deliveries may wait, those to come of the messages in
	// the gate included. Waiting counts those in the store. A message that alone
	// has more goes in where nothing else waits.
	Backlog int
	Waiting func() int
	// Room says how many octets new messages may take up on the disk; below
	// nothing is let in. It is asked often.
	Room func() int64
}

// Gate lets messages in. It is safe for concurrent use.
type Gate struct {
	cfg Config

	mu      sync.Mutex
	in      int
	each    map[string]int
	coming  int   // deliveries of what is in the gate
	octets  int64 // announced for what is in the gate
	queue   []*visit
	before  int       // deliveries that waited when the gate was made, as far as they still do
	shut    bool      // somebody waited in vain, and there is no room to spare since
	since   time.Time // since when clients are sent away for want of room; zero: they are not
	looked  time.Time // when next was called last
	admits  uint64
	refused map[Reason]uint64
}

// visit is a message that wants to come in.
type visit struct {
	client     string
	deliveries int
	octets     int64
	in         chan struct{} // closed once it is let in
}

// New returns an open gate.
func New(cfg Config) *Gate {
	return &Gate{cfg: cfg, each: make(map[string]int), refused: make(map[Reason]uint64), before: cfg.Waiting()}
}

// spare is by how much a gate that has sent clients away must have got emptier
// before it lets others hope: a quarter.
const spare = 4

// Ready tells at the beginning of a message whether it is worth while: the error
// is that of Enter. A client that is sent away here has sent nothing in vain.
func (g *Gate) Ready(client string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.cfg.Room() <= g.octets {
		return g.refuse(Disk)
	}
	if g.each[client] >= g.cfg.Each {
		return g.refuse(Share)
	}
	if !g.shut {
		return nil
	}
	return g.refuse(g.spared())
}

// Enter lets a message in: of client, for so many own mailboxes at most, of so
// many octets as far as is known. leave must be called when it is answered for.
//
// It waits for at most Config.Wait. The error is of kind fault.Busy, or
// fault.NoSpace where there is no room on the disk, or that of ctx.
func (g *Gate) Enter(ctx context.Context, client string, deliveries int, octets int64) (leave func(), err error) {
	v := &visit{client: client, deliveries: deliveries, octets: octets, in: make(chan struct{})}
	g.mu.Lock()
	why := g.obstacle(v)
	switch {
	case why == "" && len(g.queue) == 0:
		g.admit(v)
		g.mu.Unlock()
		return g.leaving(v), nil
	case why == Disk || why == Share: // waiting does not help
		defer g.mu.Unlock()
		return nil, g.refuse(why)
	case len(g.queue) >= g.cfg.Slots: // there are enough who do
		defer g.mu.Unlock()
		return nil, g.close(why)
	}
	g.queue = append(g.queue, v)
	g.mu.Unlock()
	return g.wait(ctx, v)
}

// Those who wait look for themselves, each every tick and all of them together
// no more often than glance: deliveries are done, and disks are cleared, without
// telling the gate.
const (
	tick   = 50 * time.Millisecond
	glance = 5 * time.Millisecond
)

func (g *Gate) wait(ctx context.Context, v *visit) (leave func(), err error) {
	end := g.cfg.Clock.Now().Add(g.cfg.Wait)
	for {
		timer, stop := g.cfg.Clock.After(tick)
		select {
		case <-v.in:
			stop()
			return g.leaving(v), nil
		case <-ctx.Done():
			stop()
			return g.withdraw(v, func() error { return fault.New("admission.Enter", fault.Temporary, ctx.Err()) })
		case <-timer:
		}
		g.glance()
		if !g.cfg.Clock.Now().Before(end) {
			return g.withdraw(v, func() error { return g.close(g.obstacle(v)) })
		}
	}
}

// withdraw ends the wait of v with an error, unless it was let in meanwhile.
func (g *Gate) withdraw(v *visit, refuse func() error) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, v)
	if i < 0 {
		return g.leaving(v), nil
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return nil, refuse()
}

// leaving returns what gives the place of v back.
func (g *Gate) leaving(v *visit) func() {
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.in--
		g.coming -= v.deliveries
		g.octets -= v.octets
		if g.each[v.client]--; g.each[v.client] <= 0 {
			delete(g.each, v.client)
		}
		g.next()
	})
}

// next lets in whoever is next, with the lock held.
func (g *Gate) next() {
	for len(g.queue) > 0 && g.obstacle(g.queue[0]) == "" {
		g.admit(g.queue[0])
		close(g.queue[0].in)
		g.queue = slices.Delete(g.queue, 0, 1)
	}
	g.look()
}

// glance is next for those who wait.
func (g *Gate) glance() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.cfg.Clock.Now(); now.Sub(g.looked) >= glance {
		g.looked = now
		g.next()
	}
}

func (g *Gate) admit(v *visit) {
	g.in++
	g.each[v.client]++
	g.coming += v.deliveries
	g.octets += v.octets
	g.admits++
}

// look opens a gate that sends clients away once it has room to spare.
func (g *Gate) look() {
	if g.since.IsZero() || g.cfg.Room() <= g.octets || g.shut && g.spared() != "" {
		return
	}
	if g.shut {
		g.cfg.Logger.Info("admission: open again", "gate", g.cfg.Name, "after", g.cfg.Clock.Now().Sub(g.since).String())
	}
	g.shut, g.since = false, time.Time{}
}

// obstacle is what keeps a message from coming in now, "" for nothing.
func (g *Gate) obstacle(v *visit) Reason {
	if g.cfg.Room() <= g.octets+v.octets {
		return Disk
	}
	if g.each[v.client] >= g.cfg.Each {
		return Share
	}
	// A single message may have more recipients than may wait.
	return g.full(g.cfg.Slots, max(g.cfg.Backlog-v.deliveries, 1))
}

// spared tells what there is too much of to let others hope.
func (g *Gate) spared() Reason {
	return g.full(g.cfg.Slots-g.cfg.Slots/spare, g.cfg.Backlog-g.cfg.Backlog/spare)
}

// full tells what there is too much of for another message. What waited when
// the gate was made does not count: a node that starts with a long queue takes
// in new messages all the same.
func (g *Gate) full(slots, backlog int) Reason {
	waiting := g.cfg.Waiting()
	g.before = min(g.before, waiting)
	switch {
	case waiting-g.before+g.coming >= backlog:
		return Backlog
	case g.in >= slots:
		return Slots
	}
	return ""
}

// close refuses a message that nobody makes room for; others are told at once
// until there is room to spare.
func (g *Gate) close(why Reason) error {
	if why == "" {
		why = Slots // others are before it
	}
	if !g.shut {
		g.cfg.Logger.Warn("admission: clients are sent away", "gate", g.cfg.Name, "reason", string(why), "in", g.in, "waiting", g.cfg.Waiting())
	}
	g.shut = true
	return g.refuse(why)
}

// refuse counts a refusal and returns what the client is told, nil for no reason.
func (g *Gate) refuse(why Reason) error {
	if why == "" {
		return nil
	}
	g.refused[why]++
	if g.since.IsZero() && why != Share {
		g.since = g.cfg.Clock.Now()
	}
	return refusal(why)
}

func refusal(why Reason) error {
	const op = "admission.Enter"
	switch why {
	case Disk:
		return fault.Say(op, fault.NoSpace, "spazio esaurito sul sistema, riprovare piu' tardi / no room on the system, try again later")
	case Share:
		return fault.Say(op, fault.Busy, "troppi messaggi insieme dallo stesso utente o indirizzo, riprovare / too many messages at once from one user or address, try again")
	}
	return fault.Say(op, fault.Busy, "sistema al massimo carico, messaggio non accettato, riprovare fra qualche minuto / system at full load, message not accepted, try again in some minutes")
}

// Figures are a gate's counts.
type Figures struct {
	Name     string
	In       int // messages in it
	Queued   int // clients that wait
	Admitted uint64
	Refused  map[Reason]uint64
	// Since is since when it sends clients away, zero while it does not.
	Since time.Time
}

// Figures returns the counts.
func (g *Gate) Figures() Figures {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := Figures{Name: g.cfg.Name, In: g.in, Queued: len(g.queue), Admitted: g.admits, Refused: make(map[Reason]uint64), Since: g.since}
	for _, r := range Reasons() {
		f.Refused[r] = g.refused[r]
	}
	return f
}

// String describes the figures for an operator.
func (f Figures) String() string {
	return fmt.Sprintf("%s: %d in arrivo / coming in, %d in attesa / waiting, accolti / admitted %d", f.Name, f.In, f.Queued, f.Admitted)
}
