// SPDX-License-Identifier: EUPL-1.2

package connections

import (
	"context"
	"errors"
	"net"
	"time"

	"pecd/fault"
)

// acceptPause is how long accepting rests after a failure, such as too many open
// files.
const acceptPause = 100 * time.Millisecond

// Serve gives what connects to a listener to take until ctx ends or Shutdown is
// called, and returns nil then; of kind Disabled after Shutdown, Internal where the
// listener was closed by somebody else. Other failures are told to failed, and it
// goes on. Connections that are open when it returns stay until Shutdown. tick is as
// in Open.
func (s *Set[C]) Serve(ctx context.Context, l net.Listener, tick time.Duration, take func(net.Conn), failed func(error)) error {
	const op = "connections.Serve"
	if !s.Open(l, tick) {
		return fault.New(op, fault.Disabled, net.ErrClosed)
	}
	defer s.Release(l)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		raw, err := l.Accept()
		switch {
		case err == nil:
			take(raw)
		case ctx.Err() != nil || s.Closing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.New(op, fault.Internal, err)
		default:
			failed(err)
			after, stop := s.clk.After(acceptPause)
			select {
			case <-after:
			case <-ctx.Done():
			}
			stop()
		}
	}
}
