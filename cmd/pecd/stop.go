// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// stopWait is how long a stopping node lets running sessions and jobs
	// finish: with what follows, a stop takes less than ten seconds.
	stopWait = 8 * time.Second
	// restartWait is the same before a restart in place, while those who
	// connect wait: they are to be greeted within five seconds. Who sends a
	// message that is cut off has no answer and sends it again.
	restartWait = 3 * time.Second
	// settle is what a client that was accepted at the last moment is given for
	// its TLS handshake before all who are idle are told to go.
	settle = 250 * time.Millisecond
)

// patience is how long what runs may go on after ctx has ended.
func patience(ctx context.Context) time.Duration {
	if errors.Is(context.Cause(ctx), errRestart) {
		return restartWait
	}
	return stopWait
}

// endSessions ends all sessions of servers that accept nobody any more, until
// grace does at the latest.
func (n *node) endSessions(grace context.Context, servers []listening) {
	timer, stop := n.clock.After(settle)
	select {
	case <-timer:
	case <-grace.Done():
	}
	stop()
	var closing sync.WaitGroup
	for _, s := range servers {
		closing.Go(func() {
			if err := s.proto.Shutdown(grace); err != nil {
				n.log.Warn("listener stopped hard", "service", s.name, "error", err)
			}
		})
	}
	closing.Wait()
}

// Shutdown implements server. What is under way when ctx ends is cut off.
func (s *httpServer) Shutdown(ctx context.Context) error {
	err := s.Server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	return err
}

// ignoreClosed is err without the one that a server ends with when it is told to.
func ignoreClosed(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
