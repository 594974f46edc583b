// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"pecd/storage"
)

const (
	flagChunk = 4096    // rows of flags read at a time
	listRoom  = 1 << 20 // octets of summaries held at a time, but for the last one
)

// Messages implements storage.Mail. Messages that arrive or go while it runs
// may or may not be seen; none is seen twice.
func (s *Store) Messages(ctx context.Context, id storage.FolderID, from, to uint32, fn func(storage.Message) error) error {
	shared := make(flagLists)
	read := func(c cells) (storage.Message, int) { return c.message(id, shared), 0 }
	return list(ctx, s, "sqlite.Messages", listedColumns, "messages", chunk, read, id, from, to,
		func(m storage.Message) uint32 { return m.UID }, fn)
}

// Summaries implements storage.Mail, with the promises of Messages.
func (s *Store) Summaries(ctx context.Context, id storage.FolderID, from, to uint32, fn func(storage.Message, []byte) error) error {
	type row struct {
		m       storage.Message
		summary []byte
	}
	shared := make(flagLists)
	read := func(c cells) (row, int) {
		summary, _ := c[8].([]byte)
		return row{c.message(id, shared), summary}, len(summary)
	}
	return list(ctx, s, "sqlite.Summaries", listedColumns+", data", "messages LEFT JOIN summaries ON summaries.body = messages.body",
		chunk, read, id, from, to,
		func(r row) uint32 { return r.m.UID }, func(r row) error { return fn(r.m, r.summary) })
}

// Flags implements storage.Mail, with the promises of Messages.
func (s *Store) Flags(ctx context.Context, id storage.FolderID, from, to uint32, fn func(uint32, []string) error) error {
	type row struct {
		uid   uint32
		flags []string
	}
	shared := make(flagLists)
	read := func(c cells) (row, int) { return row{uint32(c.int(0)), shared.list(c.int(1), c.text(2))}, 0 }
	return list(ctx, s, "sqlite.Flags", "keywords", "messages", flagChunk, read, id, from, to,
		func(r row) uint32 { return r.uid }, func(r row) error { return fn(r.uid, r.flags) })
}

// listedColumns are what Messages reads after UID and flags.
const listedColumns = "keywords, messages.body, size, modseq, date, saved"

// cells are the columns of a row as the driver gives them, their byte strings the
// receiver's. The tables are STRICT: a column has its type, or is NULL.
type cells []driver.Value

func (c cells) int(i int) int64 {
	n, _ := c[i].(int64)
	return n
}

func (c cells) text(i int) string {
	s, _ := c[i].(string)
	return s
}

// message makes a message of UID, flags and listedColumns.
func (c cells) message(id storage.FolderID, shared flagLists) storage.Message {
	return storage.Message{
		Folder: id, UID: uint32(c.int(0)), Flags: shared.list(c.int(1), c.text(2)),
		Body: storage.BodyID(c.int(3)), Size: c.int(4), ModSeq: uint64(c.int(5)),
		InternalDate: time.Unix(c.int(6), 0).UTC(), SavedDate: time.Unix(c.int(7), 0).UTC(),
	}
}

// list calls fn for the rows of a folder from UID from to UID to (0: no end): UID,
// flags as the viewer has them, and columns. They are read in chunks, so that no
// read is open while fn takes its time. read makes a T of a row and tells how many
// octets there are to it.
func list[T any](ctx context.Context, s *Store, op, columns, tables string, chunk int, read func(cells) (T, int),
	id storage.FolderID, from, to uint32, uid func(T) uint32, fn func(T) error) error {
	f, err := s.FolderByID(ctx, id)
	if err != nil {
		return err
	}
	query := "SELECT uid, flags, " + columns + " FROM " + tables + " WHERE folder = ? AND uid BETWEEN ? AND ? ORDER BY uid LIMIT ?"
	if to == 0 {
		to = math.MaxUint32
	}
	own := ownSeen{to: math.MaxUint32}
	if who := viewer(ctx); f.PersonalSeen && who != "" {
		own = ownSeen{s: s, folder: id, login: who}
	}
	viewed := func(c cells) (T, int) {
		own.apply(c)
		return read(c)
	}
	var rows []T
	for from <= to {
		if err := own.load(ctx, from); err != nil {
			return failed(op, err)
		}
		last := min(to, own.to)
		var more bool
		if rows, more, err = readCells(ctx, s.read.db, query, viewed, rows[:0], int64(id), int64(from), int64(last), int64(chunk)); err != nil {
			return failed(op, err)
		}
		for _, r := range rows {
			if err := fn(r); err != nil {
				return err
			}
		}
		if more = more || len(rows) == chunk; more {
			last = uid(rows[len(rows)-1])
		}
		if from = last + 1; last == math.MaxUint32 {
			return nil
		}
	}
	return nil
}

// readCells appends what read makes of the rows of a query, until listRoom is
// used up: more is true then. It asks the driver itself: the engine needs less
// for such a row than database/sql.
func readCells[T any](ctx context.Context, db *sql.DB, query string, read func(cells) (T, int), out []T, args ...driver.Value) (all []T, more bool, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return out, false, err
	}
	defer conn.Close()
	all = out
	err = conn.Raw(func(c any) error {
		rows, done, err := queryDriver(ctx, c, query, args)
		if err != nil {
			return err
		}
		defer done()
		row := make(cells, len(rows.Columns()))
		for room := listRoom; room > 0; {
			if err := rows.Next(row); err != nil {
				return ended(err)
			}
			value, octets := read(row)
			all = append(all, value)
			room -= octets
		}
		more = true
		return nil
	})
	return all, more, err
}

// queryDriver runs a query on a connection of the driver; done ends it.
func queryDriver(ctx context.Context, conn any, query string, args []driver.Value) (rows driver.Rows, done func(), err error) {
	p, ok := conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, nil, fmt.Errorf("connection %T", conn)
	}
	st, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	q, ok := st.(driver.StmtQueryContext)
	if !ok {
		st.Close()
		return nil, nil, fmt.Errorf("statement %T", st)
	}
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	if rows, err = q.QueryContext(ctx, values); err != nil {
		st.Close()
		return nil, nil, err
	}
	return rows, func() { rows.Close(); st.Close() }, nil
}

// ended is nil for the end of the rows.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// flagLists shares the lists of flags among messages: a folder has few
// different ones.
type flagLists map[string]*[1 << len(systemFlags)][]string // by keywords, then by system flags

// maxFlagLists bounds what is kept where every message has keywords of its own.
const maxFlagLists = 256

func (f flagLists) list(system int64, keywords string) []string {
	lists := f[keywords]
	if lists == nil {
		if len(f) >= maxFlagLists {
			clear(f)
		}
		lists = new([1 << len(systemFlags)][]string)
		f[keywords] = lists
	}
	l := &lists[system&int64(len(lists)-1)]
	if *l == nil {
		*l = flagSet{system: uint8(system), keywords: splitKeywords(keywords)}.list()
	}
	return *l
}
