// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"io"
	"slices"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pecd/storage"
)

const (
	// storeChunk is how many messages one commit of STORE changes: other
	// commits pass in between.
	storeChunk = 2000

	// maxHead is up to which size an appended message is stored in one piece
	// with its row; a larger one becomes a blob.
	maxHead = 64 << 10
)

// errExpunged tells that some messages of a set are gone, though the client was
// not told yet (RFC 5530).
var errExpunged = no("EXPUNGEISSUED", "alcuni messaggi non esistono piu' / some messages no longer exist")

// targets resolves the set of a command that changes messages.
func (s *session) targets(set imaplib.NumSet) ([]span, error) {
	if s.view == nil {
		return nil, errNotSelected
	}
	spans, ok := s.view.resolve(fromLibrary(set))
	if !ok {
		return nil, errNoSuchMessage
	}
	return spans, nil
}

var errNoSuchMessage = bad("numero di messaggio inesistente / no such message")

// Store implements imapserver.Session.
func (s *session) Store(_ *imapserver.FetchWriter, set imaplib.NumSet, change *imaplib.StoreFlags, _ *imaplib.StoreOptions) error {
	spans, err := s.targets(set)
	if err != nil {
		return err
	}
	if s.view.readOnly {
		return errReadOnly
	}
	flags, err := storable(change.Flags)
	if err != nil {
		return err
	}
	op := storage.SetFlags{Folder: s.view.folder.ID, Flags: flags}
	switch change.Op {
	case imaplib.StoreFlagsAdd:
		op.Mode = storage.AddFlags
	case imaplib.StoreFlagsDel:
		op.Mode = storage.RemoveFlags
	}
	uids := s.view.uidsOf(spans)
	found := 0
	for chunk := range slices.Chunk(uids, storeChunk) {
		step := op
		step.UIDs = chunk
		if err := s.commit(&step); err != nil {
			return s.refuse(err)
		}
		found += len(step.Changed)
		if err := s.tellStored(&step, change.Silent); err != nil {
			return err
		}
	}
	if found < len(uids) && !s.c.now.uid() {
		return errExpunged
	}
	return nil
}

// tellStored notes the flags that a commit left and tells them. A silent STORE
// is told only what the client cannot work out: flags that somebody else had
// changed before (RFC 9051 §6.4.6).
func (s *session) tellStored(op *storage.SetFlags, silent bool) error {
	v := s.view
	tell := make([]int, 0, len(op.Changed)) // indexes
	for _, m := range op.Changed {
		i, ok := v.index(m.UID)
		if !ok {
			continue
		}
		expected := silent && slices.Equal(applied(v.flagsOf(i), op.Mode, op.Flags), m.Flags)
		v.set(i, m.Flags)
		if !expected {
			tell = append(tell, i)
		}
	}
	out := s.c.lines()
	out.keywords(v)
	for _, i := range tell {
		out.flags(i+1, v.uids[i], v.flagsOf(i))
	}
	return out.done()
}

// applied is what a STORE makes of flags, sorted.
func applied(have []string, mode storage.FlagMode, flags []string) []string {
	var out []string
	switch mode {
	case storage.ReplaceFlags:
		out = slices.Clone(flags)
	case storage.AddFlags:
		out = slices.Concat(have, flags)
	case storage.RemoveFlags:
		out = slices.DeleteFunc(slices.Clone(have), func(f string) bool { return hasFlag(flags, f) })
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Copy implements imapserver.Session.
func (s *session) Copy(set imaplib.NumSet, dest string) (*imaplib.CopyData, error) {
	op, err := s.transfer(set, dest, false)
	if err != nil {
		return nil, err
	}
	return copied(op), nil
}

// Move implements imapserver.SessionMove (RFC 6851): one step, so that a
// message is never in both folders nor in none.
func (s *session) Move(w *imapserver.MoveWriter, set imaplib.NumSet, dest string) error {
	if s.view != nil && s.view.readOnly {
		return errReadOnly
	}
	op, err := s.transfer(set, dest, true)
	if err != nil {
		return err
	}
	if len(op.Source) == 0 {
		return nil
	}
	if err := w.WriteCopyData(copied(op)); err != nil {
		return err
	}
	return s.tell(storage.Changes{Vanished: op.Source}, true)
}

func (s *session) transfer(set imaplib.NumSet, dest string, move bool) (*storage.CopyMessages, error) {
	spans, err := s.targets(set)
	if err != nil {
		return nil, err
	}
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	to, err := s.store.Folder(s.ctx, s.grant.Mailbox, folderName(dest))
	if err != nil {
		return nil, s.noTarget(err)
	}
	quota, err := s.quota()
	if err != nil {
		return nil, s.refuse(err)
	}
	op := &storage.CopyMessages{From: s.view.folder.ID, UIDs: s.view.uidsOf(spans), To: to.ID, Move: move, Quota: quota}
	if len(op.UIDs) == 0 {
		return op, nil
	}
	if err := s.commit(op); err != nil {
		return nil, s.noTarget(err)
	}
	return op, nil
}

// copied is the COPYUID of a transfer (RFC 4315), nil when nothing was found.
// The two sets keep the order, so that they correspond.
func copied(op *storage.CopyMessages) *imaplib.CopyData {
	if len(op.Source) == 0 {
		return nil
	}
	return &imaplib.CopyData{UIDValidity: op.UIDValidity, SourceUIDs: libraryUIDs(op.Source), DestUIDs: libraryUIDs(op.Dest)}
}

// libraryUIDs makes a set of ascending UIDs, in linear time.
func libraryUIDs(uids []uint32) imaplib.UIDSet {
	var set imaplib.UIDSet
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		set = append(set, imaplib.UIDRange{Start: imaplib.UID(uids[i]), Stop: imaplib.UID(uids[j])})
		i = j + 1
	}
	return set
}

// Append implements imapserver.Session. The message is stored exactly as it
// was sent.
func (s *session) Append(name string, r imaplib.LiteralReader, options *imaplib.AppendOptions) (*imaplib.AppendData, error) {
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	flags, err := storable(options.Flags)
	if err != nil {
		return nil, err
	}
	if r.Size() == 0 {
		return nil, no("", "messaggio vuoto / empty message")
	}
	folder, err := s.store.Folder(s.ctx, s.grant.Mailbox, folderName(name))
	if err != nil {
		return nil, s.noTarget(err)
	}
	quota, err := s.quota()
	if err != nil {
		return nil, s.refuse(err)
	}
	body := &storage.NewBody{}
	if r.Size() <= maxHead {
		body.Head = make([]byte, r.Size())
		if _, err := io.ReadFull(r, body.Head); err != nil {
			return nil, err
		}
	} else {
		spool := s.store.NewSpool()
		defer spool.Close()
		if n, err := io.Copy(spool, r); err != nil || n != r.Size() {
			return nil, s.refuse(orUnexpectedEOF(err))
		}
		body.Blob = &storage.NewBlob{Spool: spool, Len: spool.Size()}
	}
	at := options.Time
	if at.IsZero() {
		at = s.srv.cfg.Clock.Now()
	}
	op := &storage.Append{
		Folder: folder.ID, Body: storage.BodyRef{New: body}, Flags: flags, InternalDate: at.UTC(), Quota: quota,
	}
	if err := s.commit(body, op); err != nil {
		return nil, s.noTarget(err)
	}
	return &imaplib.AppendData{UID: imaplib.UID(op.UID), UIDValidity: op.UIDValidity}, nil
}

func orUnexpectedEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
