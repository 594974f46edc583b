// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"time"

	"pecd/storage"
)

const jobColumns = "id, kind, lane, due, created, attempts, last_error, body, payload, expires, held"

func scanJob(row scanner) (j storage.Job, err error) {
	var due, created, expires int64
	var body sql.NullInt64
	err = row.Scan(&j.ID, &j.Kind, &j.Lane, &due, &created, &j.Attempts, &j.LastError, &body, &j.Payload, &expires, &j.Held)
	j.Due, j.Created, j.Expires, j.Body = instant(due), instant(created), instant(expires), storage.BodyID(body.Int64)
	return j, err
}

func (p *prepared) enqueue(op *storage.Enqueue) (change, error) {
	const opName = "sqlite.Enqueue"
	id, body, err := p.refer(opName, op.Body)
	if err != nil {
		return nil, err
	}
	if op.Job.Kind == "" {
		return nil, invalid(opName, "job without kind")
	}
	j := op.Job
	p.bytes += len(j.Payload)
	return func(r *run) error {
		var ref any
		var bodyID storage.BodyID
		if id != 0 || body != nil {
			var err error
			if bodyID, _, err = r.use(opName, id, body); err != nil {
				return err
			}
			ref = bodyID
		}
		created := nanos(j.Created)
		if created == 0 {
			created = nanos(r.now)
		}
		n, err := r.insert("INSERT INTO jobs (kind, lane, due, created, attempts, last_error, body, payload, expires, held) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
			j.Kind, j.Lane, nanos(j.Due), created, j.LastError, ref, j.Payload, nanos(j.Expires), j.Held)
		if err != nil {
			return err
		}
		jobID := storage.JobID(n)
		c := jobChange{id: jobID, kind: j.Kind, lane: j.Lane, due: nanos(j.Due), expires: nanos(j.Expires), held: j.Held}
		if len(j.Payload) <= keptPayload && c.due <= nanos(r.now) { // what waits for hours would take the room
			row := j
			row.ID, row.Attempts, row.Body, row.Created = jobID, 0, bodyID, instant(created)
			row.Due, row.Expires = instant(c.due), instant(c.expires)
			c.row = &row
		}
		r.jobs = append(r.jobs, c)
		r.after(func() { op.ID = jobID })
		return nil
	}, nil
}

func finishJob(op *storage.FinishJob) change {
	return func(r *run) error {
		var kind string
		var body sql.NullInt64
		err := r.row("DELETE FROM jobs WHERE id = ? RETURNING kind, body", op.ID).Scan(&kind, &body)
		if noRows(err) {
			return absent("sqlite.FinishJob", "job %d", op.ID)
		}
		if err != nil {
			return err
		}
		if body.Valid {
			r.refBody(storage.BodyID(body.Int64), -1)
		}
		r.jobs = append(r.jobs, jobChange{id: op.ID, kind: kind, gone: true})
		return nil
	}
}

func retryJob(op *storage.RetryJob) change {
	return func(r *run) error {
		c := jobChange{id: op.ID, due: nanos(op.Due)}
		var payload any // NULL keeps the present one
		set := "coalesce(?3, payload)"
		if op.Payload != nil {
			payload, set = op.Payload, "?3"
		}
		err := r.row("UPDATE jobs SET due = ?1, expires = CASE expires WHEN 0 THEN 0 ELSE max(expires, ?1) END, last_error = ?2, attempts = attempts + 1, payload = "+set+
			" WHERE id = ?4 RETURNING kind, lane, expires, held", c.due, op.LastError, payload, op.ID).Scan(&c.kind, &c.lane, &c.expires, &c.held)
		if noRows(err) {
			return absent("sqlite.RetryJob", "job %d", op.ID)
		}
		if err != nil {
			return err
		}
		r.jobs = append(r.jobs, c)
		return nil
	}
}

