// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/storage"
)

func (u *users) revoke(login string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.grants, login)
}

// idleClock says when an idle session has told what there was and waits.
type idleClock struct {
	*clock.Manual
	waits chan struct{}
}

func newIdleClock() idleClock {
	return idleClock{clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)), make(chan struct{}, 16)}
}

func (c idleClock) After(d time.Duration) (<-chan time.Time, func()) {
	ch, stop := c.Manual.After(d)
	if d == recheckIdle {
		c.waits <- struct{}{}
	}
	return ch, stop
}

// A login that is taken away ends its sessions before they get to see anything
// more, whatever they are doing.
func TestLoginEnds(t *testing.T) {
	at := newIdleClock()
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = at })
	const bye = `^\* BYE \[EXPIRED\] accesso revocato / access was revoked$`
	f.deliver("INBOX", message("uno"))
	working, idle, silent := f.open("INBOX"), f.open("INBOX"), f.open("INBOX")
	for _, s := range []*script{idle, silent} {
		s.send("i IDLE\r\n")
		s.expect(`^\+ `)
		<-at.waits
	}
	f.deliver("INBOX", message("due"))
	for _, s := range []*script{idle, silent} { // what they look for when IDLE begins is behind them
		s.expect(`^\* 2 EXISTS$`)
	}
	f.users.revoke(testUser)
	working.send("a FETCH 1 BODY[]\r\n")
	working.expect(bye)
	working.closed()
	f.deliver("INBOX", message("tre"))
	idle.expect(bye)
	silent.expect(bye) // both saw the delivery
}

func TestLoginEndsWhileNothingHappens(t *testing.T) {
	at := newIdleClock()
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = at })
	s := f.open("INBOX")
	s.send("i IDLE\r\n")
	s.expect(`^\+ `)
	<-at.waits
	f.users.revoke(testUser)
	at.Advance(recheckIdle)
	s.expect(`^\* BYE \[EXPIRED\]`)
}

func TestMailboxClosedMeanwhile(t *testing.T) {
	at := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = at })
	s := f.open("INBOX")
	f.commit(&storage.PutMailbox{Mailbox: storage.Mailbox{ID: f.mailbox, Address: testUser, Domain: "alfa.example", Tier: "t" + testUser, State: storage.MailboxClosed}})
	at.Advance(recheck)
	s.send("a NOOP\r\n")
	s.expect(`^\* BYE \[EXPIRED\] casella non attiva / mailbox disabled$`)
	s.closed()
}

// endingStore has a login end, and time pass, as soon as a message was handed out.
type endingStore struct {
	storage.Store
	end func()
}

func (s endingStore) Messages(ctx context.Context, id storage.FolderID, first, last uint32, fn func(storage.Message) error) error {
	return s.Store.Messages(ctx, id, first, last, func(m storage.Message) error {
		err := fn(m)
		s.end()
		return err
	})
}

// A FETCH of many messages, which a client may draw out, ends with its login.
func TestLoginEndsDuringFetch(t *testing.T) {
	at := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	var f *fixture
	f = newFixture(t, func(c *Config, _ *timing) {
		c.Clock = at
		c.Store = endingStore{c.Store, func() { f.users.revoke(testUser); at.Advance(recheck) }}
	})
	f.deliverSome(3)
	s := f.open("INBOX")
	s.send("a FETCH 1:3 BODY.PEEK[]\r\n")
	got := ""
	for !strings.HasPrefix(got, "a ") && !strings.HasPrefix(got, "* BYE") {
		if got = s.line(); strings.HasPrefix(got, "* 2 FETCH") {
			t.Error("read after the login had ended")
		}
	}
	if got != "* BYE [EXPIRED] accesso revocato / access was revoked" {
		t.Error(got)
	}
	s.closed()
}
