// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// load is clients of all kinds, who come back when the server is gone.
type load struct {
	t       testing.TB
	site    *site
	books   *books
	keepers []*keeper
	pause   time.Duration // mean, between two messages of a client
	mu      sync.Mutex
	rush    chan struct{} // closed while nobody pauses
	number  atomic.Int64
	cancel  context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup
	moved   atomic.Int64
}

func newLoad(t testing.TB, s *site, rnd *rand.Rand, pause time.Duration) *load {
	l := &load{t: t, site: s, books: newBooks(), pause: pause, rush: make(chan struct{})}
	for _, n := range s.nodes {
		for i := range keepers {
			// Each load has mailboxes of its own: its keepers know all that is in them.
			l.keepers = append(l.keepers, newKeeper(t, n, n.keeper(s.loads*keepers+i+1), fork(rnd)))
		}
	}
	s.loads++
	return l
}

func fork(rnd *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64())) }

func (l *load) begin(rnd *rand.Rand) {
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for _, n := range l.site.nodes {
		for i := range senders {
			c := &submitter{load: l, n: n, login: n.box(i + 1), rnd: fork(rnd)}
			l.client(c.rnd, c.step)
		}
		m := &stranger{load: l, n: n, rnd: fork(rnd)}
		l.client(m.rnd, m.step)
		for i := range movers {
			m := &mover{load: l, n: n, login: n.box(senders + i + 1), rnd: fork(rnd)}
			l.client(m.rnd, m.step)
		}
	}
	for _, k := range l.keepers {
		l.client(k.rnd, k.step)
	}
}

// hurry has nobody pause, until calm: whoever kills then finds everybody at work.
func (l *load) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.rush)
}

func (l *load) calm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rush = make(chan struct{})
}

func (l *load) hurried() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rush
}

// end stops the clients; what they are at is finished first.
func (l *load) end() {
	l.cancel()
	l.wg.Wait()
}

// client repeats step, with pauses, until the load ends. An error is a lost or
// refused connection: everybody comes back soon.
func (l *load) client(rnd *rand.Rand, step func() error) {
	l.wg.Go(func() {
		for l.ctx.Err() == nil {
			wait, rush := time.Duration(rnd.ExpFloat64()*float64(l.pause)), l.hurried()
			if err := step(); err != nil {
				wait, rush = 20*time.Millisecond, nil
			}
			select {
			case <-l.ctx.Done():
			case <-rush:
			case <-time.After(min(wait, 10*l.pause)):
			}
		}
	})
}

// submitter sends certified mail from one mailbox.
type submitter struct {
	*load
	n     *node
	login string
	rnd   *rand.Rand
	c     *smtp.Client
}

func (u *submitter) step() (err error) {
	if u.c == nil {
		if u.c, err = u.n.openSubmission(u.login); err != nil {
			u.c = nil
			return err
		}
	}
	s, form := u.compose()
	if err = u.books.send(u.c, s, s.letter(u.rnd, form, pickSize(u.rnd))); err != nil || u.rnd.IntN(8) == 0 {
		u.c.Close()
		u.c = nil
	}
	return err
}

// compose chooses recipients: here and elsewhere, few and many, with and without a mailbox.
func (u *submitter) compose() (*sending, string) {
	id := fmt.Sprintf("<%s.%d.%d@client.example>", u.n.name, u.number.Add(1), u.rnd.Uint32())
	s := &sending{id: id, from: u.login, at: u.n, subject: "Invio " + id[1:len(id)-1], wrong: u.rnd.IntN(12) == 0}
	one, many := 1, 1+u.rnd.IntN(3)
	if u.rnd.IntN(20) == 0 {
		many = 8 + u.rnd.IntN(boxes-8)
	}
	here, there := u.n, u.site.other(u.n)
	add := func(n *node, count int) {
		for _, i := range u.rnd.Perm(boxes)[:count] {
			s.to = append(s.to, recipient{n.box(i + 1), certified, n})
		}
	}
	switch u.rnd.IntN(6) {
	case 0, 1:
		add(here, one)
	case 2, 3:
		add(there, one)
	case 4:
		add(here, many)
		add(there, many)
	case 5:
		add(there, many)
		s.to = append(s.to, recipient{"carla@" + outsideDomain, ordinary, nil})
	}
	if u.rnd.IntN(10) == 0 {
		s.to = append(s.to, recipient{"nessuno@" + there.domain, nobody, there})
	}
	return s, []string{"", "", "completa", "breve", "sintetica"}[u.rnd.IntN(5)]
}

// stranger sends ordinary mail to the incoming point.
type stranger struct {
	*load
	n   *node
	rnd *rand.Rand
}

func (m *stranger) step() error {
	c, err := m.n.openMX(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	id := fmt.Sprintf("<mx.%d.%d@%s>", m.number.Add(1), m.rnd.Uint32(), outsideDomain)
	s := &sending{id: id, from: "mario@" + outsideDomain, at: m.n, mx: true, subject: "Posta " + id[1:len(id)-1]}
	for _, i := range m.rnd.Perm(boxes)[:1+m.rnd.IntN(3)] {
		s.to = append(s.to, recipient{m.n.box(i + 1), certified, m.n})
	}
	return m.books.send(c, s, s.letter(m.rnd, "", pickSize(m.rnd)))
}

// mover moves what comes in between the two folders of a mailbox.
type mover struct {
	*load
	n     *node
	login string
	rnd   *rand.Rand
	c     *imapclient.Client
}

func (m *mover) step() (err error) {
	if m.c == nil {
		if m.c, err = m.n.openIMAP(m.login); err != nil {
			m.c = nil
			return err
		}
		_ = m.c.Create("Archivio", nil).Wait() // it may be there
	}
	if err = m.move(); err != nil {
		m.c.Close()
		m.c = nil
	}
	return err
}

func (m *mover) move() error {
	from, to := "INBOX", "Archivio"
	if m.rnd.IntN(4) == 0 {
		from, to = to, from
	}
	if _, err := m.c.Select(from, nil).Wait(); err != nil {
		return err
	}
	found, err := m.c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return err
	}
	uids := found.AllUIDs()
	if len(uids) == 0 {
		return nil
	}
	at := m.rnd.IntN(len(uids))
	some := uids[at:min(len(uids), at+1+m.rnd.IntN(4))]
	if err := m.c.Store(imap.UIDSetNum(some...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}, Silent: true}, nil).Close(); err != nil {
		return err
	}
	if _, err := m.c.Move(imap.UIDSetNum(some...), to).Wait(); err != nil {
		return err
	}
	m.moved.Add(1)
	return nil
}
