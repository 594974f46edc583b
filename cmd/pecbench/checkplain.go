// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"fmt"

	"pecd/rfc822"
)

// checkPlain looks for exactly one copy of each accepted submission in each
// recipient's mailbox, with the text that was sent.
func (c *crew) checkPlain() error {
	copies := make([]map[string]int, len(c.sent))
	for i := range copies {
		copies[i] = make(map[string]int)
	}
	for _, w := range c.order {
		err := w.each(func(raw []byte) error {
			s := rfc822.NewScanner(rfc822.DefaultLimits())
			if _, err := s.Write(raw); err != nil {
				return err
			}
			n := c.letters.number(s.Finish().Root.Header.Get("Message-ID"))
			if n < 0 || n >= len(c.sent) || c.sent[n].from == "" {
				return fmt.Errorf("%s holds a message of no accepted submission", w.address)
			}
			if !bytes.Contains(raw, c.text(n)) {
				return fmt.Errorf("message %d to %s was altered", n, w.address)
			}
			copies[n][w.address]++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return judgeCopies(c.sent, copies)
}

// judgeCopies counts the copies of each submission, by mailbox.
func judgeCopies(sent []sentLetter, copies []map[string]int) error {
	var faults []error
	for n, s := range sent {
		if len(copies[n]) > len(s.to) {
			faults = append(faults, fmt.Errorf("message %d to %d recipients: copies in %d mailboxes", n, len(s.to), len(copies[n])))
		}
		for _, r := range s.to {
			if copies[n][r] != 1 {
				faults = append(faults, fmt.Errorf("message %d to %s: %d copies", n, r, copies[n][r]))
			}
		}
		if len(faults) >= maxFaults {
			break
		}
	}
	return errors.Join(faults...)
}
