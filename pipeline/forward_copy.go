// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	// redirectField names a mailbox of ours that forwarded a message. It goes before
	// the message, with each forward one more.
	redirectField = "X-Sieve-Redirected-From"
	// maxForwards is how many forwards a message may have behind it to be forwarded.
	maxForwards = 3
	// maxRedirects is how many of these fields are read: others may add some.
	maxRedirects = 20
)

// redirectedFrom is the mailboxes that have forwarded a message, the last one
// first. What is no address there is passed over.
func redirectedFrom(h rfc822.Header) []string {
	var passed []string
	for _, v := range h.Values(redirectField) {
		if rfc822.ValidAddress(v) && len(passed) < maxRedirects {
			passed = append(passed, strings.ToLower(v))
		}
	}
	return passed
}

// redirectLines keeps the marks of forwards on an ordinary message, for the
// header of the anomaly envelope that it is put into: a loop may lead through
// another provider.
func redirectLines(h rfc822.Header) string {
	var b strings.Builder
	for _, a := range redirectedFrom(h) {
		b.WriteString(redirectField + ": " + a + "\r\n")
	}
	return b.String()
}

// loop returns the other mailbox where the message must not go on, "" otherwise:
// it has been here, or there, or has gone through too many.
func (w *forwarding) loop() (other string) {
	switch {
	case slices.Contains(w.passed, strings.ToLower(w.p.To)):
		return w.p.To
	case slices.Contains(w.passed, w.box.Address), len(w.passed) > maxForwards:
		return w.passed[0]
	}
	return ""
}

// lines are put before a message that is forwarded.
func (w *forwarding) lines() string {
	return redirectField + ": " + w.box.Address + "\r\n" +
		"Received: by " + traceToken(w.Hostname) + " (filter) id f" + strconv.FormatInt(int64(w.job.ID), 10) + ";\r\n\t" + w.at.Format(time.RFC1123Z) + "\r\n"
}

// copy is the message with lines before it. It shares the blob of the original
// where that has one. done is to be called once it is stored or not needed.
func (w *forwarding) copy(lines string) (copied *storage.NewBody, done func(), err error) {
	const op = "pipeline.forwardCopy"
	if err := w.body.Intact(); err != nil {
		return nil, nil, fault.Wrap(op, err)
	}
	size := w.size
	id, off, n := w.body.Blob()
	if id != 0 && size-n <= maxFrame {
		head, tail := make([]byte, len(lines)+int(off)), make([]byte, size-off-n)
		copy(head, lines)
		if _, err := readFullAt(w.body, head[len(lines):], 0); err != nil {
			return nil, nil, err
		}
		if _, err := readFullAt(w.body, tail, off+n); err != nil {
			return nil, nil, err
		}
		return &storage.NewBody{Head: head, Blob: &storage.NewBlob{Existing: id, Len: n}, Tail: tail}, func() {}, nil
	}
	spool := w.Store.NewSpool()
	if err := copyRange(spool, w.body, 0, size); err != nil {
		spool.Close()
		return nil, nil, fault.New(op, fault.Temporary, err)
	}
	return &storage.NewBody{Head: []byte(lines), Blob: &storage.NewBlob{Spool: spool, Len: size}}, func() { spool.Close() }, nil
}
