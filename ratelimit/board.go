// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/common.lua
	luaCommon string
	//go:embed lua/take.lua
	luaTake string
	//go:embed lua/push.lua
	luaPush string
	//go:embed lua/hello.lua
	luaHello string
	//go:embed lua/ready.lua
	luaReady string
	//go:embed lua/beat.lua
	luaBeat string
)

var (
	// errEpoch: Redis was emptied, or does not know this node.
	errEpoch = errors.New("another epoch")
	errReply = errors.New("unexpected reply")
)

// board is what the nodes share in Redis: for each mailbox how much each node
// has accepted today, and what was accepted within the last minute. A node
// writes what it has itself, as a total, so that nothing is counted twice,
// however often it is told. All keys are in one slot of a cluster.
type board struct {
	client  redis.UniversalClient
	prefix  string
	store   string // which node this is
	nodes   int
	timeout time.Duration

	epoch string

	take, push, hello, ready, beat *redis.Script
}

func newBoard(client redis.UniversalClient, prefix, store string, nodes int, timeout time.Duration) *board {
	script := func(text string) *redis.Script { return redis.NewScript(luaCommon + text) }
	return &board{
		client: client, prefix: "{" + prefix + "}:limits:", store: store, nodes: nodes, timeout: timeout,
		take: script(luaTake), push: script(luaPush), hello: script(luaHello), ready: script(luaReady), beat: script(luaBeat),
	}
}

// presentFor is how long a node that is silent is thought present.
const presentFor = 5 * time.Second

func (b *board) keys(day int, box string) []string {
	keys := []string{b.prefix + "epoch", b.prefix + "joined", b.prefix + "nodes", b.prefix + "seq"}
	if day != 0 {
		keys = append(keys, b.prefix+"changed:"+strconv.Itoa(day))
	}
	if box != "" {
		keys = append(keys, b.dayPrefix(day)+box, b.prefix+"minute:"+box, b.prefix+"minute_recipients:"+box)
	}
	return keys
}

func (b *board) dayPrefix(day int) string { return b.prefix + "day:" + strconv.Itoa(day) + ":" }

func (b *board) args(now time.Time, more ...any) []any {
	return append([]any{b.epoch, b.store, now.UnixMicro(), presentFor.Microseconds(), b.nodes}, more...)
}

// bounded gives a call its time, whatever becomes of who waits for it: a client
// that goes away is no reason to give Redis up.
func (b *board) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), b.timeout)
}

// reply is what a script returned of the nodes.
type reply struct {
	present, nodes int
	seq            int64
}

// taken is what take.lua returned.
type takeReply struct {
	reply
	pass         bool
	stale        int64 // not 0: the version was not above this
	minute, day  Count
	openM, openR int64 // µs: when the first of them no longer counts
}

// question is what take.lua is asked.
type question struct {
	now        time.Time
	day        int
	box        string
	figures    Figures
	recipients int
	// Where something is told or counted: the version, and what this node has.
	version int64
	own     *Count
	member  string // to be counted
	drop    string // to be removed
}

func (b *board) ask(ctx context.Context, q question) (takeReply, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	own, messages := Count{-1, -1}, 0
	if q.own != nil {
		own = *q.own
	}
	if q.member != "" {
		messages = 1
	}
	v, err := b.take.Run(ctx, b.client, b.keys(q.day, q.box), b.args(q.now,
		q.box, q.version, own.Messages, own.Recipients, messages, q.recipients, q.member,
		q.figures.PerMinute, q.figures.PerDay, q.figures.RecipientsPerMinute, q.figures.RecipientsPerDay, q.drop)...).Slice()
	if err != nil {
		return takeReply{}, err
	}
	n, err := numbers(v)
	switch {
	case err != nil:
		return takeReply{}, err
	case n[0] == -1:
		return takeReply{}, errEpoch
	case n[0] == -2 && len(n) == 5:
		return takeReply{reply: replyOf(n), stale: n[4]}, nil
	case len(n) != 10:
		return takeReply{}, errReply
	}
	return takeReply{
		reply: replyOf(n), pass: n[0] == 1, minute: Count{int(n[4]), int(n[5])}, day: Count{int(n[6]), int(n[7])}, openM: n[8], openR: n[9],
	}, nil
}

func replyOf(n []int64) reply { return reply{int(n[1]), int(n[2]), n[3]} }

// begin loads the scripts and joins the epoch that is, or begins one.
func (b *board) begin(ctx context.Context, fresh string, now time.Time) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	for _, s := range []*redis.Script{b.take, b.push, b.hello, b.ready, b.beat} {
		if err := s.Load(ctx, b.client).Err(); err != nil {
			return err
		}
	}
	b.epoch = fresh
	epoch, err := b.hello.Run(ctx, b.client, b.keys(0, ""), b.args(now)...).Text()
	b.epoch = epoch
	return err
}

