// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// storeChunk is how many messages one commit of STORE changes: other commits pass
// in between.
const storeChunk = 2000

// storing is a parsed STORE.
type storing struct {
	set    numSet
	mode   storage.FlagMode
	flags  []string
	silent bool

	conditional bool   // UNCHANGEDSINCE was given
	unchanged   uint64 // its value
}

// parseStore reads the arguments of STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
func parseStore(args []byte, uid bool) (q storing, ok bool) {
	p := &parser{b: args}
	p.space()
	q.set = p.set(uid)
	p.space()
	if len(p.b) > 0 && p.b[0] == '(' {
		p.list(func() {
			if p.atom() != "UNCHANGEDSINCE" {
				p.fail()
			}
			p.space()
			q.conditional, q.unchanged = true, uint64(p.number())
		})
		p.space()
	}
	switch {
	case p.take('+'):
		q.mode = storage.AddFlags
	case p.take('-'):
		q.mode = storage.RemoveFlags
	}
	switch p.atom() {
	case "FLAGS":
	case "FLAGS.SILENT":
		q.silent = true
	default:
		p.fail()
	}
	p.space()
	flag := func() { q.flags = append(q.flags, p.flag()) }
	if len(p.b) > 0 && p.b[0] == '(' {
		p.options(flag)
	} else {
		for flag(); p.take(' '); flag() {
		}
	}
	return q, p.end()
}

// setFlags answers STORE and UID STORE.
func (s *session) setFlags(args []byte) error {
	q, ok := parseStore(args, s.c.now.uid())
	if !ok {
		return errSyntax
	}
	spans, err := s.targets(q.set)
	if err != nil {
		return err
	}
	flags, err := storable(q.flags)
	if err != nil {
		return err
	}
	if !s.view.mayStore(q.mode, flags) {
		return errReadOnly
	}
	if q.conditional {
		s.knowsModSeqs()
	}
	op := storage.SetFlags{Folder: s.view.folder.ID, Mode: q.mode, Flags: flags, UnchangedSince: q.unchanged,
		Personal: s.view.readOnly, Logged: s.did(ledger.MessageMarked, s.view.at, place{})}
	uids := s.view.uidsOf(spans)
	if q.conditional && q.unchanged == 0 { // no message has so low a modseq
		return s.modified(uids, false)
	}
	found := 0
	var modified []uint32
	for chunk := range slices.Chunk(uids, storeChunk) {
		step := op
		step.UIDs = chunk
		err := s.commit(&step)
		if step.Personal && fault.Is(err, fault.Denied) { // not any more
			return errReadOnly
		}
		if err != nil {
			return s.refuse(err)
		}
		found += len(step.Changed) + len(step.Modified)
		modified = append(modified, step.Modified...)
		if err := s.tellStored(&step, q.silent); err != nil {
			return err
		}
	}
	someGone := found < len(uids) && !s.c.now.uid()
	switch {
	case len(modified) > 0:
		return s.modified(modified, someGone)
	case someGone && found == 0 && !q.silent:
		return errExpunged
	case someGone: // clients take a refusal for a failure of the whole (RFC 2180 §4.2.1)
		s.code = codeExpunged
	}
	return nil
}

// mayStore tells whether a STORE is allowed. Who may only read a mailbox in which
// \Seen is personal can add and remove that.
func (v *view) mayStore(mode storage.FlagMode, flags []string) bool {
	return !v.readOnly || v.marks && mode != storage.ReplaceFlags &&
		!slices.ContainsFunc(flags, func(f string) bool { return f != flagSeen })
}

// modified tells which messages a conditional STORE left alone, in the code of
// its tagged response (RFC 7162 §3.1.3), which is NO where others are gone.
func (s *session) modified(uids []uint32, someGone bool) error {
	if len(uids) == 0 {
		return nil
	}
	nums := uids
	if !s.c.now.uid() {
		nums = nil
		for _, uid := range uids {
			if i, ok := s.view.index(uid); ok {
				nums = append(nums, uint32(i+1))
			}
		}
	}
	code := string(appendSet([]byte("MODIFIED "), nums))
	if someGone {
		return no(imaplib.ResponseCode(code), "alcuni messaggi non esistono piu' / some messages no longer exist")
	}
	s.code = code
	return nil
}

// tellStored notes the flags that a commit left and tells them. A silent STORE is
// told only what the client cannot work out: flags that somebody else had changed
// before (RFC 9051 §6.4.6), and modseqs where it wants to hear of them.
func (s *session) tellStored(op *storage.SetFlags, silent bool) error {
	v := s.view
	type told struct {
		i     int
		m     storage.Message
		flags bool
	}
	tell := make([]told, 0, len(op.Changed))
	for _, m := range op.Changed {
		i, ok := v.index(m.UID)
		if !ok {
			continue
		}
		expected := silent && slices.Equal(applied(v.flagsOf(i), op.Mode, op.Flags), m.Flags)
		v.set(i, m.Flags)
		if !expected || s.condstore {
			tell = append(tell, told{i, m, !expected})
		}
	}
	v.follow(op.ModSeq)
	out := s.c.lines()
	out.keywords(v)
	for _, t := range tell {
		if t.flags {
			out.flags(t.i+1, t.m, s.condstore)
		} else {
			out.modseq(t.i+1, t.m)
		}
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
