// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"time"
)

// Admission decides whether another message may come in. Its errors are told to
// the client: of kind fault.Busy (451) or fault.NoSpace (452).
type Admission interface {
	// Ready tells at MAIL whether it is worth while to go on.
	Ready(client string) error
	// Enter is asked before the client is told to send, and may make it wait for
	// some seconds. client is who logged in, or the network of another server;
	// deliveries is the number of recipients, octets the size announced, 0 for
	// none. leave is called once when the message is answered for.
	Enter(ctx context.Context, client string, deliveries int, octets int64) (leave func(), err error)
}

// refusalPause is how long a client waits for the answer that it is sent away
// with: one that asks again and again takes its time, and not the node's.
const refusalPause = 500 * time.Millisecond

// hope tells whether a message that begins may be let in.
func (c *conn) hope() error {
	if c.srv.cfg.Admission == nil {
		return nil
	}
	err := c.srv.cfg.Admission.Ready(c.client)
	if err != nil {
		c.slow()
	}
	return err
}

func (c *conn) slow() {
	timer, release := c.srv.cfg.Clock.After(refusalPause)
	defer release()
	select {
	case <-timer:
	case <-c.ctx.Done():
	case <-c.srv.stopping.Done():
	}
}

// enter asks for a place for the message that DATA would begin. False: the
// client was answered.
func (c *conn) enter() bool {
	if c.srv.cfg.Admission == nil || c.boxes == 0 || c.leave != nil {
		return true // without recipients there will be no message
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(c.srv.stopping, cancel)()
	leave, err := c.srv.cfg.Admission.Enter(ctx, c.client, c.boxes, c.declared)
	switch {
	case err == nil:
		c.leave = leave
		return true
	case ctx.Err() != nil:
		c.end(closingDown())
		return false
	}
	c.slow()
	a := answerTo(err)
	c.srv.cfg.Logger.Debug("smtp: refused", "command", "DATA", "remote", c.remote(), "code", a.code, "err", err)
	c.say(a)
	return false
}
