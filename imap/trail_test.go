// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"pecd/clock"
	"pecd/ledger"
	"pecd/storage"
	"pecd/trail"
)

// late commits to a store that is made later.
type late struct{ store storage.Store }

func (l *late) Commit(ctx context.Context, s *storage.Step) error { return l.store.Commit(ctx, s) }

// recording gives a fixture a recorder, and returns what ends it and tells what
// it wrote.
func recording(t *testing.T, shared bool) (option func(*Config, *timing), written func(f *fixture) []ledger.Event) {
	to := new(late)
	r := trail.New(trail.Config{Store: to, Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler),
		Shared: func(context.Context, string) (bool, error) { return shared, nil }})
	return func(c *Config, _ *timing) { to.store, c.Trail = c.Store, r }, func(f *fixture) []ledger.Event {
		ended, end := context.WithCancel(context.Background())
		end()
		var wg sync.WaitGroup
		wg.Go(func() { r.Run(ended) })
		wg.Wait()
		var all []ledger.Event
		err := f.store.Records(context.Background(), 0, func(r storage.Record) error {
			e, err := ledger.Decode(r.Data)
			all = append(all, e)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return all
	}
}

func TestLoginsAreRecorded(t *testing.T) {
	option, written := recording(t, true)
	f := newFixture(t, option)
	s := f.script()
	s.fails("NO", "LOGIN %s sbagliata", testUser)
	s.ok("LOGIN %s %q", testUser, testPassword)
	f.script().ok("LOGIN %s %q", testUser, testPassword)
	var got []string
	for _, e := range written(f) {
		got = append(got, fmt.Sprint(e.Kind, " ", e.Protocol, " ", e.User, " ", e.Peer, " ", e.Mailbox, " ", e.Count))
	}
	want := []string{
		"access imap " + testUser + " 127.0.0.1 " + testUser + " 0", "access imap " + testUser + " 127.0.0.1 " + testUser + " 0",
		"access.denied imap  127.0.0.1  0",
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
