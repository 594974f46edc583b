// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

// prepared is a step that is checked, hashed, compressed, and whose files are
// on stable storage.
type prepared struct {
	changes []change
	bytes   int // what the step adds to a group
	rows    int // how many rows it changes, roughly

	bodies map[*storage.NewBody]*newBody
	blobs  map[*storage.NewBlob]*newBlob
	files  []*newFile
	boxes  map[*storage.PutMailbox]bool // created by the step
}

func newPrepared() *prepared {
	return &prepared{
		bodies: make(map[*storage.NewBody]*newBody),
		blobs:  make(map[*storage.NewBlob]*newBlob),
		boxes:  make(map[*storage.PutMailbox]bool),
	}
}

// Commit implements storage.Store.
func (s *Store) Commit(ctx context.Context, step *storage.Step) error {
	if len(step.Ops) == 0 {
		return nil
	}
	err := s.commitOnce(ctx, step, false)
	if errors.Is(err, errBlobGone) {
		err = s.commitOnce(ctx, step, true)
	}
	return failed("sqlite.Commit", err)
}

// commitOnce prepares the step and hands it in. With bytes set, blobs bring
// their bytes even where the store seems to have them.
func (s *Store) commitOnce(ctx context.Context, step *storage.Step, bytes bool) error {
	p := newPrepared()
	err := s.prepare(ctx, p, step, bytes)
	q := &request{changes: p.changes, viewer: viewer(ctx), bytes: p.bytes, alone: p.rows > maxSharedRows, done: make(chan struct{})}
	if err == nil {
		err = s.submit(ctx, q)
	}
	for _, f := range p.files {
		f.settle(q)
	}
	if err != nil {
		return err
	}
	for _, set := range q.run.set {
		set()
	}
	for _, name := range q.run.unlink {
		if err := s.files.remove(name); err != nil {
			s.opts.Logger.Warn("removing a file without references", "file", name, "error", err)
		}
	}
	return nil
}

// submit hands the step to the writer and waits for its outcome. A context that
// ends withdraws the step only as long as the writer has not picked it up.
func (s *Store) submit(ctx context.Context, q *request) error {
	s.mu.RLock()
	if s.closed || s.writer == nil {
		s.mu.RUnlock()
		return errClosed
	}
	select {
	case s.writer.queue <- q:
		s.mu.RUnlock()
	case <-ctx.Done():
		s.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		if q.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-q.done
	}
	return q.err
}

// prepare turns the operations into changes. Everything that needs no lock is
// done here, in the caller's goroutine.
func (s *Store) prepare(ctx context.Context, p *prepared, step *storage.Step, bytes bool) error {
	for i, op := range step.Ops {
		c, err := s.prepareOp(p, op)
		if err != nil {
			return fault.Wrap("sqlite.Commit", fmt.Errorf("operation %d: %w", i, err))
		}
		if c != nil {
			p.changes = append(p.changes, c)
		}
	}
	for _, op := range step.Ops {
		if n, ok := op.(*storage.NewBody); ok {
			if err := s.fillBody(ctx, p, p.bodies[n], bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) prepareOp(p *prepared, op storage.Op) (change, error) {
	p.rows++
	switch op := op.(type) {
	case *storage.NewBody:
		return p.newBody(op)
	case *storage.PutSummary:
		return p.putSummary(op)
	case *storage.Append:
		return p.append(op)
	case *storage.SetFlags:
		p.rows += len(op.UIDs)
		return setFlags(op)
	case *storage.Expunge:
		p.rows += len(op.UIDs)
		return expunge(op), nil
	case *storage.CopyMessages:
		p.rows += len(op.UIDs)
		return copyMessages(op), nil
	case *storage.Discard:
		p.rows += len(op.UIDs)
		return discard(op)
	case *storage.CreateFolder:
		return createFolder(op)
	case *storage.CreateFolderIn:
		return p.createFolderIn(op)
	case *storage.RenameFolder:
		p.rows += maxSharedRows // may move a whole INBOX
		return renameFolder(op)
	case *storage.DeleteFolder:
		p.rows += maxSharedRows // of unknown size
		return deleteFolder(op)
	case *storage.Subscribe:
		return subscribe(op)
	case *storage.Once:
		return once(op)
	case *storage.Enqueue:
		return p.enqueue(op)
	case *storage.FinishJob:
		return finishJob(op), nil
	case *storage.RetryJob:
		p.bytes += len(op.Payload)
		return retryJob(op), nil
	case *storage.HoldJob:
		return holdJob(op), nil
	case *storage.PutTransaction:
		p.rows += len(op.Transaction.Recipients)
		return putTransaction(op)
	case *storage.MarkRecipient:
		return markRecipient(op), nil
	case *storage.ExpectPending:
		return expectPending(op), nil
	case *storage.AppendRecord:
		p.bytes += len(op.Record.Data)
		return appendRecord(op)
	case *storage.PutSeal:
		return putSeal(op)
	case *storage.PutContact, *storage.DropContacts, *storage.NoteCode, *storage.PutTarget, *storage.AllowNotices,
		*storage.NoteArrival, *storage.QueueNotice, *storage.CloseNotice, *storage.SettleNotice, *storage.RetryNotice,
		*storage.NoticeOutcome, *storage.SetQuotaLevel:
		return prepareNotice(op)
	case *storage.StampSeal:
		return stampSeal(op)
	case *storage.PurgeSeal:
		p.rows += maxSharedRows // a whole day
		return purgeSeal(op), nil
	case *storage.PutQuarantined:
		return p.putQuarantined(op)
	case *storage.PurgeQuarantined:
		p.rows += maxSharedRows
		return purgeQuarantined(op), nil
	case *storage.CountSent:
		return countSent(op)
	case *storage.PurgeSent:
		p.rows += maxSharedRows
		return purgeSent(op), nil
	case *storage.PutTier:
		return putTier(op)
	case *storage.PutProtection:
		return putProtection(op)
	case *storage.PutCustomer:
		return putCustomer(op)
	case *storage.PutCeiling:
		return putCeiling(op)
	case *storage.PutDomain:
		return putDomain(op)
	case *storage.PutMailbox:
		if op.Mailbox.ID != 0 {
			p.rows += maxSharedRows // may end what each user has seen
		}
		return p.putMailbox(op)
	case *storage.PutUser:
		return putUser(op)
	case *storage.PutGrant:
		return p.putGrant(op)
	case *storage.PutAppPassword:
		return putAppPassword(op)
	case *storage.PutFilter:
		p.bytes += len(op.Filter.Script)
		return putFilter(op)
	case *storage.RemoveFilter:
		return removeFilter(op), nil
	case *storage.ActivateFilter:
		return activateFilter(op), nil
	case *storage.PutAPIToken:
		return putAPIToken(op)
	case *storage.AddRecovery:
		return addRecovery(op)
	case *storage.TryRecovery:
		return tryRecovery(op), nil
	case *storage.UseRecovery:
		return useRecovery(op), nil
	case *storage.EndRecoveries:
		return endRecoveries(op), nil
	}
	return nil, fault.New("sqlite.Commit", fault.Unsupported, fmt.Errorf("unknown operation %T", op))
}