// news is what a node tells of a mailbox.
type news struct {
	box     string
	version int64
	day     int
	own     Count
	minute  []taken
}

// pushAtOnce is how many mailboxes one round trip tells of.
const pushAtOnce = 100

// tell replaces what the board has of this node's part of mailboxes.
func (b *board) tell(ctx context.Context, now time.Time, all []news) error {
	for len(all) > 0 {
		some := all[:min(len(all), pushAtOnce)]
		all = all[len(some):]
		if err := b.tellSome(ctx, now, some); err != nil {
			return err
		}
	}
	return nil
}

func (b *board) tellSome(ctx context.Context, now time.Time, some []news) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	pipe := b.client.Pipeline()
	replies := make([]*redis.Cmd, len(some))
	for i, t := range some {
		args := b.args(now, t.box, t.version, t.own.Messages, t.own.Recipients)
		for _, m := range t.minute {
			// A second of the record is as many messages, the first with all recipients.
			for k := range m.n.Messages {
				recipients := 0
				if k == 0 {
					recipients = m.n.Recipients
				}
				args = append(args, m.at, b.member(m.id, k, recipients))
			}
		}
		replies[i] = b.push.EvalSha(ctx, pipe, b.keys(t.day, t.box), args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for _, r := range replies {
		v, err := r.Slice()
		if err != nil {
			return err
		}
		n, err := numbers(v)
		switch {
		case err != nil:
			return err
		case n[0] == -1:
			return errEpoch
		case n[0] == -2 && len(n) == 2:
			return &staleError{n[1]}
		}
	}
	return nil
}

// staleError: a version must be above this.
type staleError struct{ last int64 }

// Error implements error.
func (e *staleError) Error() string { return fmt.Sprintf("a later version is known: %d", e.last) }

// member names a message of the minute.
func (b *board) member(id int64, k, recipients int) string {
	return b.store + ":" + strconv.FormatInt(id, 10) + "." + strconv.Itoa(k) + ":" + strconv.Itoa(recipients)
}

// settle notes that all was told. complete is whether all nodes have.
func (b *board) settle(ctx context.Context, now time.Time) (r reply, complete bool, err error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	v, err := b.ready.Run(ctx, b.client, b.keys(0, ""), b.args(now)...).Slice()
	if err != nil {
		return reply{}, false, err
	}
	n, err := numbers(v)
	switch {
	case err != nil:
		return reply{}, false, err
	case n[0] == -1:
		return reply{}, false, errEpoch
	case len(n) != 4:
		return reply{}, false, errReply
	}
	return replyOf(n), n[0] == 1, nil
}

// changesAtOnce is how many mailboxes one answer tells of.
const changesAtOnce = 500

// changes returns what the other nodes have of mailboxes that changed after a
// number, and the number they lead up to. Fewer than changesAtOnce are all.
func (b *board) changes(ctx context.Context, now time.Time, day int, after string, present bool) (r reply, upTo string, others map[string]Count, err error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	mark := "0"
	if present {
		mark = "1"
	}
	v, err := b.beat.Run(ctx, b.client, b.keys(day, ""), b.args(now, after, changesAtOnce, b.dayPrefix(day), mark)...).Slice()
	if err != nil {
		return r, after, nil, err
	}
	if len(v) == 1 {
		return r, after, nil, errEpoch
	}
	if len(v) < 5 || len(v)%3 != 2 {
		return r, after, nil, errReply
	}
	n, err := numbers(v[:4])
	if err != nil {
		return r, after, nil, err
	}
	others = make(map[string]Count, len(v)/3)
	for i := 5; i < len(v); i += 3 {
		name, ok := v[i].(string)
		counts, err := numbers(v[i+1 : i+3])
		if !ok || err != nil {
			return r, after, nil, errReply
		}
		others[name] = Count{int(counts[0]), int(counts[1])}
	}
	upTo, ok := v[4].(string)
	if !ok || strings.Trim(upTo, "0123456789") != "" {
		return r, after, nil, errReply
	}
	return replyOf(n), upTo, others, nil
}

// numbers reads a list of integers, which Lua returns as such or as text.
func numbers(v []any) ([]int64, error) {
	if len(v) == 0 {
		return nil, errReply
	}
	out := make([]int64, len(v))
	for i, x := range v {
		switch x := x.(type) {
		case int64:
			out[i] = x
		case string:
			n, err := strconv.ParseInt(x, 10, 64)
			if err != nil {
				return nil, errReply
			}
			out[i] = n
		default:
			return nil, errReply
		}
	}
	return out, nil
}
