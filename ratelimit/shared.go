// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"pecd/fault"
)

// SharedConfig is what a limiter of several nodes needs.
type SharedConfig struct {
	Config
	Client redis.UniversalClient
	Prefix string // of all keys
	// Store tells this node from the others, over restarts; no colons.
	Store string
	// Nodes is how many nodes, each with a record of its own, let the same
	// mailboxes send.
	Nodes   int
	Timeout time.Duration // of one call
	Logger  *slog.Logger
}

// Shared counts over several nodes. While it can ask Redis, all nodes together
// let exactly what the figures say pass. Without it, each has a part that
// together is less (ADR 0023). Run must be running.
type Shared struct {
	boxes *boxes
	board *board
	log   *slog.Logger
	nodes int

	// mode is held for reading by whoever counts, and for writing by what changes
	// whether the board is in use. It comes before the lock of a mailbox: who
	// holds it for writing has all mailboxes for itself.
	mode    sync.RWMutex
	on      bool
	lost    time.Time // when it was last given up; the start, before
	seen    reply     // of the nodes, as it was told last
	mirror  mirror
	failing atomic.Bool  // a call has failed: nobody else need try
	episode int          // of being without it
	seq     atomic.Int64 // the highest that was told
	last    atomic.Pointer[heard]
	told    record // Beat's
}

var _ Limiter = (*Shared)(nil)

// NewShared returns a limiter of one of several nodes.
func NewShared(cfg SharedConfig) *Shared {
	s := &Shared{
		boxes: newBoxes(cfg.Clock, cfg.Location, cfg.Record), log: cfg.Logger, nodes: cfg.Nodes,
		board: newBoard(cfg.Client, cfg.Prefix, cfg.Store, cfg.Nodes, cfg.Timeout), lost: cfg.Clock.Now(),
	}
	s.last.Store(&heard{reply: reply{nodes: cfg.Nodes}})
	return s
}

// heard is what was told of the nodes, and when.
type heard struct {
	reply
	at time.Time
}

// InUse reports whether nodes see each other through Redis.
func (s *Shared) InUse() bool {
	s.mode.RLock()
	defer s.mode.RUnlock()
	return s.on
}

// Peek implements Limiter.
func (s *Shared) Peek(ctx context.Context, key string, f Figures, recipients int) (room int, err error) {
	const op = "ratelimit.Peek"
	if st, ok := s.lately(key, f, recipients); ok {
		return st.room(), nil
	}
	err = s.look(ctx, key, f, recipients, func(st state) error {
		room = st.room()
		return st.answer(op, f, recipients)
	})
	return room, fault.Wrap(op, err)
}

// told is what counted of a mailbox, all nodes together, at an instant.
type told struct {
	at          time.Time
	minute, day Count
	all         bool // all nodes were there
}

// lately is the state of a mailbox that sent within this second and is not near
// any bound: for a question that counts nothing that is enough, and half of the
// calls of a mailbox that sends much.
func (s *Shared) lately(key string, f Figures, recipients int) (state, bool) {
	b := s.boxes.find(key)
	if b == nil {
		return state{}, false
	}
	t := b.told.Load()
	now := s.boxes.clk.Now()
	if t == nil || !t.all || now.Before(t.at) || now.Sub(t.at) >= beatEvery || !s.InUse() {
		return state{}, false
	}
	near := func(used, figure int) bool { return used+figure/20 >= figure }
	if near(t.minute.Messages, f.PerMinute) || near(t.day.Messages, f.PerDay) ||
		near(t.minute.Recipients+recipients, f.RecipientsPerMinute) || near(t.day.Recipients+recipients, f.RecipientsPerDay) {
		return state{}, false
	}
	return state{figures: f, minute: t.minute, day: t.day, loc: s.boxes.loc}, true
}

// Use implements Limiter.
func (s *Shared) Use(ctx context.Context, key string, f Figures) (u Use, err error) {
	err = s.look(ctx, key, f, 1, func(st state) error {
		u = st.use()
		return nil
	})
	return u, fault.Wrap("ratelimit.Use", err)
}