func holdJob(op *storage.HoldJob) change {
	return func(r *run) error {
		c := jobChange{id: op.ID, held: op.Held, kept: true}
		err := r.row("UPDATE jobs SET held = ? WHERE id = ? RETURNING kind, lane, due, expires", op.Held, op.ID).Scan(&c.kind, &c.lane, &c.due, &c.expires)
		if noRows(err) {
			return absent("sqlite.HoldJob", "job %d", op.ID)
		}
		if err != nil {
			return err
		}
		r.jobs = append(r.jobs, c)
		return nil
	}
}

// loadJobs builds the index of jobs from the database.
func (s *Store) loadJobs(ctx context.Context) error {
	rows, err := all(ctx, s.read, func(row scanner) (c jobChange, err error) {
		err = row.Scan(&c.id, &c.kind, &c.lane, &c.due, &c.expires, &c.held)
		return c, err
	}, "SELECT id, kind, lane, due, expires, held FROM jobs")
	if err != nil {
		return err
	}
	s.jobs.reload(rows)
	return nil
}

const jobByID = "SELECT " + jobColumns + " FROM jobs WHERE id = ?"

// job reads one job.
func (s *Store) job(ctx context.Context, id storage.JobID) (storage.Job, error) {
	st, err := s.read.stmt(ctx, jobByID)
	if err != nil {
		return storage.Job{}, err
	}
	return scanJob(st.QueryRowContext(ctx, id))
}

// TakeDue implements storage.Queue. Jobs without a lane are not bounded by perLane.
func (s *Store) TakeDue(ctx context.Context, kind string, now time.Time, limit, perLane int) ([]storage.Job, error) {
	taken := s.jobs.take(kind, now.UnixNano(), limit, perLane)
	out := make([]storage.Job, 0, len(taken))
	for _, t := range taken {
		if t.row != nil {
			out = append(out, *t.row)
			continue
		}
		j, err := s.job(ctx, t.id)
		if noRows(err) {
			continue // finished by somebody who did not hold it; its commit drops it from the index
		}
		if err != nil {
			for _, t := range taken {
				s.Release(t.id)
			}
			return nil, failed("sqlite.TakeDue", err)
		}
		out = append(out, j)
	}
	return out, nil
}

// TakeJob implements storage.Queue.
func (s *Store) TakeJob(ctx context.Context, id storage.JobID) (storage.Job, error) {
	const op = "sqlite.TakeJob"
	known, ok := s.jobs.takeOne(id)
	switch {
	case !known:
		return storage.Job{}, absent(op, "job %d", id)
	case !ok:
		return storage.Job{}, conflict(op, "job %d is being done", id)
	}
	j, err := s.job(ctx, id)
	if err == nil {
		return j, nil
	}
	s.Release(id)
	if noRows(err) {
		return j, absent(op, "job %d", id)
	}
	return j, failed(op, err)
}

// PauseLane implements storage.Queue.
func (s *Store) PauseLane(kind, lane string, until time.Time) {
	s.jobs.pause(kind, lane, nanos(until), s.opts.Clock.Now().UnixNano())
}

// ResumeLane implements storage.Queue.
func (s *Store) ResumeLane(kind, lane string) { s.jobs.pause(kind, lane, 0, 0) }

// Release implements storage.Queue.
func (s *Store) Release(ids ...storage.JobID) {
	kinds := make(map[string]struct{})
	s.jobs.mu.Lock()
	for _, id := range ids {
		if kind, ok := s.jobs.release(id); ok {
			kinds[kind] = struct{}{}
		}
	}
	s.jobs.mu.Unlock()
	for kind := range kinds {
		s.watch.notifyQueue(kind)
	}
}

// NextDue implements storage.Queue.
func (s *Store) NextDue(_ context.Context, kind string, perLane int) (time.Time, bool, error) {
	at, ok := s.jobs.next(kind, perLane)
	return instant(at), ok, nil
}

// Jobs implements storage.Queue.
func (s *Store) Jobs(ctx context.Context, kind string, fn func(storage.Job) error) error {
	for _, id := range s.jobs.list(kind) {
		j, err := s.job(ctx, id)
		if noRows(err) {
			continue // gone meanwhile
		}
		if err != nil {
			return failed("sqlite.Jobs", err)
		}
		if err := fn(j); err != nil {
			return err
		}
	}
	return nil
}
