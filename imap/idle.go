// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
)

// idle answers IDLE (RFC 2177): changes are told as they are committed. The
// watch starts before the store is asked for what happened so far, so a change
// is either in that answer or wakes the watch.
func (s *session) idle(args []byte) error {
	if len(args) > 0 {
		return bad("argomenti inattesi / unexpected arguments")
	}
	if !s.open() {
		return errNotOpen
	}
	if err := s.c.put([]byte("+ idling\r\n")); err != nil {
		return err
	}
	stop := func() error { return nil }
	if s.view != nil {
		stop = s.push()
	}
	line, err := s.c.awaitDone()
	if pushed := stop(); pushed != nil {
		s.c.failed(pushed)
		return io.EOF
	}
	if err == nil && !bytes.EqualFold(bytes.TrimSpace(line), []byte("DONE")) {
		return bad("atteso DONE / expected DONE")
	}
	return err
}

// push tells changes from a goroutine of its own until the function it returns
// is called, which waits for it.
func (s *session) push() (stop func() error) {
	ctx, cancel := context.WithCancel(s.ctx)
	changed, unwatch := s.store.Watch(s.view.folder.ID)
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		defer unwatch()
		defer func() {
			if recovered(s.log, recover()) {
				err = errPushing
				s.c.Cut()
			}
		}()
		for dirty := true; ; {
			if err = s.pushed(dirty); err != nil {
				s.c.Wake()
				return
			}
			again, stop := s.srv.cfg.Clock.After(recheckIdle)
			select {
			case <-ctx.Done():
				stop()
				return
			case <-changed:
				dirty = true
			case <-again:
				dirty = false
			}
			stop()
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return err
	}
}

// pushed tells what has changed, unless the login has ended meanwhile.
func (s *session) pushed(dirty bool) error {
	if err := s.still(); err != nil || !dirty {
		return err
	}
	if err := s.sync(true); err != nil {
		return err
	}
	return s.c.flush()
}

var errPushing = errors.New("imap: telling changes failed")

// awaitDone reads the line that ends IDLE. Empty lines do not.
func (c *conn) awaitDone() ([]byte, error) {
	for {
		if err := c.awaitCommand(); err != nil {
			return nil, err
		}
		line, err := c.readLine(maxLiteral)
		if err != nil || len(line) > 0 {
			return line, err
		}
	}
}
