// SPDX-License-Identifier: EUPL-1.2

package relayload

import (
	"testing"
	"time"
)

// TestDrain: destinations are dead for some pauses, cost a few connections and
// nobody else's time, and get everything that waited for them, once, when they
// are back.
func TestDrain(t *testing.T) {
	waiting := waiting
	if long() {
		waiting = 10000
	}
	cert := certificate(t)
	for _, c := range []struct {
		name string
		dead []manner
	}{
		{"refused", []manner{refused}},
		{"mute", []manner{mute}},
		{"black hole", []manner{hole}},
		{"451", []manner{putOff}},
		{"451 under TLS", []manner{greylist}},
		{"three", []manner{refused, mute, hole}},
	} {
		t.Run(c.name, func(t *testing.T) {
			live, dead := liveHosts(t, 1, 0, cert), deadHosts(t, c.dead, cert)
			n := newNode(t, newLeap(), "n")
			n.ordinary = c.dead[0] == putOff // a certified one without TLS is not written to
			n.start(append(dead, live...)...)
			for _, h := range dead {
				n.queue(h.domain, waiting/len(dead))
			}
			stop := n.run()
			start := time.Now()
			const pauses = 3
			slowest := time.Duration(0)
			for range pauses {
				slowest = max(slowest, n.prompt(live[0]))
				n.clock.forward(61 * time.Second) // the greeting's minute
				time.Sleep(100 * time.Millisecond)
				slowest = max(slowest, n.prompt(live[0]))
				n.clock.forward(2 * time.Minute)
			}
			got, most := attempts(dead, 2*pauses, time.Since(start))
			if got > most {
				t.Errorf("%d connections to the dead, at most %d", got, most)
			}
			for _, h := range dead {
				h.recover(t)
			}
			took := n.drained(dead, waiting/len(dead)*len(dead))
			stop()
			if left := n.left(); left != 0 {
				t.Errorf("%d jobs left", left)
			}
			received(t, dead, int64(waiting/len(dead)*len(dead)))
			received(t, live, 2*pauses)
			t.Logf("a message to somebody else took %v at most; %d connections while they were dead; %d messages drained in %v",
				slowest.Round(time.Millisecond), got, waiting, took.Round(time.Millisecond))
		})
	}
}

// drained waits until the hosts have got everything. Where nothing moves,
// pauses are waited for. What is under way then is not cut short by it:
// everything about a message may take longer than that.
func (n *node) drained(hosts []*host, want int) time.Duration {
	n.t.Helper()
	start, last, moved := time.Now(), 0, time.Time{}
	for {
		got := 0
		for _, h := range hosts {
			all, _ := h.received()
			got += all
		}
		switch {
		case got == want:
			return time.Since(start)
		case got > last:
			last, moved = got, time.Now()
		case time.Since(moved) > 300*time.Millisecond:
			moved = time.Now()
			n.clock.forward(2 * time.Minute)
		case time.Since(start) > 5*time.Minute:
			n.t.Fatalf("%d of %d arrived", got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
