// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"time"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	// receiptsFolder is what the folders of receipts are below, one for each year.
	receiptsFolder = "Ricevute"
	// strayDate is how far a date that nobody here can confirm may be off.
	strayDate = 2 * 365 * 24 * time.Hour
)

// receiptsInto is where receipts and notices go in a mailbox, nil for INBOX: by
// the holder's choice, a folder for the year in which the message they are about
// was accepted, in legal time (ADR 0020). All of a message's receipts are
// together then, also those that come after New Year.
func (c *Core) receiptsInto(box storage.Mailbox, accepted time.Time) *storage.Destination {
	if !box.FileReceipts {
		return nil
	}
	return &storage.Destination{Name: receiptsFolder + "/" + accepted.In(c.Builder.Location).Format("2006")}
}

// accepted is when the message was accepted that a receipt is about which came
// in. Of a message that the store does not know there is only the receipt's own
// date, which its provider chose: it counts if it is likely.
func (i *Incoming) accepted(ctx context.Context, m *arrived) (time.Time, error) {
	d := m.rec.CertData
	tx, err := i.Store.Transaction(ctx, d.ID, true)
	switch {
	case err == nil:
		return tx.At, nil
	case !fault.Is(err, fault.NotFound):
		return time.Time{}, err
	case d.At.Sub(m.at).Abs() > strayDate:
		return m.at, nil
	}
	return d.At, nil
}

// fileSent adds to step the copy of a submission in its sender's folder of sent
// mail, as it was submitted, where the mailbox asks for it. A copy that the
// client puts there, before or after, is the same one. It counts against the
// quota, and is left out where the mailbox is full: the submission is not
// refused for it. The result is nil where there is nothing to file.
//
// original is all of the submission with the header as the rules change it. The
// copy shares it, and has the header as it was before.
func (a *Access) fileSent(ctx context.Context, step *storage.Step, m *accepted, original *storage.NewBlob) (*storage.Append, error) {
	switch {
	case !m.box.FileSent, m.submittedSize() == 0,
		m.in.scan.HasNUL: // no IMAP literal may carry it (RFC 9051 §4.3)
		return nil, nil
	}
	quota, err := a.room(ctx, m.box)
	if err != nil {
		return nil, err
	}
	body := &storage.NewBody{Head: m.raw}
	if original.Len > m.head {
		body.Blob, body.Skip = original, m.head
	}
	filed := &storage.Append{
		Mailbox: m.box.ID, Into: &storage.Destination{Use: storage.SentUse, Name: storage.SentName}, Body: storage.BodyRef{New: body},
		Flags: []string{`\Seen`}, InternalDate: m.at, Quota: quota, Optional: true,
	}
	if id := rfc822.MessageID(m.submitHeader); id != "" {
		filed.Sent = &storage.SentCopy{MessageID: id}
	}
	step.Add(body, filed)
	return filed, nil
}

// notFiled tells the log that a copy was left out, and the client, before the
// identifier in the answer.
func (a *Access) notFiled(m *accepted, filed *storage.Append) string {
	if filed == nil || filed.UID != 0 {
		return ""
	}
	a.Logger.Warn("no copy among the sent messages: the mailbox is full", "mailbox", m.box.Address, "id", m.cert.ID)
	return "(casella piena: copia non archiviata / mailbox full: no copy filed) "
}