// look calls fn with what counts of a mailbox.
func (s *Shared) look(ctx context.Context, key string, f Figures, recipients int, fn func(state) error) error {
	return s.trying(func() (again error, err error) {
		if !s.on {
			return nil, s.boxes.with(ctx, key, func(b *slot, now time.Time) error { return fn(s.alone(b, key, f, now)) })
		}
		s.boxes.tick(key)
		now := s.boxes.clk.Now()
		d := dayOf(now, s.boxes.loc)
		r, again := s.ask(ctx, question{now: now, day: d.number, box: key, figures: f, recipients: recipients})
		if again != nil {
			return again, nil
		}
		return nil, fn(s.together(r, d, f))
	})
}

// Take implements Limiter.
func (s *Shared) Take(ctx context.Context, key string, f Figures, recipients int) (h *Hold, err error) {
	const op = "ratelimit.Take"
	err = s.trying(func() (again error, err error) {
		err = s.boxes.with(ctx, key, func(b *slot, now time.Time) error {
			if !s.on {
				if err := s.alone(b, key, f, now).answer(op, f, recipients); err != nil {
					return err
				}
				h = s.hold(key, b, s.boxes.id(), now, recipients)
				b.away = b.away.plus(Count{1, recipients})
				return nil
			}
			if again = s.retell(ctx, key, b, now); again != nil {
				return nil
			}
			// The message is told under the number that it has then here.
			id := s.boxes.id()
			own, member := b.today, s.board.member(id, 0, recipients)
			// What this node knows by itself holds, whatever the board has forgotten.
			known := b.state(f, s.boxes.loc).answer(op, f, recipients)
			if known != nil {
				member = "" // only ask
			}
			r, err := s.askOf(ctx, question{ // told twice where the answer was lost: first it is removed
				now: now, day: b.day.number, box: key, figures: f, recipients: recipients, own: &own, member: member, drop: member,
			})
			if again = err; err != nil {
				return nil
			}
			if !r.pass {
				return s.together(r, b.day, f).answer(op, f, recipients)
			}
			if known != nil {
				return known
			}
			n := Count{1, recipients}
			b.told.Store(&told{at: now, minute: r.minute.plus(n), day: r.day.plus(n), all: r.present >= r.nodes})
			h = s.hold(key, b, id, now, recipients)
			return nil
		})
		return again, err
	})
	return h, fault.Wrap(op, err)
}

// trying calls fn with the mode locked for reading; where the board failed it,
// which is what again tells, it is called once more without the board.
func (s *Shared) trying(fn func() (again, err error)) error {
	for {
		s.mode.RLock()
		again, err := fn()
		s.mode.RUnlock()
		if again == nil {
			return err
		}
		s.lose(again)
	}
}

// ask asks the board; an error means that it is not to be used any more.
func (s *Shared) ask(ctx context.Context, q question) (takeReply, error) {
	if s.failing.Load() {
		return takeReply{}, errGivenUp
	}
	known := s.seq.Load()
	r, err := s.board.ask(ctx, q)
	// Alone a node loses nothing by giving up at once. Otherwise it would be
	// without its minute for over a minute.
	for range attempts {
		if err == nil || s.nodes == 1 || errors.Is(err, errEpoch) {
			break
		}
		r, err = s.board.ask(ctx, q)
	}
	if err == nil {
		err = s.note(r.reply, known)
	}
	if err != nil {
		s.failing.Store(true)
	}
	return r, err
}

// attempts is how often a question is repeated: what it tells may be told twice.
const attempts = 3

var (
	errGivenUp = errors.New("redis does not answer")
	errBehind  = errors.New("redis has lost what it was told")
)

// askOf is ask of a locked mailbox that tells what this node has.
func (s *Shared) askOf(ctx context.Context, q question) (takeReply, error) {
	for {
		q.version = s.boxes.id()
		r, err := s.ask(ctx, q)
		if err != nil || r.stale == 0 {
			return r, err
		}
		// The clock is behind that of this node's process before.
		s.boxes.above(r.stale)
	}
}

