// SPDX-License-Identifier: EUPL-1.2

package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)

// log is a store of records.
type log struct {
	mu      sync.Mutex
	broken  bool
	commits int
	events  []ledger.Event
}

func (l *log) Commit(_ context.Context, s *storage.Step) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return errors.New("no disk")
	}
	l.commits++
	for _, op := range s.Ops {
		r := op.(*storage.AppendRecord).Record
		e, err := ledger.Decode(r.Data)
		if err != nil || string(e.Kind) != r.Event || e.Mailbox != r.Mailbox || !e.At.Equal(r.At) {
			return fmt.Errorf("%+v: %w", r, err)
		}
		l.events = append(l.events, e)
	}
	return nil
}

// take returns what was written since, in a sorted line each.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.events {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %s %s %s %s %s n%d %s %s %d", e.Kind, e.Protocol, e.User, e.Program, e.Peer, e.Mailbox, e.Count, e.Detail, e.UIDs, e.Messages), " "))
	}
	l.events = nil
	slices.Sort(lines)
	return lines
}

type fixture struct {
	*Recorder
	log *log
	clk *clock.Manual
}

func newFixture(t *testing.T) fixture {
	f := fixture{log: new(log), clk: clock.NewManual(start)}
	f.Recorder = New(Config{Store: f.log, Clock: f.clk, Logger: slog.New(slog.DiscardHandler), Shared: func(_ context.Context, mailbox string) (bool, error) {
		switch mailbox {
		case "solo@a.example":
			return false, nil
		case "rotto@a.example":
			return false, errors.New("no directory")
		}
		return true, nil
	}})
	return f
}

func (f fixture) pass(d time.Duration) {
	f.clk.Advance(d)
	f.flush(context.Background(), false)
}

var (
	ctx   = context.Background()
	anna  = Who{Login: "anna", Channel: ledger.IMAP, Remote: "192.0.2.1"}
	robot = Who{Login: "anna", Program: "Protocollo", Channel: ledger.POP3, Remote: "192.0.2.7"}
)

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func TestLoginsAreCountedExactly(t *testing.T) {
	f := newFixture(t)
	login := func(n int, who Who) {
		t.Helper()
		for range n {
			if err := f.Access(ctx, who, "gruppo@a.example"); err != nil {
				t.Fatal(err)
			}
		}
	}
	login(1000, robot)
	login(1, anna)
	f.pass(time.Second)
	want(t, f.log.take(), "access imap anna  192.0.2.1 gruppo@a.example n0   0", "access pop anna Protocollo 192.0.2.7 gruppo@a.example n0   0")
	login(500, robot)
	login(1, anna)
	f.pass(58 * time.Second)
	want(t, f.log.take())
	f.pass(time.Second)
	want(t, f.log.take(), "access imap anna  192.0.2.1 gruppo@a.example n0   0", "access pop anna Protocollo 192.0.2.7 gruppo@a.example n1499   0")
	login(3, robot)
	f.pass(time.Minute)
	want(t, f.log.take(), "access pop anna Protocollo 192.0.2.7 gruppo@a.example n3   0")
	f.pass(time.Minute) // nothing: forgotten
	want(t, f.log.take())
	if len(f.logins.of) != 0 {
		t.Errorf("%d logins are remembered", len(f.logins.of))
	}
	login(2, robot)
	f.flush(ctx, true) // the end: nothing is lost
	want(t, f.log.take(), "access pop anna Protocollo 192.0.2.7 gruppo@a.example n0   0", "access pop anna Protocollo 192.0.2.7 gruppo@a.example n0   0")
}

func TestManyKindsOfLoginsAreAllWritten(t *testing.T) {
	f := newFixture(t)
	n := 0
	for i := range maxAccesses + 100 {
		for range 2 {
			who := robot
			who.Remote = fmt.Sprint("host", i)
			if err := f.Access(ctx, who, ""); err != nil {
				t.Fatal(err)
			}
		}
		if i%1000 == 0 {
			f.pass(time.Millisecond)
		}
	}
	f.flush(ctx, true)
	for _, e := range f.log.events {
		n += int(max(e.Count, 1))
	}
	if n != 2*(maxAccesses+100) {
		t.Errorf("%d logins counted", n)
	}
}

