// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"pecd/storage"
)

// chunk is how many rows a long iteration reads at a time. Between chunks no
// read transaction is open, so that the WAL can be checkpointed.
const chunk = 512

// reader is the pool of connections for reading. Statements are prepared once.
type reader struct {
	db    *sql.DB
	stmts sync.Map // query text -> *sql.Stmt
	// people is the pool for whom somebody waits (storage.Interactive); nil: this one.
	people *reader
}

// of is the pool for a call.
func (r *reader) of(ctx context.Context) *reader {
	if r.people != nil && storage.IsInteractive(ctx) {
		return r.people
	}
	return r
}

// source returns a URI of the engine for path. The values of pragmas are ours.
func source(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Path: path}
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return u.String() + "?" + q.Encode()
}

// readPragmas are the settings of a connection for reading.
func readPragmas(cacheBytes int) []string {
	return []string{"query_only(1)", "temp_store(memory)", fmt.Sprintf("cache_size(-%d)", cacheBytes>>10)}
}

func newReader(uri string, conns int) (*reader, error) {
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return &reader{db: db}, nil
}

func (r *reader) close() error {
	if r.people == nil {
		return r.db.Close()
	}
	return errors.Join(r.people.close(), r.db.Close())
}

func (r *reader) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	r = r.of(ctx)
	if st, ok := r.stmts.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, raced := r.stmts.LoadOrStore(query, st); raced {
		st.Close()
		return first.(*sql.Stmt), nil
	}
	return st, nil
}

// row runs a query of one row and scans it into dest.
func (r *reader) row(ctx context.Context, query string, args []any, dest ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := r.stmt(ctx, query)
	if err != nil {
		return err
	}
	// It is over sooner than a goroutine that watches for the end of ctx begins.
	// That leaves the wait for a connection unwatched, as long as the reads before
	// it take.
	err = st.QueryRowContext(context.WithoutCancel(ctx), args...).Scan(dest...)
	if over := ctx.Err(); over != nil {
		return over
	}
	return err
}

// scanner is what sql.Row and sql.Rows have in common.
type scanner interface{ Scan(dest ...any) error }

// all runs a query and collects its rows.
func all[T any](ctx context.Context, r *reader, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	st, err := r.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return collect(ctx, st, scan, args...)
}

func collect[T any](ctx context.Context, st *sql.Stmt, scan func(scanner) (T, error), args ...any) ([]T, error) {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// snapshot calls fn with the connection's statements inside one read
// transaction: everything read belongs to one commit.
func (r *reader) snapshot(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := r.of(ctx).db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing to commit
	return fn(tx)
}

// nanos and instant turn an instant into its column and back; zero is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
