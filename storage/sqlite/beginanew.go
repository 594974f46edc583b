// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"time"

	"pecd/storage"
)

// validityLead is how far ahead of the clock UIDVALIDITYs of a store are that
// was put back: more than any mailbox can have run ahead of it after the copy.
const validityLead = 1 << 16

// anew is what changes in a store that was put back from a copy.
var anew = []string{
	// Every UID that was given out after the copy was given out under the old
	// UIDVALIDITY, and so was every modseq.
	`UPDATE folders SET uidvalidity = n.v FROM (
		SELECT f.id, max(m.uidvalidity, ?1) + row_number() OVER (PARTITION BY f.mailbox ORDER BY f.id) AS v
		FROM folders f JOIN mailboxes m ON m.id = f.mailbox) AS n WHERE n.id = folders.id`,
	`UPDATE mailboxes SET uidvalidity = (SELECT max(uidvalidity) FROM folders WHERE mailbox = mailboxes.id)
		WHERE EXISTS (SELECT 1 FROM folders WHERE mailbox = mailboxes.id)`,
	// What bodies and folders are told apart by is told to clients (RFC 8474), so
	// none that was given out after the copy is given out again.
	`UPDATE sqlite_sequence SET seq = seq + 4294967296 WHERE name IN ('bodies', 'folders')`,
	`UPDATE jobs SET kind = '` + storage.SetAside + `' || kind WHERE kind NOT LIKE '` + storage.SetAside + `%'`,
}

// BeginAnew makes a store that was put back from a copy another than the one
// that went on after the copy was made (ADR 0012), in one commit: it gets an
// identity of its own, all folders a new UIDVALIDITY, new bodies and folders
// numbers far from those that there were, all jobs are set aside
// (storage.SetAside), and rec tells of it in the log. It is called once, before
// the store is used.
func (s *Store) BeginAnew(ctx context.Context, copied time.Time, rec *storage.AppendRecord) error {
	const op = "sqlite.BeginAnew"
	record, err := appendRecord(rec)
	if err != nil {
		return err
	}
	q := &request{alone: true, done: make(chan struct{}), changes: []change{
		func(r *run) error {
			_, err := r.exec(`INSERT INTO identity (number, id, copied, since)
				SELECT max(number) + 1, lower(hex(randomblob(16))), ?, ? FROM identity`, nanos(copied), nanos(r.now))
			return err
		},
		func(r *run) error {
			_, err := r.exec(anew[0], max(r.now.Unix(), 1)+validityLead)
			return err
		},
		func(r *run) error {
			for _, query := range anew[1:] {
				if _, err := r.exec(query); err != nil {
					return err
				}
			}
			return nil
		},
		record,
	}}
	if err := s.submit(ctx, q); err != nil {
		return failed(op, err)
	}
	for _, set := range q.run.set {
		set()
	}
	return failed(op, s.loadJobs(ctx))
}
