// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"io"
	"slices"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/rfc822"
	"pecd/storage"
)

// fetched is one stored message while it is read for a client. What is known of
// it is worked out when it is first asked for: from the summary kept beside it
// where that tells it, else from the message, and then it is kept for the next
// time (remember.go).
type fetched struct {
	s    *session
	ctx  context.Context // of the command
	m    storage.Message
	kept []byte // the summary as the store has it, nil for none
	body storage.Body

	summary *rfc822.Summary // kept, read; nil before, and where it is of no use
	stored  []byte          // the summary that the store has or is given
	head    *head
	full    *rfc822.Header
	parsed  *rfc822.Message
}

func (f *fetched) open() error {
	if f.body != nil {
		return nil
	}
	var err error
	f.body, err = f.s.store.OpenBody(f.ctx, f.m.Body)
	return err
}

func (f *fetched) close() {
	if f.body != nil {
		_ = f.body.Close()
	}
}

// summarized reads the summary; ok is false where there is none to be used.
func (f *fetched) summarized() (s *rfc822.Summary, ok bool) {
	if f.summary == nil && f.kept != nil {
		if s, err := rfc822.ReadSummary(f.kept, f.m.Size); err == nil {
			f.summary, f.stored = &s, f.kept
		}
		f.kept = nil
	}
	return f.summary, f.summary != nil
}

// top is the header block of the message itself.
func (f *fetched) top() (*head, error) {
	if f.head == nil {
		if err := f.open(); err != nil {
			return nil, err
		}
		h, err := readHead(f.body)
		if err != nil {
			return nil, err
		}
		f.head = &h
	}
	return f.head, nil
}

// header is the whole header of the message.
func (f *fetched) header() (rfc822.Header, error) {
	if f.full == nil {
		h, err := f.top()
		if err != nil {
			return rfc822.Header{}, err
		}
		// An error means that the header is beyond the limits: what lies within
		// them is told.
		fields, _ := rfc822.ParseHeader(h.raw, rfc822.DefaultLimits())
		f.full = &fields
	}
	return *f.full, nil
}

// fields is the header of the message, of which no other fields may be asked for
// than those that rfc822.KeptField names.
func (f *fetched) fields() (rfc822.Header, error) {
	if s, ok := f.summarized(); ok {
		return s.Header, nil
	}
	h, err := f.header()
	if err == nil && f.parsed == nil { // else tree has just learned more
		if b, ok := rfc822.HeaderSummary(f.head.raw); ok {
			f.s.learn(f.m.Body, b)
		}
	}
	return h, err
}

// tree is how the message is made up. The headers in it may lack fields that
// rfc822.KeptField does not name.
func (f *fetched) tree() (*rfc822.Message, error) {
	if f.parsed != nil {
		return f.parsed, nil
	}
	if s, ok := f.summarized(); ok && s.HasTree() {
		if t, err := s.Tree(); err == nil {
			f.parsed = t
			return t, nil
		}
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	t, err := f.s.srv.structures.message(f.ctx, f.m.Body, f.body)
	if err != nil {
		return nil, err
	}
	f.stored = t.Summary()
	f.s.learn(f.m.Body, f.stored)
	f.parsed = t
	return t, nil
}

// headerOf is the header block of a part, its first maxHeader octets at most.
func (f *fetched) headerOf(p *rfc822.Part) ([]byte, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	raw := make([]byte, min(p.BodyOffset-p.Offset, maxHeader))
	if n, err := f.body.ReadAt(raw, p.Offset); n < len(raw) {
		return nil, unexpected(err)
	}
	return raw, nil
}

// keptFields is a header block from which the fields of a BODY[HEADER.FIELDS …]
// can be chosen without opening the message.
func (f *fetched) keptFields(it *fetchItem) (raw []byte, ok bool) {
	if it.kind != itemSection || it.spec != specFields || len(it.part) > 0 ||
		slices.ContainsFunc(it.fields, func(name string) bool { return !rfc822.KeptField(name) }) {
		return nil, false
	}
	s, ok := f.summarized()
	if !ok || !s.Clean {
		return nil, false
	}
	return s.Header.Raw(), true
}

// section returns the octets of a BODY[…] item.
func (f *fetched) section(it *fetchItem) ([]extent, error) {
	if len(it.part) > 0 {
		return f.partSection(it)
	}
	if it.spec == specAll {
		return []extent{{0, f.m.Size}}, f.open()
	}
	h, err := f.top()
	if err != nil {
		return nil, err
	}
	switch it.spec {
	case specHeader:
		return []extent{{0, h.end}}, nil
	case specText:
		return []extent{{h.end, f.body.Size() - h.end}}, nil
	}
	return orEmpty(headerFields(h.raw, 0, it)), nil
}

// partSection is section for a part.
func (f *fetched) partSection(it *fetchItem) ([]extent, error) {
	t, err := f.tree()
	if err != nil {
		return nil, err
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	out := orEmpty(sectionOf(t.Root, it))
	if it.spec != specFields && it.spec != specFieldsNot || len(out) == 0 {
		return out, nil
	}
	header := &rfc822.Part{Offset: out[0].off, BodyOffset: out[0].off + out[0].n}
	raw, err := f.headerOf(header)
	if err != nil {
		return nil, err
	}
	return orEmpty(headerFields(raw, header.Offset, it)), nil
}

// orEmpty keeps an empty section apart from no section.
func orEmpty(e []extent) []extent {
	if e == nil {
		return []extent{}
	}
	return e
}

// decodedSize counts the octets of a part without its transfer encoding.
func (f *fetched) decodedSize(p *rfc822.Part) (int64, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	r, ok := decodedBody(f.body, p)
	if !ok {
		return 0, no(imaplib.ResponseCodeUnknownCTE, "codifica sconosciuta / unknown transfer encoding")
	}
	if section, raw := r.(*io.SectionReader); raw {
		return section.Size(), nil
	}
	select {
	case f.s.srv.scans <- struct{}{}:
	case <-f.ctx.Done():
		return 0, f.ctx.Err()
	}
	defer func() { <-f.s.srv.scans }()
	return io.Copy(io.Discard, r)
}
