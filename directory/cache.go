// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"container/list"
	"sync"
	"time"

	"pecd/clock"
)

// cache keeps the most recently used values for a while. A value that was read
// before an invalidation and arrives after it is not kept: the reader hands
// back the mark it took before reading. Where it is told to keep a value for
// longer than ttl, each use keeps it for another ttl, up to that end.
type cache[V any] struct {
	clk clock.Clock
	ttl time.Duration
	max int

	mu    sync.Mutex
	mark  uint64
	items map[string]*list.Element
	order *list.List // most recently used first
}

type cached[V any] struct {
	key   string
	value V
	until time.Time
	end   time.Time // however often it is used
}

func newCache[V any](clk clock.Clock, ttl time.Duration, max int) *cache[V] {
	return &cache[V]{clk: clk, ttl: ttl, max: max, items: make(map[string]*list.Element), order: list.New()}
}

// get returns the value of key, or the mark to hand to put after reading it.
func (c *cache[V]) get(key string) (value V, mark uint64, ok bool) {
	now := c.clk.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.items[key]
	if !found {
		return value, c.mark, false
	}
	it := e.Value.(*cached[V])
	if !now.Before(it.until) {
		c.remove(e)
		return value, c.mark, false
	}
	it.until = earlier(now.Add(c.ttl), it.end)
	c.order.MoveToFront(e)
	return it.value, c.mark, true
}

// put keeps value unless something was invalidated since mark was taken.
func (c *cache[V]) put(key string, value V, mark uint64) { c.putFor(c.ttl, key, value, mark) }

// putFor is put for a value that goes after most, and before that when it was not
// used for ttl.
func (c *cache[V]) putFor(most time.Duration, key string, value V, mark uint64) {
	now := c.clk.Now()
	end := now.Add(most)
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark != c.mark {
		return
	}
	if e, found := c.items[key]; found {
		c.remove(e)
	}
	c.items[key] = c.order.PushFront(&cached[V]{key, value, earlier(now.Add(c.ttl), end), end})
	for c.order.Len() > c.max {
		c.remove(c.order.Back())
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// drop forgets the given keys.
func (c *cache[V]) drop(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark++
	for _, k := range keys {
		if e, found := c.items[k]; found {
			c.remove(e)
		}
	}
}

func (c *cache[V]) remove(e *list.Element) {
	c.order.Remove(e)
	delete(c.items, e.Value.(*cached[V]).key)
}