func TestAnAttackDoesNotFillTheLog(t *testing.T) {
	f := newFixture(t)
	const attempts = 50_000
	for i := range attempts {
		f.Denied(Who{Channel: ledger.IMAP, Remote: fmt.Sprint("host", i)}, "why")
		if i == attempts/2 {
			f.flush(ctx, false)
		}
	}
	if err := f.Access(ctx, anna, ""); err != nil {
		t.Fatal(err)
	}
	f.flush(ctx, true)
	n, records := 0, len(f.log.events)
	for _, e := range f.log.events {
		if e.Kind == ledger.AccessDenied {
			n += int(max(e.Count, 1))
		}
	}
	if n != attempts || records > maxDenied+10 {
		t.Errorf("%d attempts in %d records", n, records)
	}
	if got := f.log.take(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, others+"  0") }) {
		t.Error("the others are not told")
	}
}

func TestReadingsAreGathered(t *testing.T) {
	f := newFixture(t)
	read := func(mailbox string, uids ...uint32) {
		t.Helper()
		if err := f.Read(ctx, anna, Messages{mailbox, "INBOX", 7, uids}); err != nil {
			t.Fatal(err)
		}
	}
	read("solo@a.example", 1, 2)
	read("rotto@a.example", 9) // when it is not known, it is recorded
	for uid := uint32(10_000); uid > 0; uid-- {
		read("gruppo@a.example", uid, uid)
	}
	read("gruppo@a.example")
	f.pass(time.Second)
	want(t, f.log.take(), "message.read imap anna  192.0.2.1 gruppo@a.example n0  1:10000 10000", "message.read imap anna  192.0.2.1 rotto@a.example n0  9 1")
	if f.log.commits != 1 {
		t.Errorf("%d commits", f.log.commits)
	}
	var nobody *Recorder
	if err := errors.Join(nobody.Read(ctx, anna, Messages{}), nobody.Access(ctx, anna, "")); err != nil {
		t.Error(err)
	}
	nobody.Denied(anna, "")
}

