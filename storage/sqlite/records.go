// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"math"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

const recordColumns = "seq, at, event, id, mailbox, data, hash"

func appendRecord(op *storage.AppendRecord) (change, error) {
	rec := op.Record
	if rec.Event == "" {
		return nil, invalid("sqlite.AppendRecord", "record without event")
	}
	return func(r *run) error {
		seq, err := r.record(rec)
		r.after(func() { op.Seq = seq })
		return err
	}, nil
}

// record appends to the log and returns the record's number.
func (r *run) record(rec storage.Record) (int64, error) {
	last, err := r.logHead()
	if err != nil {
		return 0, err
	}
	seq := last.seq + 1
	hash := ledger.Link(last.hash, seq, rec.Data)
	_, err = r.exec("INSERT INTO records ("+recordColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		seq, nanos(rec.At), rec.Event, rec.ID, address(rec.Mailbox), rec.Data, hash[:])
	if err != nil {
		return 0, err
	}
	*last = logHead{seq, hash}
	return seq, nil
}

// logged appends what an operation has to say of what it did.
func (r *run) logged(op string, say storage.Logged, what storage.Handled) error {
	if say == nil || len(what.UIDs) == 0 {
		return nil
	}
	for _, rec := range say(what) {
		if rec.Event == "" {
			return invalid(op, "record without event")
		}
		if _, err := r.record(rec); err != nil {
			return err
		}
	}
	return nil
}

// logHead is the end of the log's chain.
type logHead struct {
	seq  int64
	hash [32]byte
}

// logHead returns the end of the log; whoever appends moves it. The database is
// asked once for a connection: nobody else writes.
func (r *run) logHead() (*logHead, error) {
	if r.head != nil {
		return r.head, nil
	}
	if tip := r.w.tip; tip != nil {
		head := *tip // a step that fails leaves it alone
		r.head = &head
		return r.head, nil
	}
	head, err := scanHead(r.row(headQuery))
	if err != nil {
		return nil, err
	}
	r.head = &head
	return r.head, nil
}

// headQuery finds the last record. Where all were purged, the last seal knows.
const headQuery = `SELECT * FROM (SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1)
	UNION ALL SELECT * FROM (SELECT last, head FROM seals ORDER BY number DESC LIMIT 1) ORDER BY 1 DESC LIMIT 1`

func scanHead(row scanner) (logHead, error) {
	var h logHead
	var hash []byte
	err := row.Scan(&h.seq, &hash)
	if noRows(err) {
		return logHead{}, nil
	}
	copy(h.hash[:], hash)
	return h, err
}

func scanRecord(row scanner) (rec storage.Record, err error) {
	var at int64
	var hash []byte
	err = row.Scan(&rec.Seq, &at, &rec.Event, &rec.ID, &rec.Mailbox, &rec.Data, &hash)
	rec.At = instant(at)
	copy(rec.Hash[:], hash)
	return rec, err
}

// Records implements storage.Log.
func (s *Store) Records(ctx context.Context, from int64, fn func(storage.Record) error) error {
	return s.eachRecord(ctx, from, "", nil, fn)
}

// FindRecords implements storage.Log. The records are walked by number, or by
// one of the indexes that go on by number: the "+" keeps the engine from the
// index over instants, whose rows it would sort anew for each chunk.
func (s *Store) FindRecords(ctx context.Context, q storage.RecordQuery, fn func(storage.Record) error) error {
	var where strings.Builder
	var args []any
	and := func(clause string, arg any) {
		where.WriteString(" AND " + clause)
		args = append(args, arg)
	}
	from := int64(0)
	if q.ID == "" && q.Mailbox == "" && !(q.From.IsZero() && q.To.IsZero()) {
		first, last, err := s.span(ctx, q.From, q.To)
		if err != nil || last == 0 {
			return failed("sqlite.FindRecords", err)
		}
		from = first
		and("seq <= ?", last)
	}
	if !q.From.IsZero() {
		and("+at >= ?", nanos(q.From))
	}
	if !q.To.IsZero() {
		and("+at < ?", nanos(q.To))
	}
	// The second half of a clause lets the engine see that a partial index fits.
	if q.ID != "" {
		and("id = ? AND id <> ''", q.ID)
	}
	if q.Mailbox != "" {
		and("mailbox = ? AND mailbox <> ''", address(q.Mailbox))
	}
	if q.Event != "" {
		and("event = ?", q.Event)
	}
	return s.eachRecord(ctx, from, where.String(), args, fn)
}

// span finds the lowest and the highest number among the records of a time; 0
// without any. It reads that part of the index over instants once.
func (s *Store) span(ctx context.Context, from, to time.Time) (first, last int64, err error) {
	end := int64(math.MaxInt64)
	if !to.IsZero() {
		end = nanos(to)
	}
	begin := int64(math.MinInt64)
	if !from.IsZero() {
		begin = nanos(from)
	}
	err = s.read.row(ctx, "SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM records WHERE at >= ? AND at < ?", []any{begin, end}, &first, &last)
	return first, last, err
}

func (s *Store) eachRecord(ctx context.Context, from int64, and string, args []any, fn func(storage.Record) error) error {
	query := "SELECT " + recordColumns + " FROM records WHERE seq >= ?" + and + " ORDER BY seq LIMIT ?"
	for {
		recs, err := all(ctx, s.read, scanRecord, query, append(append([]any{from}, args...), chunk)...)
		if err != nil {
			return failed("sqlite.Records", err)
		}
		for _, rec := range recs {
			if err := fn(rec); err != nil {
				return err
			}
			from = rec.Seq + 1
		}
		if len(recs) < chunk {
			return nil
		}
	}
}

// LogState implements storage.Log.
func (s *Store) LogState(ctx context.Context) (storage.LogState, error) {
	const op = "sqlite.LogState"
	var st storage.LogState
	err := s.read.snapshot(ctx, func(tx *sql.Tx) error {
		last, err := scanHead(tx.QueryRowContext(ctx, headQuery))
		if err != nil {
			return err
		}
		st.Last, st.Head = last.seq, last.hash
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(min(seq), ?) FROM records", last.seq+1).Scan(&st.First); err != nil {
			return err
		}
		var before []byte
		err = tx.QueryRowContext(ctx, "SELECT head FROM seals WHERE last = ? ORDER BY number LIMIT 1", st.First-1).Scan(&before)
		if noRows(err) {
			return nil
		}
		copy(st.Before[:], before)
		return err
	})
	return st, failed(op, err)
}

// chainOldRecords fills in the hashes of records written before there were any.
func chainOldRecords(e *engine) error {
	var head [32]byte
	return e.query(func(row scanner) error {
		var seq int64
		var data []byte
		if err := row.Scan(&seq, &data); err != nil {
			return err
		}
		head = ledger.Link(head, seq, data)
		_, err := e.exec("UPDATE records SET hash = ? WHERE seq = ?", head[:], seq)
		return err
	}, "SELECT seq, data FROM records ORDER BY seq")
}
