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
		if w.want == 0 {
			continue
		}
		if err := w.client.run("EXAMINE INBOX", nil); err != nil {
			return err
		}
		err := w.client.run("FETCH 1:* (BODY.PEEK[])", func(u untagged) error {
			if u.literal == nil {
				return nil
			}
			s := rfc822.NewScanner(rfc822.DefaultLimits())
			if _, err := s.Write(u.literal); err != nil {
				return err
			}
			n := c.letters.number(s.Finish().Root.Header.Get("Message-ID"))
			if n < 0 || n >= len(c.sent) || c.sent[n].from == "" {
				return fmt.Errorf("%s holds a message of no accepted submission", w.address)
			}
			if !bytes.Contains(u.literal, c.text(n)) {
				return fmt.Errorf("message %d to %s was altered", n, w.address)
			}
			copies[n][w.address]++
			return nil
		})
		if err != nil {
			return err
		}
	}
	var faults []error
	for n, s := range c.sent {
		for _, r := range s.to {
			if copies[n][r] != 1 && len(faults) < maxFaults {
				faults = append(faults, fmt.Errorf("message %d to %s: %d copies", n, r, copies[n][r]))
			}
		}
	}
	return errors.Join(faults...)
}
