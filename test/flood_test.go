// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/tls"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	_ "modernc.org/sqlite"
)

// The flood, and what the node may be asked for meanwhile.
const (
	floodMessage  = 1 << 20 // octets
	floodMemory   = 512 << 20
	fetchLimit    = 200 * time.Millisecond // at the 99th percentile
	deadlineLimit = 5 * time.Second
	recoveryLimit = 10 * time.Second
)

// floodSize is how many connections flood, and for how long; floodDeadline how far
// off the deadlines are then that the flood must not delay.
func floodSize() (connections int, lasts, floodDeadline time.Duration) {
	if long() {
		return 500, 20 * time.Second, 25 * time.Second
	}
	return 250, 8 * time.Second, 12 * time.Second
}

// flood is a node that is asked for more than it can do.
type flood struct {
	t        *testing.T
	d        *demo
	addr     string
	cfg      *tls.Config
	password string
	stop     chan struct{}

	mu      sync.Mutex
	sent    []*sending     // answered 250
	refused map[string]int // how often, by the reply's beginning
	ids     map[string]bool
}

// TestFlood is issue 4's fourth point on the real binary: 500 connections (250
// without PECD_LONG) that send large messages as fast as they can. Memory stays bounded, whoever is
// refused gets 4xx before his message is sent and nothing of it is kept, what is
// accepted is complete, mail is read without delay, deadlines are kept, and
// with the end of the flood everybody is served again.
func TestFlood(t *testing.T) {
	_, lasts, deadline := floodSize()
	d := newDemo(t, "--quiet", "--all-tier", "xl")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// From one address, and with room for 64 messages at once.
	text = append(text, "\n[limits]\nconnections_per_ip = 1000\nmessages_at_once = 64\nbacklog = 500\nfree_bytes = 0\n"...)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	node := startServe(t, d, "alfa.toml")
	reader := d.standard(t, "ALFA", 40)
	for range 30 {
		m := letter{id: newMsgID(), from: d.standard(t, "ALFA", 39).address, to: []string{reader.address}, subject: "Da leggere", text: "testo"}
		d.submit(t, d.standard(t, "ALFA", 39), m.to, m.bytes())
	}
	// beta is not there: nobody takes these in charge.
	silent := d.standard(t, "ALFA", 38)
	for range 20 {
		m := letter{id: newMsgID(), from: silent.address, to: []string{d.standard(t, "BETA", 1).address}, subject: "Senza risposta", text: "testo"}
		d.submit(t, silent, m.to, m.bytes())
	}
	if err := node.terminate(); err != nil {
		t.Fatal(err)
	}
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	f := &flood{
		t: t, d: d, addr: d.get(t, "ALFA_SUBMISSION"), cfg: d.tls(t, host), password: d.password(t), stop: make(chan struct{}),
		refused: map[string]int{}, ids: map[string]bool{},
	}
	node = startServe(t, d, "alfa.toml")
	conns := f.open()
	if err := node.terminate(); err != nil { // they are logged in: passwords that were checked are known from here on
		t.Fatal(err)
	}
	for _, c := range conns {
		c.Close()
	}
	due := moveDeadlines(t, filepath.Join(d.dir, "alfa", "store", "pecd.db"), deadline)
	node = startServe(t, d, "alfa.toml")
	conns = f.open()

	in := d.openInbox(t, reader)
	in.refresh()
	var reading, sending sync.WaitGroup
	var times []time.Duration
	reading.Go(func() { times = f.read(in) })
	for i, c := range conns {
		sending.Go(func() { f.send(i, c) })
	}
	time.Sleep(max(lasts, time.Until(due)+5*time.Second))
	close(f.stop)
	ended := time.Now()
	// At once, and while the last of the flood is being answered.
	once := letter{id: newMsgID(), from: silent.address, to: []string{reader.address}, subject: "Dopo la piena", text: "testo"}
	until(t, recoveryLimit, "a submission after the flood", func() (bool, string) {
		s, err := d.trySubmission(t, silent)
		if err != nil {
			return false, err.Error()
		}
		defer s.Close()
		if r := s.envelope(silent.address, once.to); !r.positive() {
			return false, r.String()
		}
		r := s.data(bytes.NewReader(once.bytes()))
		return r.code == 250, r.String()
	})
	t.Logf("served again after %v", time.Since(ended).Round(time.Millisecond))
	sending.Wait()
	reading.Wait()

	f.judgeReading(times)
	f.judgeDeadlines(silent, due)
	peak := peakMemory(t, node.cmd.Process.Pid)
	t.Logf("peak resident memory %.0f MB", float64(peak)/(1<<20))
	if peak > floodMemory {
		t.Errorf("peak resident memory %d, limit %d", peak, floodMemory)
	}
	f.judgeMail()
	if err := node.terminate(); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, config)
}