func TestWhatCannotBeWrittenWaits(t *testing.T) {
	f := newFixture(t)
	f.log.broken = true
	for i := range maxWaiting {
		if err := f.Access(ctx, Who{Login: fmt.Sprint(i)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	f.pass(time.Second)
	f.Denied(anna, "does not wait")
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := f.Access(short, anna, ""); !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
	in := make(chan error)
	go func() { in <- f.Access(ctx, anna, "") }()
	f.log.mu.Lock()
	f.log.broken = false
	f.log.mu.Unlock()
	f.pass(time.Second)
	if err := <-in; err != nil {
		t.Error(err)
	}
	f.pass(time.Minute)
	if got := f.log.take(); len(got) != maxWaiting+2 {
		t.Errorf("%d records", len(got))
	}
}

// TestAnAttackOnABrokenStoreIsCounted: while nothing can be written, memory does
// not grow with the time that it takes, and no attempt is forgotten.
func TestAnAttackOnABrokenStoreIsCounted(t *testing.T) {
	f := newFixture(t)
	f.log.broken = true
	const kinds, minutes = 4000, 30
	for range minutes {
		for i := range 2 * kinds {
			f.Denied(Who{Channel: ledger.IMAP, Remote: fmt.Sprint("host", i%kinds)}, "why")
		}
		f.pass(window)
	}
	if n := len(f.waiting); n > maxWaiting+kinds {
		t.Errorf("%d records wait", n)
	}
	f.log.broken = false
	f.flush(ctx, true)
	n := 0
	for _, e := range f.log.events {
		n += int(max(e.Count, 1))
	}
	if n != 2*kinds*minutes {
		t.Errorf("%d attempts on record of %d", n, 2*kinds*minutes)
	}
}

func TestRunWritesWhatIsLeft(t *testing.T) {
	f := newFixture(t)
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(running) })
	for range 3 {
		if err := f.Access(ctx, robot, ""); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	want(t, f.log.take(), "access pop anna Protocollo 192.0.2.7  n0   0", "access pop anna Protocollo 192.0.2.7  n2   0")
}

func TestDoing(t *testing.T) {
	const n = 5000
	sparse := func(first uint32) (uids []uint32) {
		for i := range uint32(n) {
			uids = append(uids, first+2*i)
		}
		return uids
	}
	dense := func(first uint32) (uids []uint32) {
		for i := range uint32(n) {
			uids = append(uids, first+i)
		}
		return uids
	}
	for name, h := range map[string]storage.Handled{
		"to one range":      {UIDs: sparse(1_000_000_000), Validity: 7, To: dense(1), ToValidity: 8},
		"to longer numbers": {UIDs: sparse(1), Validity: 7, To: sparse(1_000_000_000), ToValidity: 8},
		"from one range":    {UIDs: dense(1), Validity: 7, To: sparse(1_000_000_000), ToValidity: 8},
	} {
		records := Doing(start, ledger.MessageMoved, anna, Place{"a@a.example", "INBOX"}, Place{"b@a.example", "Fatture/2026"})(h)
		var from, to []uint32
		for _, r := range records {
			e, err := ledger.Decode(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != ledger.MessageMoved || e.User != "anna" || e.Mailbox != "a@a.example" || e.To != "b@a.example" || e.Detail != "Fatture/2026" ||
				e.Folder != "INBOX" || e.UIDValidity != 7 || e.ToValidity != 8 || len(e.UIDs) > 4000 || len(e.ToUIDs) > 4000 {
				t.Errorf("%s: %+v", name, e)
			}
			before := len(from)
			from, to = append(from, numbers(t, e.UIDs)...), append(to, numbers(t, e.ToUIDs)...)
			if len(from) != len(to) || len(from)-before != int(e.Messages) {
				t.Errorf("%s: %d of %d at record of %d", name, len(to), len(from), e.Messages)
			}
		}
		if len(records) < 2 || !slices.Equal(from, h.UIDs) || !slices.Equal(to, h.To) {
			t.Errorf("%s: %d records, %d UIDs, %d there", name, len(records), len(from), len(to))
		}
	}
	if s, n := sequence(sorted([]uint32{9, 1, 2, 3, 7, 3, 10})); s != "1:3,7,9:10" || n != 6 {
		t.Errorf("%q, %d", s, n)
	}
}

// numbers reads a sequence set.
func numbers(t *testing.T, set string) (all []uint32) {
	t.Helper()
	for part := range strings.SplitSeq(set, ",") {
		var first, last uint32
		if _, err := fmt.Sscanf(part, "%d:%d", &first, &last); err != nil {
			if _, err := fmt.Sscanf(part, "%d", &first); err != nil {
				t.Fatal(set, err)
			}
			last = first
		}
		for uid := first; uid <= last; uid++ {
			all = append(all, uid)
		}
	}
	return all
}

// TestPurged: each message that was removed for good is named, with its octets,
// however many records that takes.
func TestPurged(t *testing.T) {
	h := storage.Handled{Validity: 7}
	want := int64(0)
	for i := range uint32(1000) {
		h.UIDs = append(h.UIDs, 4_000_000_000+3*i)
		want += int64(i)
	}
	records := Purged(start, Place{"a@a.example", "Eliminati"}, start.Add(-time.Hour), func(uid uint32) int64 { return int64(uid-4_000_000_000) / 3 })(h)
	var named []uint32
	octets := int64(0)
	for _, r := range records {
		e, err := ledger.Decode(r.Data)
		if err != nil || e.Kind != ledger.RecoverablePurged || e.Folder != "Eliminati" || e.UIDValidity != 7 || e.Mailbox != "a@a.example" || !strings.Contains(e.Detail, "2026-06-03T09:00:00Z") {
			t.Errorf("%+v, %v", e, err)
		}
		named, octets = append(named, numbers(t, e.UIDs)...), octets+e.Size
	}
	if len(records) < 2 || !slices.Equal(named, h.UIDs) || octets != want {
		t.Errorf("%d records name %d messages of %d octets", len(records), len(named), octets)
	}
}

// TestAReusedNameIsAnotherProgram: logins by two application passwords of one
// name are not counted together.
func TestAReusedNameIsAnotherProgram(t *testing.T) {
	f := newFixture(t)
	for id := range int64(2) {
		who := robot
		who.ID = id + 1
		for range 2 {
			if err := f.Access(ctx, who, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.flush(ctx, true)
	n := map[int64]int64{}
	for _, e := range f.log.events {
		n[e.ProgramID] += max(e.Count, 1)
	}
	if n[1] != 2 || n[2] != 2 {
		t.Errorf("logins by number: %v", n)
	}
}
