// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pecd/storage"
)

var (
	errNotOpen     = bad("prima serve il login / not logged in")
	errNotSelected = bad("nessuna cartella aperta / no mailbox selected")
)

// Select implements imapserver.Session, for SELECT and EXAMINE.
func (s *session) Select(name string, options *imaplib.SelectOptions) (*imaplib.SelectData, error) {
	s.view = nil
	f, err := s.store.Folder(s.ctx, s.grant.Mailbox, folderName(name))
	if err != nil {
		return nil, s.noFolder(err)
	}
	// What is committed while the rows are read is told by the next sync: it
	// asks for everything after f.ModSeq.
	v := newView(f, options.ReadOnly || s.readOnly())
	err = s.store.Flags(s.ctx, f.ID, 1, 0, func(uid uint32, flags []string) error {
		v.add(uid, flags)
		return nil
	})
	if err != nil {
		return nil, s.refuse(err)
	}
	s.view = v
	data := &imaplib.SelectData{
		Flags:       libraryFlags(append(systemFlags(), v.table.told()...)),
		NumMessages: uint32(len(v.uids)),
		UIDValidity: f.UIDValidity,
		UIDNext:     imaplib.UID(max(f.UIDNext, v.last()+1)),
	}
	for i := range v.uids {
		if !v.seen(i) {
			data.FirstUnseenSeqNum = uint32(i + 1)
			break
		}
	}
	if !v.readOnly {
		data.PermanentFlags = append(data.Flags[:len(data.Flags):len(data.Flags)], imaplib.FlagWildcard)
	}
	return data, nil
}

func libraryFlags(flags []string) []imaplib.Flag {
	out := make([]imaplib.Flag, len(flags))
	for i, f := range flags {
		out[i] = imaplib.Flag(f)
	}
	return out
}

// Unselect implements imapserver.Session.
func (s *session) Unselect() error {
	s.view = nil
	return nil
}

// Expunge implements imapserver.Session, for EXPUNGE, UID EXPUNGE and CLOSE.
// Only messages the client knows of are removed, and only while they still
// have \Deleted.
func (s *session) Expunge(_ *imapserver.ExpungeWriter, set *imaplib.UIDSet) error {
	v := s.view
	if v == nil {
		return errNotSelected
	}
	// The library does the same for CLOSE, which removes nothing from a folder
	// opened read-only and tells no EXPUNGE (RFC 9051 §6.4.1).
	closing := s.c.now.verb == "CLOSE"
	if v.readOnly {
		if closing {
			return nil
		}
		return errReadOnly
	}
	if err := s.Poll(nil, true); err != nil {
		return err
	}
	all := []span{{0, len(v.uids)}}
	if set != nil {
		all, _ = v.resolve(fromLibrary(*set))
	}
	var uids []uint32
	for _, sp := range all {
		for i := sp.lo; i < sp.hi; i++ {
			if v.deleted(i) {
				uids = append(uids, v.uids[i])
			}
		}
	}
	if len(uids) == 0 {
		return nil
	}
	op := &storage.Expunge{Folder: v.folder.ID, UIDs: uids, DeletedOnly: true}
	if err := s.commit(op); err != nil {
		return s.refuse(err)
	}
	if closing {
		return nil
	}
	return s.tell(storage.Changes{Vanished: op.Expunged}, true)
}

// commit applies operations as one step.
func (s *session) commit(ops ...storage.Op) error {
	return s.store.Commit(s.ctx, (&storage.Step{}).Add(ops...))
}

// fromLibrary takes a set over from the library's form.
func fromLibrary(set imaplib.NumSet) numSet {
	if imaplib.IsSearchRes(set) {
		return numSet{saved: true}
	}
	var out numSet
	switch set := set.(type) {
	case imaplib.SeqSet:
		for _, r := range set {
			out.ranges = append(out.ranges, numRange{r.Start, r.Stop})
		}
	case imaplib.UIDSet:
		out.uid = true
		for _, r := range set {
			out.ranges = append(out.ranges, numRange{uint32(r.Start), uint32(r.Stop)})
		}
	}
	return out
}