// note keeps what was told of the nodes. A number lower than one that was known
// before the question comes from a Redis that has lost something.
func (s *Shared) note(r reply, known int64) error {
	if r.seq < known {
		return errBehind
	}
	for {
		old := s.seq.Load()
		if r.seq <= old || s.seq.CompareAndSwap(old, r.seq) {
			break
		}
	}
	s.last.Store(&heard{r, s.boxes.clk.Now()})
	return nil
}

// together is the state of a mailbox as all nodes count it.
func (s *Shared) together(r takeReply, d day, f Figures) state {
	st := state{figures: f, minute: r.minute, day: r.day, ends: d.end, loc: s.boxes.loc}
	if r.present < r.nodes {
		st.figures, st.reduced = f.part(r.present, r.nodes), true
	}
	st.opens = func(need Count) int64 {
		if need.Messages > 0 {
			return r.openM + span.Microseconds()
		}
		return r.openR + span.Microseconds()
	}
	return st
}

// part is what n of all nodes may use.
func (f Figures) part(n, all int) Figures {
	p := func(x int) int { return int(math.Floor(float64(x) * float64(n) / float64(all))) }
	return Figures{p(f.PerMinute), p(f.PerDay), p(f.RecipientsPerMinute), p(f.RecipientsPerDay)}
}

// retell replaces what the board has of this node's part of a mailbox that was
// read from the record: messages that were in hand when the node ended, and those
// whose commit failed, may not have been accepted.
func (s *Shared) retell(ctx context.Context, key string, b *slot, now time.Time) error {
	if !b.fresh {
		return nil
	}
	if s.failing.Load() {
		return errGivenUp
	}
	for try := 0; ; try++ {
		err := s.board.tell(ctx, now, []news{s.telling(key, b)})
		var stale *staleError
		switch {
		case err == nil:
			b.fresh = false
			return nil
		case errors.As(err, &stale) && try < attempts:
			s.boxes.above(stale.last)
		case s.nodes == 1 || try == attempts || errors.Is(err, errEpoch):
			s.failing.Store(true)
			return err
		}
	}
}

// hold counts a message under a number that the board may know.
func (s *Shared) hold(key string, b *slot, id int64, now time.Time, recipients int) *Hold {
	number, on, episode := b.day.number, s.on, s.episode
	h := s.boxes.hold(b, id, now, recipients, func(ctx context.Context, n Count, how ending) {
		switch {
		case s.on && !s.failing.Load():
			own := b.today
			if b.day.number != number || !b.known {
				return // it is told with the next message, or counts for the minute alone
			}
			_, err := s.askOf(ctx, question{
				now: s.boxes.clk.Now(), day: number, box: key, figures: unbounded(), own: &own, drop: s.board.member(id, 0, recipients),
			})
			if err != nil {
				s.log.Debug("send limits: given back here alone", "error", err)
			}
		case how == given && !s.on && !on && episode == s.episode && b.day.number == number:
			b.away = b.away.minus(n)
		}
	})
	end := h.end
	h.end = func(ctx context.Context, how ending) {
		s.mode.RLock()
		end(ctx, how)
		failed := s.on && s.failing.Load()
		s.mode.RUnlock()
		if failed {
			s.lose(errGivenUp)
		}
	}
	return h
}

func unbounded() Figures {
	return Figures{math.MaxInt32, math.MaxInt32, math.MaxInt32, math.MaxInt32}
}

// lose gives the board up.
func (s *Shared) lose(why error) {
	s.mode.Lock()
	defer s.mode.Unlock()
	s.failing.Store(false)
	if !s.on {
		return
	}
	last := s.last.Load()
	s.on, s.lost, s.seen = false, s.boxes.clk.Now(), last.reply
	if s.lost.Sub(last.at) > presentFor {
		s.seen.present = 1 // who was there meanwhile is not known
	}
	s.episode++
	s.log.Warn("send limits: counted by this node alone", "error", why)
}
