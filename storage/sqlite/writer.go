// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// Bounds of one commit of the engine.
const (
	maxGroup      = 256
	maxGroupBytes = 8 << 20
	// A step of more rows has a transaction of its own: inside a savepoint the
	// engine's bookkeeping grows with the square of what is changed.
	maxSharedRows = 500
	// While many steps come, each commit waits until pace after the last one
	// began, or until fullGroup steps are there: what a commit costs by itself is
	// then shared by more of them. Where fewer than busyGroup shared the last
	// one, or no other step comes within a moment, nobody is kept waiting.
	pace      = 4 * time.Millisecond
	moment    = time.Millisecond
	busyGroup = 4
	fullGroup = 48
	// After a step that failed so many groups are run with savepoints.
	carefulGroups = 64
)

// Settings of the writing connection. checkpointPages bounds how much a
// checkpoint has to write; it runs in the writer when a commit passes it.
const (
	pageSize        = 8192
	checkpointPages = 2000
	journalLimit    = 32 << 20
)

// writer owns the one connection that writes. Its goroutine takes whatever
// steps are waiting and commits them together: a step alone is not held back for
// company, and of many nobody waits for an fsync alone.
type writer struct {
	*Store
	path     string
	machine  clock.System // paces commits: what the store dates goes by opts.Clock
	queue    chan *request
	chores   chan *chore
	finished chan struct{} // closed when the goroutine ends; nil: never started

	// Of the goroutine alone once it runs.
	eng *engine  // nil after a failed transaction, until the next group
	tip *logHead // end of the log; nil: to be read
	// vanished is how many ranges of expunged UIDs folders have, at most.
	vanished map[storage.FolderID]int
	// careful is how many groups are yet to be run with savepoints.
	careful int
	// copying is the copy of the database that is being made, nil for none.
	copying *DatabaseCopy
}

// request is one step waiting for its turn.
type request struct {
	changes []change
	viewer  string // storage.Viewer of the step
	bytes   int
	alone   bool        // too large to share a transaction
	taken   atomic.Bool // by the writer, or by a caller that gave up: theirs alone from then on
	done    chan struct{}

	// Set before done is closed.
	run    *run // what was applied; nil on failure
	err    error
	unsure bool // the outcome on disk is not known
}

func newWriter(s *Store, path string) (*writer, error) {
	w := &writer{Store: s, path: path, queue: make(chan *request, maxGroup), chores: make(chan *chore),
		vanished: make(map[storage.FolderID]int)}
	if err := w.connect(); err != nil {
		return nil, err
	}
	if err := migrate(w.eng, s.files.refuseFiles); err != nil {
		return nil, errors.Join(err, w.disconnect())
	}
	return w, nil
}

// connect opens the writing connection.
func (w *writer) connect() (err error) {
	if err := renewLog(w.path + "-wal"); err != nil {
		return err
	}
	if w.eng, err = openEngine(source(w.path)); err != nil {
		return err
	}
	// The order matters: the page size is fixed by the first write.
	for _, p := range []string{
		fmt.Sprintf("page_size = %d", pageSize),
		"journal_mode = WAL",
		"synchronous = FULL",
		"foreign_keys = ON",
		"temp_store = MEMORY", // savepoints, too: message contents never go to a temporary directory
		fmt.Sprintf("journal_size_limit = %d", journalLimit),
		fmt.Sprintf("wal_autocheckpoint = %d", checkpointPages),
		fmt.Sprintf("cache_size = -%d", w.opts.CacheBytes>>10),
	} {
		if _, err := w.eng.exec("PRAGMA " + p); err != nil {
			return errors.Join(fmt.Errorf("pragma %s: %w", p, err), w.disconnect())
		}
	}
	return nil
}

func (w *writer) disconnect() error {
	if w.eng == nil {
		return nil
	}
	// A copy that is lost this way is begun anew by whoever makes it.
	err := errors.Join(w.endCopy(), w.eng.close())
	w.eng, w.tip = nil, nil
	return err
}

func (w *writer) start() {
	w.finished = make(chan struct{})
	go w.loop()
}

// close ends the goroutine once everything handed in is done. Nobody may hand
// in steps any more.
func (w *writer) close() error {
	if w.finished != nil {
		close(w.queue)
		<-w.finished
	}
	return w.disconnect()
}

