// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"errors"
	"fmt"
	"io"

	"pecd/fault"
	"pecd/pipeline"
)

// transact runs one transaction for the recipients left. It settles all that
// the server answered for; recipients it wants in another transaction stay
// left. An error means that this server does not have the message and another
// may be asked.
func (c *remote) transact(j *job) error {
	params, err := c.sized(j.Size, j.EightBit)
	if err != nil {
		j.reached(pipeline.Answered) // by what the server announced
		j.settleAll(asSendError(err))
		return nil
	}
	if c.dirty {
		if err := c.reset(); err != nil {
			return err
		}
	}
	c.dirty = true
	accepted, err := c.envelope(j, params)
	if err != nil || len(accepted) == 0 {
		return err
	}
	rep, err := c.command("DATA", c.cfg.Timeouts.Command)
	switch {
	case err != nil:
		return err
	case rep.code == 421:
		j.reached(pipeline.Answered)
		c.broken = true
		return refusal(rep, false)
	case rep.code != 354:
		// Whatever else it is, it is no consent: a 2xx counts as 4xx here.
		j.reached(pipeline.Answered)
		c.settleAs(j, accepted, asSendError(refusal(rep, false)))
		return nil
	}
	return c.message(j, accepted)
}

// envelope sends MAIL and RCPT and returns the recipients that were accepted.
func (c *remote) envelope(j *job, params string) (accepted []int, err error) {
	asked := append([]int(nil), j.left...)
	lines := make([]string, 0, 1+len(asked))
	lines = append(lines, "MAIL FROM:<"+j.Sender+">"+params)
	for _, i := range asked {
		lines = append(lines, "RCPT TO:<"+j.Recipients[i]+">")
	}
	var mail reply
	refused := make(map[int]reply)
	err = c.commands(lines, c.cfg.Timeouts.Command, func(i int, r reply) {
		if r.ok() {
			j.reached(pipeline.BrokeOff) // if nothing more is heard
		} else {
			j.reached(pipeline.Answered)
		}
		switch {
		case i == 0:
			mail = r
		case r.ok():
			accepted = append(accepted, asked[i-1])
		case r.tooMany() && len(accepted) > 0:
			// It stays left, for the next transaction.
		default:
			refused[asked[i-1]] = r
		}
	})
	switch {
	case err != nil:
		return nil, err
	case mail.code/100 == 4:
		return nil, refusal(mail, false)
	case !mail.ok():
		j.settleAll(asSendError(refusal(mail, false)))
		return nil, nil
	}
	for _, i := range asked {
		if r, ok := refused[i]; ok {
			j.settle(i, asSendError(refusal(r, true)))
		}
	}
	return accepted, nil
}

// message sends the message and reads the answer to it.
func (c *remote) message(j *job, accepted []int) error {
	w := newDotWriter(func(p []byte) error { return c.write(p, c.cfg.Timeouts.Block) })
	n, err := io.Copy(w, io.NewSectionReader(j.Body, 0, j.Size))
	if err == nil && n != j.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return c.broke(j, accepted, err)
	}
	rep, err := c.read(c.cfg.Timeouts.Final)
	if err != nil {
		// The server may have the message: no other one is asked now.
		e := asSendError(err)
		c.settleAs(j, accepted, &sendError{kind: fault.Temporary, reply: "451 4.4.2 nessuna risposta dopo il messaggio / no answer after the message", cause: e})
		return err
	}
	j.reached(pipeline.Answered)
	if rep.code == 421 {
		c.broken = true
	}
	c.settleWith(j, accepted, rep)
	return nil
}

// broke is what is left of a message that did not get to its final dot: the
// connection is closed, and the server cannot take what it has for a message.
func (c *remote) broke(j *job, accepted []int, err error) error {
	wire := c.broken
	c.broken = true
	if errors.Is(err, errBareLineEnd) {
		j.reached(pipeline.Answered)
		c.settleAs(j, accepted, &sendError{kind: fault.Invalid, reply: "550 5.6.0 il messaggio contiene CR o LF isolati / message contains bare CR or LF", cause: err})
		return nil
	}
	if !wire {
		j.reached(pipeline.Answered) // the server is not at fault
		return failed("451 4.3.0 messaggio non leggibile / message not readable", fmt.Errorf("reading the message: %w", err))
	}
	// A server that will not have the message says why before it hangs up.
	if rep, rerr := c.read(c.cfg.Timeouts.Reset); rerr == nil && rep.code >= 400 && rep.code != 421 {
		j.reached(pipeline.Answered)
		c.settleWith(j, accepted, rep)
		return nil
	}
	return err
}

// settleWith gives the recipients what the server answered to the message.
func (c *remote) settleWith(j *job, accepted []int, r reply) {
	if r.ok() {
		for _, i := range accepted {
			j.settle(i, nil)
			j.results[i].Reply = r.String()
		}
		return
	}
	c.settleAs(j, accepted, asSendError(refusal(r, false)))
}

func (c *remote) settleAs(j *job, accepted []int, e *sendError) {
	for _, i := range accepted {
		j.settle(i, e)
	}
}

func asSendError(err error) *sendError {
	var e *sendError
	if errors.As(err, &e) {
		return e
	}
	return &sendError{kind: fault.Temporary, reply: "451 4.3.0 errore interno / internal error", cause: err}
}
