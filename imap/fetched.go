// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"io"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/rfc822"
	"pecd/storage"
)

// fetched is one stored message while it is read for a client. What is known of
// it is worked out when it is first asked for.
type fetched struct {
	s    *session
	ctx  context.Context // of the command
	m    storage.Message
	body storage.Body

	head   *head
	fields *rfc822.Header
	parsed *rfc822.Message
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

func (f *fetched) header() (rfc822.Header, error) {
	if f.fields == nil {
		h, err := f.top()
		if err != nil {
			return rfc822.Header{}, err
		}
		// An error means that the header is beyond the limits: what lies within
		// them is told.
		fields, _ := rfc822.ParseHeader(h.raw, rfc822.DefaultLimits())
		f.fields = &fields
	}
	return *f.fields, nil
}

func (f *fetched) tree() (*rfc822.Message, error) {
	if f.parsed == nil {
		if err := f.open(); err != nil {
			return nil, err
		}
		t, err := f.s.srv.structures.message(f.ctx, f.m.Body, f.body)
		if err != nil {
			return nil, err
		}
		f.parsed = t
	}
	return f.parsed, nil
}

// section returns the octets of a BODY[…] item.
func (f *fetched) section(it *fetchItem) ([]extent, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	if len(it.part) > 0 {
		t, err := f.tree()
		if err != nil {
			return nil, err
		}
		return orEmpty(sectionOf(t.Root, it)), nil
	}
	if it.spec == specAll {
		return []extent{{0, f.body.Size()}}, nil
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