func (w *writer) loop() {
	defer close(w.finished)
	group := make([]*request, 0, maxGroup)
	var next *request // taken from the queue, but not for this group
	var until time.Time
	busy := false
	for {
		first := next
		if first == nil {
			var ok bool
			select {
			case c := <-w.chores:
				c.run()
				continue
			case first, ok = <-w.queue:
			}
			if !ok {
				return
			}
		}
		if busy && next == nil && !first.alone {
			w.gather(until)
		}
		until = w.machine.Now().Add(pace)
		group, next = w.collect(append(group[:0], first))
		busy = len(group) >= busyGroup
		w.commit(group)
		clear(group)
	}
}

// gather waits for company until an instant, until enough steps are waiting, or
// until nobody came for a moment.
func (w *writer) gather(until time.Time) {
	for n := len(w.queue); n < fullGroup-1; {
		left := until.Sub(w.machine.Now())
		if left <= 0 || left > pace {
			return // over, or the clock was set back
		}
		timer, stop := w.machine.After(min(left, moment))
		<-timer
		stop()
		before := n
		if n = len(w.queue); n == before {
			return
		}
	}
}

// collect adds to group what is waiting and can share its transaction.
func (w *writer) collect(group []*request) (all []*request, next *request) {
	bytes := group[0].bytes
	for len(group) < maxGroup && bytes < maxGroupBytes && !group[0].alone {
		select {
		case q, ok := <-w.queue:
			if !ok {
				return group, nil
			}
			if q.alone {
				return group, q
			}
			group = append(group, q)
			bytes += q.bytes
		default:
			return group, nil
		}
	}
	return group, nil
}

// commit applies the steps of group in one transaction and tells their callers.
func (w *writer) commit(group []*request) {
	group = slices.DeleteFunc(group, func(q *request) bool {
		return !q.taken.CompareAndSwap(false, true) // its caller gave up
	})
	if len(group) == 0 {
		return
	}
	if err := w.try(group); err != nil {
		w.files.health.note(partLog, err)
		w.opts.Logger.Error("commit failed", "steps", len(group), "error", err)
	}
	for _, q := range group {
		close(q.done)
	}
}

// try fills in the outcome of every step of group. The error is that of the
// transaction as a whole.
func (w *writer) try(group []*request) error {
	if err := w.begin(); err != nil {
		w.giveUp()
		return failAll(group, err, false)
	}
	applied, err := w.apply(group)
	if err != nil {
		// The engine lost the transaction (disk full): nothing of it is left, on
		// disk or elsewhere.
		w.giveUp()
		return failAll(group, fmt.Errorf("transaction lost: %w", err), false)
	}
	if !applied && !w.keeps(group) {
		w.tip = nil
		err := w.exec("ROLLBACK")
		if err != nil {
			w.giveUp()
		}
		return err
	}
	if err := w.exec("COMMIT"); err != nil {
		w.giveUp()
		return failAll(group, fmt.Errorf("outcome of the commit unknown: %w", err), true)
	}
	if applied {
		w.files.health.note(partLog, nil)
	}
	for _, q := range group {
		if q.run != nil {
			w.jobs.apply(q.run.jobs)
			w.watch.notify(q.run.folders)
		}
	}
	return nil
}

// failAll fails every step of group.
func failAll(group []*request, cause error, unsure bool) error {
	for _, q := range group {
		q.run, q.unsure = nil, unsure
		q.err = fault.New("sqlite.Commit", fault.Temporary, cause)
	}
	return cause
}

// begin starts a transaction, on a new connection where the last one was given up.
func (w *writer) begin() error {
	if w.eng == nil {
		if err := w.reconnect(); err != nil {
			return err
		}
	}
	return w.exec("BEGIN IMMEDIATE")
}

// reconnect opens a new connection in the place of one that was given up.
func (w *writer) reconnect() error {
	if err := w.connect(); err != nil {
		return err
	}
	// What failed before may have been committed after all.
	if err := w.loadJobs(context.Background()); err != nil {
		return errors.Join(err, w.disconnect())
	}
	w.watch.notifyAll()
	return nil
}

// giveUp closes the connection after a failure of a transaction as a whole: its
// state is not known. The next group opens a new one and reads the store's
// state again.
func (w *writer) giveUp() {
	if err := w.disconnect(); err != nil {
		w.opts.Logger.Error("closing the writing connection", "error", err)
	}
}

func (w *writer) exec(query string) error {
	_, err := w.eng.exec(query)
	return err
}
