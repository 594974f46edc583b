// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/sieve"
	"pecd/storage"
)

// Scripts tells what holders want done with what arrives (S4-039 … S4-042).
type Scripts interface {
	// ActiveScript is the script of a mailbox, nil where it has none. Invalid: it
	// has one that cannot be run any more.
	ActiveScript(ctx context.Context, m storage.MailboxID) (*sieve.Script, error)
}

// filtered is what is done with a message: what the holder's script says. A
// script that fails keeps the message, as if there were none (ADR 0026).
func (c *Core) filtered(ctx context.Context, p placement) (sieve.Actions, error) {
	if c.Scripts == nil || p.fixed {
		return sieve.Keep(), nil
	}
	script, err := c.Scripts.ActiveScript(ctx, p.box.ID)
	switch {
	case fault.Is(err, fault.Invalid):
		c.Logger.Warn("filter is not run", "mailbox", p.box.Address, "error", err)
		return sieve.Keep(), nil
	case err != nil || script == nil:
		return sieve.Keep(), err
	}
	if p.size == 0 {
		if p.header, p.size, err = c.headerOf(ctx, p.body); err != nil {
			return sieve.Keep(), err
		}
	}
	actions, err := script.Run(sieve.Message{Header: p.header, Size: p.size, From: envelopeFrom(p.header), To: p.box.Address})
	if err != nil {
		c.Logger.Warn("filter failed, the message is kept", "mailbox", p.box.Address, "error", err)
	}
	// Where it is, it need not be sent.
	actions.Forward = slices.DeleteFunc(actions.Forward, func(to string) bool { return strings.EqualFold(to, p.box.Address) })
	return actions, nil
}

// envelopeFrom is the certified sender of an envelope, or whoever sent another
// message: the reverse path that it came with (RFC 6109 §3.1.3 keeps it). The
// provider puts it before every message that it delivers.
func envelopeFrom(h rfc822.Header) string {
	return strings.Trim(h.Get("Return-Path"), "<> ")
}

// headerOf reads the header of a message that is stored, or is about to be, and
// its size in octets. Of one that is too large, it is the first part.
func (c *Core) headerOf(ctx context.Context, ref storage.BodyRef) (rfc822.Header, int64, error) {
	const op = "pipeline.headerOf"
	r, size := newBodyReader(ref.New)
	if ref.New == nil {
		body, err := c.Store.OpenBody(ctx, ref.ID)
		if err != nil {
			return rfc822.Header{}, 0, fault.Wrap(op, err)
		}
		defer body.Close()
		r, size = io.NewSectionReader(body, 0, body.Size()), body.Size()
	}
	h, err := readHead(r)
	return h, size, fault.Wrap(op, err)
}

// readHead reads the header at the start of a message.
func readHead(r io.Reader) (rfc822.Header, error) {
	limits := storedLimits()
	raw, _, err := readHeader(bufio.NewReaderSize(r, smallBuffer), limits.HeaderBytes)
	if err != nil {
		return rfc822.Header{}, err
	}
	h, _ := rfc822.ParseHeader(raw, limits)
	return h, nil
}

// newBodyReader reads a message that is not stored yet. A blob that is stored is
// left out: who puts lines before one has read the header behind it.
func newBodyReader(b *storage.NewBody) (r io.Reader, size int64) {
	if b == nil {
		return nil, 0
	}
	parts := []io.Reader{bytes.NewReader(b.Head)}
	size = int64(len(b.Head) + len(b.Tail))
	if blob := b.Blob; blob != nil {
		size += blob.Len - b.Skip
		if blob.Spool == nil {
			return io.MultiReader(parts...), size
		}
		parts = append(parts, io.NewSectionReader(blob.Spool, blob.Off+b.Skip, blob.Len-b.Skip))
	}
	return io.MultiReader(append(parts, bytes.NewReader(b.Tail))...), size
}
