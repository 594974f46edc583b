// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"net"
	"slices"
	"sync"

	"pecd/fault"
)

type clientKey struct{}

// From returns a context whose logins come from the client at remote. Clients
// take turns where a login has to wait, so that many of one do not keep those of
// others waiting.
func From(ctx context.Context, remote net.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, ClientNetwork(remote).String())
}

// turns hands out a number of places, to each client in its turn.
type turns struct {
	most int // that may wait

	mu      sync.Mutex
	free    int
	waiting map[string][]*waiter // by client, in order; no empty ones
	order   []string             // the clients that wait, next first
	count   int
}

type waiter struct {
	told chan struct{} // closed once it is decided
	in   bool          // it has a place; otherwise it was sent away
}

func newTurns(places, most int) *turns {
	return &turns{most: most, free: places, waiting: make(map[string][]*waiter)}
}

// enter waits for a place, which leave gives back. Temporary where too many wait,
// of whom the client that has most goes first, or when ctx ends.
func (t *turns) enter(ctx context.Context) error {
	const op = "directory.verify"
	client, _ := ctx.Value(clientKey{}).(string)
	w := t.queue(client)
	if w == nil {
		return nil
	}
	select {
	case <-w.told:
	case <-ctx.Done():
		if !t.giveUp(client, w) {
			return fault.New(op, fault.Temporary, ctx.Err())
		}
	}
	if !w.in {
		return fault.Say(op, fault.Temporary, "troppi accessi in corso, riprovare / too many logins, try again")
	}
	return nil
}

// queue returns nil where a place was free, and otherwise who waits for one, or
// was sent away already.
func (t *turns) queue(client string) *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return nil
	}
	w := &waiter{told: make(chan struct{})}
	if t.count >= t.most && !t.makeRoom(client) {
		close(w.told)
		return w
	}
	if len(t.waiting[client]) == 0 {
		t.order = append(t.order, client)
	}
	t.waiting[client] = append(t.waiting[client], w)
	t.count++
	return w
}

// makeRoom sends away the last of the client that has most waiting, unless the
// one for whom room is needed would have as many then.
func (t *turns) makeRoom(client string) bool {
	longest := client
	for c, all := range t.waiting {
		if len(all) > len(t.waiting[longest]) {
			longest = c
		}
	}
	all := t.waiting[longest]
	if len(all) <= len(t.waiting[client])+1 {
		return false
	}
	t.remove(longest, len(all)-1)
	close(all[len(all)-1].told)
	return true
}

// remove takes away the i-th of a client that waits.
func (t *turns) remove(client string, i int) {
	t.waiting[client] = slices.Delete(slices.Clone(t.waiting[client]), i, i+1)
	t.count--
	if len(t.waiting[client]) == 0 {
		delete(t.waiting, client)
		t.order = slices.DeleteFunc(t.order, func(c string) bool { return c == client })
	}
}

// giveUp takes w out of the queue. It reports true where it was decided before.
func (t *turns) giveUp(client string, w *waiter) (decided bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[client], w)
	if i < 0 {
		return true
	}
	t.remove(client, i)
	return false
}

// leave gives a place back, to whose turn it is.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		t.free++
		return
	}
	client := t.order[0]
	w := t.waiting[client][0]
	t.remove(client, 0)
	if len(t.waiting[client]) > 0 {
		t.order = append(t.order[1:], client)
	}
	w.in = true
	close(w.told)
}
