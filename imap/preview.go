// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"

	"pecd/rfc822"
)

// lazy reads the modifier of PREVIEW (RFC 8970 §4.1). Other parentheses belong to
// the FETCH.
func (p *parser) lazy() bool {
	const modifier = " (LAZY)"
	if len(p.b) < len(modifier) || !bytes.EqualFold(p.b[:len(modifier)], []byte(modifier)) {
		return false
	}
	p.b = p.b[len(modifier):]
	return true
}

// appendPreview writes the preview of a message: NIL only to a client that does
// not want to wait for it, the empty string where there is no text.
func appendPreview(b []byte, it *fetchItem, mm *fetched, utf8ok bool) ([]byte, error) {
	if it.lazy {
		s, ok := mm.summarized()
		if ok {
			_, ok = s.Preview()
		}
		if !ok {
			return append(b, "NIL"...), nil
		}
	}
	text, err := mm.preview()
	return appendString(b, text, utf8ok), err
}

// preview is the beginning of the text of the message. It is worked out once and
// kept with the summary.
func (f *fetched) preview() (string, error) {
	if s, ok := f.summarized(); ok {
		if text, ok := s.Preview(); ok {
			return text, nil
		}
	}
	t, err := f.tree()
	if err != nil {
		return "", err
	}
	text := ""
	for _, p := range rfc822.PreviewParts(t.Root) {
		if text, err = f.previewOf(p); err != nil {
			return "", err
		}
		if text != "" {
			break
		}
	}
	if b, err := rfc822.WithPreview(f.stored, f.m.Size, text); err == nil {
		f.stored = b
		f.s.learn(f.m.Body, b)
	}
	return text, nil
}

// previewOf is the preview of a part, empty where it cannot be decoded.
func (f *fetched) previewOf(p *rfc822.Part) (string, error) {
	if err := f.open(); err != nil {
		return "", err
	}
	select {
	case f.s.srv.scans <- struct{}{}:
	case <-f.ctx.Done():
		return "", f.ctx.Err()
	}
	defer func() { <-f.s.srv.scans }()
	r, ok := decodedBody(f.body, p)
	if !ok {
		return "", nil
	}
	return p.Preview(r), nil
}
