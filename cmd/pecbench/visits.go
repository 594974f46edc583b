// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// What the clients that poll are: each has a user and a mailbox of his own.
const (
	visitors     = 50
	firstVisitor = 200 // mailboxes below are those that submit
	// visitPace is a little more than the 5,000 a minute that are asked for, so
	// that the ends of a round do not take it below.
	visitPace = 5100 // a minute, of all together
	// visitHolds is how many messages each mailbox has.
	visitHolds = 200
)

// visitor logs in, looks whether there is something new, and leaves, over a
// connection of its own each time: IMAP and POP3 by turns, without TLS sessions
// that are resumed. Every fifth has an application password.
type visitor struct {
	number         int
	user, password string
}

// prepareVisitors fills their mailboxes and makes their application passwords.
func (b *bench) prepareVisitors(ctx context.Context, s *site, st *sqlite.Store) ([]visitor, error) {
	l, d := newLetters(b.run, 5000, time.Now()), directory.New(st, clock.System{})
	all := make([]visitor, visitors)
	for i := range all {
		v := visitor{i, s.alfa.sender(firstVisitor + i), s.password}
		to := []string{v.user}
		if err := fillInbox(ctx, st, v.user, b.scaled(visitHolds), func(n int) []byte { return l.write(nil, n, correspondent(n), to) }); err != nil {
			return nil, err
		}
		if i%5 == 4 {
			var err error
			_, v.password, err = d.CreateProgram(ctx, directory.NewProgram{
				Login: v.user, Name: "bench", Protocols: storage.ByIMAP | storage.ByPOP3, Permission: storage.MayAll,
			})
			if err != nil {
				return nil, err
			}
		}
		all[i] = v
	}
	return all, nil
}

// visit is one of them: by IMAP STATUS, by POP3 the list of UIDLs. It must find
// the messages that are there.
func (v visitor) visit(s *site, turn, holds int) error {
	found := 0
	if (v.number+turn)%2 == 0 {
		c, err := dialIMAP(s.alfa.imaps, s.tls(), v.user, v.password)
		if err != nil {
			return err
		}
		found, err = c.messages()
		c.close()
		if err != nil {
			return err
		}
	} else {
		c, err := dialPOP3(s.alfa.pop3s, s.tls(), v.user, v.password)
		if err != nil {
			return err
		}
		found, err = c.uidl()
		if err := errors.Join(err, c.quit()); err != nil {
			return err
		}
	}
	if found != holds {
		return fmt.Errorf("%s sees %d messages, not %d", v.user, found, holds)
	}
	return nil
}

// visits is what the visitors have done in a round.
type visits struct {
	took []time.Duration // each from connecting to having left, sorted
	late time.Duration   // how far behind its pace one has come
	span time.Duration
}

// keepVisiting has the visitors come at their pace, each on a beat of its own,
// until ctx ends; it returns when all have left.
func keepVisiting(ctx context.Context, s *site, all []visitor, holds int) (*visits, error) {
	between := time.Minute * time.Duration(len(all)) / visitPace
	began, out := time.Now(), &visits{}
	errs := make([]error, len(all))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, v := range all {
		wg.Go(func() {
			due := began.Add(between * time.Duration(i) / time.Duration(len(all)))
			for turn := 0; ; turn++ {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				start := time.Now()
				if errs[i] = v.visit(s, turn, holds); errs[i] != nil {
					return
				}
				mu.Lock()
				out.took = append(out.took, time.Since(start))
				out.late = max(out.late, start.Sub(due))
				mu.Unlock()
				due = due.Add(between)
			}
		})
	}
	wg.Wait()
	out.span = time.Since(began)
	slices.Sort(out.took)
	return out, errors.Join(errs...)
}
