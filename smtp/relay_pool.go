// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"slices"
	"sync"
	"time"

	"pecd/clock"
)

const (
	idleTime    = 30 * time.Second // how long a connection is kept for reuse
	maxIdleEach = 16               // connections kept for one server
)

// pool keeps idle connections. Its goroutine ends the old ones.
type pool struct {
	clk clock.Clock
	max int

	mu     sync.Mutex
	idle   []*remote // oldest first
	closed bool

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

func newPool(clk clock.Clock, limit int) *pool {
	p := &pool{clk: clk, max: limit, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go p.sweep()
	return p
}

// get takes the connection to key that was used last. One that was opened
// where TLS is required is not used elsewhere, nor the other way round: of the
// latter nobody looked at the certificate.
func (p *pool) get(key string, requireTLS bool) *remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range slices.Backward(p.idle) {
		if c.key == key && c.required == requireTLS {
			p.idle = slices.Delete(p.idle, i, i+1)
			return c
		}
	}
	return nil
}

// put keeps c for reuse, or ends it where there are enough.
func (p *pool) put(c *remote) {
	p.mu.Lock()
	each := 0
	for _, o := range p.idle {
		if o.key == c.key {
			each++
		}
	}
	keep := !p.closed && len(p.idle) < p.max && each < maxIdleEach
	if keep {
		c.idle = p.clk.Now()
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.quit()
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pool) sweep() {
	defer close(p.done)
	for {
		old, next := p.expire()
		for _, c := range old {
			c.quit()
		}
		var fire <-chan time.Time
		release := func() {}
		if next > 0 {
			fire, release = p.clk.After(next)
		}
		select {
		case <-fire:
		case <-p.wake:
		case <-p.quit:
			release()
			return
		}
		release()
	}
}

// expire takes out what is idle for too long. next is how long the oldest of
// the rest still has, zero if none is left.
func (p *pool) expire() (old []*remote, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clk.Now()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idle) >= idleTime {
		n++
	}
	old = slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if len(p.idle) > 0 {
		next = idleTime - now.Sub(p.idle[0].idle)
	}
	return old, next
}

// close ends every idle connection; put ends those that come later.
func (p *pool) close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	if !again {
		close(p.quit)
	}
	<-p.done
	for _, c := range idle {
		c.quit()
	}
}
