// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"pecd/storage"
)

const (
	quarantineColumns = "id, at, point, message, provider, sender, recipients, virus, size, body"
	maxPurged         = 1000 // items of one PurgeQuarantined
)

func (p *prepared) putQuarantined(op *storage.PutQuarantined) (change, error) {
	const opName = "sqlite.PutQuarantined"
	id, body, err := p.refer(opName, op.Body)
	if err != nil {
		return nil, err
	}
	if id == 0 && body == nil {
		return nil, invalid(opName, "quarantined message without body")
	}
	recipients, err := json.Marshal(op.Item.Recipients)
	if err != nil {
		return nil, invalid(opName, "recipients: %v", err)
	}
	q := op.Item
	p.bytes += len(recipients)
	return func(r *run) error {
		ref, _, err := r.use(opName, id, body)
		if err != nil {
			return err
		}
		n, err := r.insert("INSERT INTO quarantine (at, point, message, provider, sender, recipients, virus, size, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			nanos(q.At), q.Point, q.Message, q.Provider, q.Sender, string(recipients), q.Virus, q.Size, ref)
		if err != nil {
			return err
		}
		r.after(func() { op.ID = n })
		return nil
	}, nil
}

func purgeQuarantined(op *storage.PurgeQuarantined) change {
	return func(r *run) error {
		type gone struct {
			id   int64
			body storage.BodyID
		}
		items, err := rows(r, func(row scanner) (g gone, err error) {
			err = row.Scan(&g.id, &g.body)
			return g, err
		}, "SELECT id, body FROM quarantine WHERE at < ? ORDER BY at, id LIMIT ?", nanos(op.Before), maxPurged)
		if err != nil {
			return err
		}
		var ids []int64
		for _, g := range items {
			if _, err := r.exec("DELETE FROM quarantine WHERE id = ?", g.id); err != nil {
				return err
			}
			r.refBody(g.body, -1)
			ids = append(ids, g.id)
		}
		r.after(func() { op.Purged = ids })
		return nil
	}
}

func scanQuarantined(row scanner) (q storage.Quarantined, err error) {
	var at int64
	var recipients string
	if err := row.Scan(&q.ID, &at, &q.Point, &q.Message, &q.Provider, &q.Sender, &recipients, &q.Virus, &q.Size, &q.Body); err != nil {
		return q, err
	}
	q.At = instant(at)
	return q, json.Unmarshal([]byte(recipients), &q.Recipients)
}

// Quarantined implements storage.Quarantine.
func (s *Store) Quarantined(ctx context.Context, id int64) (storage.Quarantined, error) {
	const op = "sqlite.Quarantined"
	st, err := s.read.stmt(ctx, "SELECT "+quarantineColumns+" FROM quarantine WHERE id = ?")
	if err != nil {
		return storage.Quarantined{}, failed(op, err)
	}
	q, err := scanQuarantined(st.QueryRowContext(ctx, id))
	if noRows(err) {
		return q, absent(op, "quarantined message %d", id)
	}
	return q, failed(op, err)
}

// EachQuarantined implements storage.Quarantine.
func (s *Store) EachQuarantined(ctx context.Context, from time.Time, fn func(storage.Quarantined) error) error {
	at, id := nanos(from), int64(0)
	for {
		items, err := all(ctx, s.read, scanQuarantined, "SELECT "+quarantineColumns+
			" FROM quarantine WHERE (at, id) > (?, ?) ORDER BY at, id LIMIT ?", at, id, chunk)
		if err != nil {
			return failed("sqlite.EachQuarantined", err)
		}
		for _, q := range items {
			if err := fn(q); err != nil {
				return err
			}
			at, id = nanos(q.At), q.ID
		}
		if len(items) < chunk {
			return nil
		}
	}
}
