// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
)

var (
	errTooMuchWork = no(imaplib.ResponseCodeLimit, "comando troppo lungo / the command takes too long")
	errStopping    = no("UNAVAILABLE", "servizio in chiusura / server shutting down")
)

// work bounds a command whose cost the client chooses. Its context ends when the
// command has lasted too long, when the client is gone or when the server stops.
type work struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	c      *conn
	wg     sync.WaitGroup
}

// work begins one; end must be called before the connection is read again.
func (s *session) work() *work {
	w := &work{c: s.c}
	w.ctx, w.cancel = context.WithCancelCause(s.ctx)
	late, stop := s.srv.cfg.Clock.After(s.srv.timing.work)
	w.wg.Go(func() {
		defer stop()
		select {
		case <-late:
			w.cancel(errTooMuchWork)
		case <-s.srv.conns.Stopping():
			w.cancel(errStopping)
		case <-w.ctx.Done():
		}
	})
	// The client has nothing to say while it waits, so a read ends only with
	// the connection. One that has sent its next command already is not noticed
	// when it leaves.
	w.wg.Go(func() {
		defer func() {
			if recovered(s.log, recover()) {
				s.c.Cut()
			}
		}()
		_, err := s.c.in.Peek(1)
		if err != nil && w.ctx.Err() == nil {
			w.cancel(io.EOF)
		}
	})
	return w
}

// end waits for what watches over the work.
func (w *work) end() {
	w.cancel(nil)
	w.c.Wake()
	w.wg.Wait()
	// A deadline that ran out meanwhile is not lost: one for good belongs to a
	// server that is closing, which is looked at before every command.
	_ = w.c.Raw.SetReadDeadline(time.Time{})
}

// outcome is err, or why the work was stopped where that is its cause.
func (w *work) outcome(err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(w.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