// who is the account of a connection: the demo has 110 ordinary mailboxes.
func (f *flood) who(i int) account {
	if i %= 100; i < 30 {
		return f.d.standard(f.t, "ALFA", 1+i)
	}
	return f.d.box(f.t, "ALFA", fmt.Sprintf("strutturata%03d", i-29))
}

// open logs in on all connections.
func (f *flood) open() []*smtpConn {
	f.t.Helper()
	connections, _, _ := floodSize()
	conns := make([]*smtpConn, connections)
	var wg sync.WaitGroup
	var next, failed atomic.Int64
	for range 8 {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < connections; i = next.Add(1) - 1 {
				c, err := openSubmission(f.addr, f.cfg, f.who(int(i)).address, f.password)
				if err != nil {
					failed.Add(1)
					continue
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		f.t.Fatalf("%d of %d connections could not be made", failed.Load(), connections)
	}
	return conns
}

// send sends on one connection until the flood ends.
func (f *flood) send(i int, c *smtpConn) {
	defer c.Close()
	from := f.who(i)
	to := []account{f.who(i + 1), f.who(i + 7)}
	for {
		select {
		case <-f.stop:
			return
		default:
		}
		s := &sending{id: newMsgID(), from: from, to: to}
		m := letter{id: s.id, from: from.address, to: []string{to[0].address, to[1].address}, subject: "Piena", text: "x"}
		head := bytes.TrimSuffix(m.bytes(), []byte("x"))
		r := c.envelope(from.address, m.to)
		if r.positive() {
			r = c.data(multi(head, floodMessage-int64(len(head))))
		} else if r.code == 0 {
			return
		}
		f.note(s, r)
		if r.code != 250 {
			if r = c.cmd("RSET"); r.code != 250 {
				f.note(&sending{id: "rset"}, r)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (f *flood) note(s *sending, r reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.answered = r.code == 250; s.answered {
		f.sent = append(f.sent, s)
		f.ids[s.id] = true
		return
	}
	f.refused[fmt.Sprintf("%.9s", r.String())]++
}

// read fetches what a mail client shows, again and again.
func (f *flood) read(in *inbox) (times []time.Duration) {
	options := &imap.FetchOptions{Flags: true, Envelope: true, RFC822Size: true, InternalDate: true}
	set := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 30}}
	for {
		select {
		case <-f.stop:
			return times
		case <-time.After(20 * time.Millisecond):
		}
		began := time.Now()
		got, err := in.client.Fetch(set, options).Collect()
		if err != nil || len(got) != 30 {
			f.t.Errorf("FETCH: %d, %v", len(got), err)
			return times
		}
		times = append(times, time.Since(began))
	}
}

// judgeReading wants the 99th percentile within the limit, in the middle one of
// five parts of the flood: a machine that stands still for half a second is not
// the node's doing.
func (f *flood) judgeReading(times []time.Duration) {
	const parts = 5
	if len(times) < 50 {
		f.t.Fatalf("only %d FETCHes during the flood", len(times))
	}
	var p99 []time.Duration
	for part := range slices.Chunk(times, (len(times)+parts-1)/parts) {
		p99 = append(p99, quantile(part, 0.99))
	}
	f.t.Logf("%d FETCHes of 30 envelopes during the flood: p50 %v, p99 %v, longest %v; p99 of its parts %v",
		len(times), quantile(times, 0.5), quantile(times, 0.99), slices.Max(times), p99)
	if middle := quantile(p99, 0.5); middle > fetchLimit {
		f.t.Errorf("p99 of FETCH %v, limit %v", middle, fetchLimit)
	}
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(q*float64(len(sorted)-1))]
}

// judgeDeadlines wants the notices of elapsed time soon after they were due.
func (f *flood) judgeDeadlines(silent account, due time.Time) {
	in := f.d.openInbox(f.t, silent)
	notices := in.wait(minute, 20, "notices of elapsed time", func(m stored) bool {
		return m.header.Get("X-Ricevuta") == "preavviso-errore-consegna"
	})
	var set imap.UIDSet
	for _, m := range notices {
		set.AddNum(m.uid)
	}
	got, err := in.client.Fetch(set, &imap.FetchOptions{UID: true, InternalDate: true}).Collect()
	if err != nil {
		f.t.Fatal(err)
	}
	latest := time.Duration(0)
	for _, m := range got {
		latest = max(latest, m.InternalDate.Sub(due))
	}
	f.t.Logf("the last of %d notices of elapsed time came %v after it was due", len(got), latest)
	if latest > deadlineLimit {
		f.t.Errorf("the last notice came %v after it was due, limit %v", latest, deadlineLimit)
	}
}

// judgeMail wants everything accepted to be complete, and nothing else there.
func (f *flood) judgeMail() {
	t := f.t
	n := 0
	for what, times := range f.refused {
		t.Logf("%d × %s", times, what)
		n += times
		// 421: who has asked a hundred times is told to go.
		if !strings.HasPrefix(what, "451 4.3.2") && !strings.HasPrefix(what, "421 4.7.0") {
			t.Errorf("%d × %s: not an honest refusal", times, what)
		}
	}
	t.Logf("%d accepted, %d refused", len(f.sent), n)
	if len(f.sent) == 0 || n == 0 {
		t.Errorf("%d accepted, %d refused: that was no flood", len(f.sent), n)
	}
	type tally struct{ accepted, outcomes, envelopes int }
	tallies := map[string]*tally{}
	count := func() (missing int) {
		clear(tallies)
		for i := range 100 {
			in := f.d.openInbox(t, f.who(i))
			for _, m := range in.refresh() {
				id := m.header.Get("X-Riferimento-Message-Id")
				if m.subject() == "" || !strings.Contains(m.subject(), "Piena") {
					continue
				}
				if tallies[id] == nil {
					tallies[id] = &tally{}
				}
				switch m.header.Get("X-Ricevuta") + m.header.Get("X-Trasporto") {
				case "accettazione":
					tallies[id].accepted++
				case "avvenuta-consegna":
					tallies[id].outcomes++
				case "posta-certificata":
					tallies[id].envelopes++
				}
			}
			in.client.Close()
		}
		for _, s := range f.sent {
			if got := tallies[s.id]; got == nil || *got != (tally{1, 2, 2}) {
				missing++
			}
		}
		return missing
	}
	until(t, 2*minute, "everything accepted is complete", func() (bool, string) {
		missing := count()
		return missing == 0, fmt.Sprintf("%d of %d incomplete", missing, len(f.sent))
	})
	for id := range tallies {
		if !f.ids[id] {
			t.Errorf("%s was refused, and is there: %+v", id, tallies[id])
		}
	}
}

// moveDeadlines has the first notice of every waiting message be due in a moment:
// the store of a node that is stopped, and was for half a day.
func moveDeadlines(t *testing.T, database string, in time.Duration) time.Time {
	t.Helper()
	db, err := sql.Open("sqlite", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	due := time.Now().Add(in)
	for _, q := range []string{
		"UPDATE jobs SET due = ?1 WHERE kind = 'deadline'",
		"UPDATE transactions SET at = ?1 - 43200000000000",
	} {
		if _, err := db.Exec(q, due.UnixNano()); err != nil {
			t.Fatal(err)
		}
	}
	return due
}
