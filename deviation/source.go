// SPDX-License-Identifier: EUPL-1.2

package deviation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/beevik/ntp"
)

const (
	never = math.MaxInt64 // on the steady scale
	// rested is how long a server is left alone that said it is asked too often.
	rested = time.Hour
)

// answer is what one server said, or why it does not count.
type answer struct {
	server string
	offset time.Duration
	fault  string // "" for a valid answer
	kiss   string // the code of a kiss of death (RFC 5905 §7.4)
}

// ask asks all servers at the same time. It returns one answer a server, after
// the timeout at the latest.
func (m *Monitor) ask(ctx context.Context) []answer {
	answers := make([]answer, len(m.cfg.Servers))
	var wg sync.WaitGroup
	for i, server := range m.cfg.Servers {
		if m.steady < m.shun[server] {
			answers[i] = answer{server: server, fault: "asked not to be asked"}
			continue
		}
		wg.Go(func() { answers[i] = m.askOne(ctx, server) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return answers
	}
	for _, a := range answers {
		m.heed(a)
	}
	return answers
}

// heed keeps away from a server that wants no more questions, and logs when a
// server begins or ceases to count.
func (m *Monitor) heed(a answer) {
	switch a.kiss {
	case "DENY", "RSTR":
		m.shun[a.server] = never
	case "RATE":
		m.shun[a.server] = m.steady + rested
	}
	switch was := m.faults[a.server]; {
	case a.fault == was:
	case a.fault == "":
		m.cfg.Logger.Info("time source counts again", "server", a.server)
	default:
		m.cfg.Logger.Warn("time source does not count", "server", a.server, "reason", a.fault)
	}
	m.faults[a.server] = a.fault
}

func (m *Monitor) askOne(ctx context.Context, server string) answer {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	var unhook func() bool
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{
		Timeout:       m.cfg.Timeout,
		GetSystemTime: m.cfg.Clock.Now,
		Dialer: func(_, remote string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "udp", remote)
			if err == nil {
				unhook = context.AfterFunc(ctx, func() { c.Close() })
			}
			return c, err
		},
	})
	if unhook != nil {
		unhook()
	}
	if err != nil {
		return answer{server: server, fault: reason(ctx, err)}
	}
	if r.IsKissOfDeath() {
		return answer{server: server, fault: fmt.Sprintf("kiss of death %q", r.KissCode), kiss: r.KissCode}
	}
	if err := r.Validate(); err != nil {
		return answer{server: server, fault: err.Error()}
	}
	// A source that may itself be further off than the law tolerates proves
	// nothing; the library's bound is RFC 5905's for any use.
	if r.RootDistance > m.cfg.Tolerance {
		return answer{server: server, fault: "uncertain by more than the tolerance"}
	}
	return answer{server: server, offset: r.ClockOffset}
}

// reason is an error without what differs each time, such as our own port.
func reason(ctx context.Context, err error) string {
	var op *net.OpError
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// median returns the median offset of the valid answers and their number. Of an
// even number it is halfway between the two in the middle.
func median(answers []answer) (offset time.Duration, valid int) {
	var offsets []time.Duration
	for _, a := range answers {
		if a.fault == "" {
			offsets = append(offsets, a.offset)
		}
	}
	if valid = len(offsets); valid == 0 {
		return 0, 0
	}
	slices.Sort(offsets)
	low, high := offsets[(valid-1)/2], offsets[valid/2]
	return low + (high-low)/2, valid
}
