// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"
	"errors"

	"pecd/fault"
	"pecd/storage"
)

var (
	errCrash = errors.New("the process is gone")
	errDisk  = errors.New("the disk is full")
	errRead  = errors.New("the disk cannot be read")
)

// crashMode is what the next counted commit of a node meets.
type crashMode int

const (
	noCrash    crashMode = iota
	crashEarly           // the process ends before the step was applied
	crashLate            // … after it, before anybody was told
	diskFull             // the step fails, the process goes on
)

// crashStore is the store as one life of a node sees it: a commit may be that
// life's last act. Whoever is still running then gets errors only.
type crashStore struct {
	storage.Store
	n    *node
	dead bool
}

// OpenBody implements storage.Mail.
func (c *crashStore) OpenBody(ctx context.Context, id storage.BodyID) (storage.Body, error) {
	if c.n.blind {
		c.n.faults.Add(1)
		return nil, fault.New("oracle.OpenBody", fault.Temporary, errRead)
	}
	return c.Store.OpenBody(ctx, id)
}

// Commit implements storage.Store.
func (c *crashStore) Commit(ctx context.Context, s *storage.Step) error {
	if c.dead {
		return fault.New("oracle.Commit", fault.Temporary, errCrash)
	}
	mode := noCrash
	if c.n.mode != noCrash {
		if c.n.countdown == 0 {
			mode, c.n.mode = c.n.mode, noCrash
		} else {
			c.n.countdown--
		}
	}
	if mode != noCrash {
		c.n.faults.Add(1)
		c.n.lapses.Add(1)
	}
	switch mode {
	case crashEarly:
		c.dead = true
		c.n.w.saw("crash before a commit", "%s crashes before a commit", c.n.name)
		return fault.New("oracle.Commit", fault.Temporary, errCrash)
	case diskFull:
		c.n.w.saw("disk full", "the disk of %s is full", c.n.name)
		return fault.New("oracle.Commit", fault.Temporary, errDisk)
	}
	c.n.dirty = true
	err := c.Store.Commit(ctx, s)
	if mode == crashLate {
		c.dead = true
		c.n.w.saw("crash after a commit", "%s crashes after a commit (%v)", c.n.name, err)
		return fault.New("oracle.Commit", fault.Temporary, errors.Join(errCrash, err))
	}
	return err
}
