// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/storage"
)

// ForwardPoint sends on what filters forward (S4-041): the message as it is in
// the holder's mailbox, byte for byte, so that its signature stays valid, with
// lines put before it. It is put into the mailbox that it is for, where that is
// one of ours, or handed to the relay as ordinary mail from the forwarding
// mailbox. Nothing of it is certified, and the holder keeps the original.
type ForwardPoint struct {
	*Core
	budget *forwardBudget
}

// NewForwardPoint returns the forwarding of a provider, of which there is one: it
// knows how much each mailbox has forwarded.
func NewForwardPoint(c *Core) *ForwardPoint {
	return &ForwardPoint{Core: c, budget: newForwardBudget(c.Builder.Location)}
}

// forwardPayload asks for the job's body to be forwarded once.
type forwardPayload struct {
	Mailbox string       `json:"box"` // whose filter says so
	To      string       `json:"rcpt"`
	Class   ledger.Class `json:"class"`
	Quiet   bool         `json:"quiet,omitempty"` // nobody outside is told of it
	// Found is what protection found in the message, Way how it came in.
	Found []protection.Finding `json:"found,omitempty"`
	Way   protection.Direction `json:"way,omitempty"`
	// Booked is when its turn is, where the mailbox has forwarded much.
	Booked time.Time `json:"booked,omitzero"`
}

// forwardJob forwards a message that is put into its mailbox in the same step.
func forwardJob(p placement, to string) *storage.Enqueue {
	return &storage.Enqueue{
		Job: storage.Job{
			Kind: JobForward, Due: p.at, Created: p.at, Expires: p.at.Add(relayLife),
			Payload: encodePayload(forwardPayload{Mailbox: p.box.Address, To: to, Class: p.class, Quiet: p.quiet, Found: p.found, Way: p.way}),
		},
		Body: p.body,
	}
}

// forwarding is one forward while it is done.
type forwarding struct {
	*ForwardPoint
	job    storage.Job
	p      forwardPayload
	box    storage.Mailbox // that forwards
	body   storage.Body
	size   int64 // of the message, in octets
	header rfc822.Header
	passed []string // mailboxes that have forwarded it already, the last one first
	at     time.Time
}

// Forward does one job: the message is in the other mailbox, or the relay has it,
// or its holder is told why not, in one commit with the end of the job. A message
// goes once from a mailbox to an address, however often it comes. What cannot be
// done within a day, for whatever reason, is given up: its holder is not to think
// for ever that it was.
func (f *ForwardPoint) Forward(ctx context.Context, job storage.Job) error {
	const op = "pipeline.Forward"
	w := forwarding{ForwardPoint: f, job: job, at: f.now()}
	if err := decodePayload(job.Payload, &w.p); err != nil {
		return err
	}
	var err error
	w.box, err = f.Mailboxes.Mailbox(ctx, w.p.Mailbox)
	if fault.Is(err, fault.NotFound) {
		return fault.Wrap(op, f.Store.Commit(ctx, new(storage.Step).Add(&storage.FinishJob{ID: job.ID})))
	}
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = w.read(ctx)
	if w.body != nil {
		defer w.body.Close()
	}
	if err == nil {
		err = w.do(ctx)
	}
	if err != nil && ctx.Err() == nil && expired(job, w.at) {
		f.Logger.Error("forward given up", "mailbox", w.box.Address, "error", err)
		err = w.fail(ctx, "errore del sistema di inoltro / failure of the forwarding system")
	}
	return fault.Wrap(op, err)
}

// read opens the message and reads its header.
func (w *forwarding) read(ctx context.Context) (err error) {
	if w.body, err = w.Store.OpenBody(ctx, w.job.Body); err != nil {
		return err
	}
	w.size = w.body.Size()
	if w.header, err = readHead(io.NewSectionReader(w.body, 0, w.size)); err != nil {
		return err
	}
	w.passed = redirectedFrom(w.header)
	return nil
}

func (w *forwarding) do(ctx context.Context) error {
	if other := w.loop(); other != "" {
		return w.stop(ctx, other)
	}
	if w.box.Block.On() {
		return w.fail(ctx, "invii della casella bloccati / sending is blocked")
	}
	wait, err := w.turn(ctx)
	switch {
	case err != nil:
		return err
	case wait.Sub(w.job.Created) >= relayLife:
		return w.fail(ctx, "superati i limiti di invio della casella / beyond the send limits of the mailbox")
	case wait.After(w.at):
		w.p.Booked = wait
		return w.Store.Commit(ctx, new(storage.Step).Add(&storage.RetryJob{ID: w.job.ID, Due: wait, Payload: encodePayload(w.p)}))
	}
	local, err := w.isLocal(ctx, w.p.To)
	switch {
	case err != nil:
		return err
	case local:
		return w.intoMailbox(ctx)
	}
	return w.toServer(ctx)
}

// turn is when the forward may go. Its place is booked once.
func (w *forwarding) turn(ctx context.Context) (time.Time, error) {
	if !w.p.Booked.IsZero() {
		return w.p.Booked, nil
	}
	figures, err := w.Mailboxes.Figures(ctx, w.box)
	if err != nil {
		return time.Time{}, err
	}
	return w.budget.book(w.box.ID, figures.MaxPerMinute, figures.MaxPerDay, w.at, w.job.Created.Add(relayLife)), nil
}

// toServer hands the message to the relay, as ordinary mail of the forwarding
// mailbox. What came with the null reverse path goes on with it: nobody must
// answer it (RFC 5321 §6.3).
func (w *forwarding) toServer(ctx context.Context) error {
	copied, done, err := w.copy(w.lines())
	if err != nil {
		return err
	}
	defer done()
	eight, err := eightBit(w.body)
	if err != nil {
		return err
	}
	sender := w.box.Address
	if w.header.Has("Return-Path") && envelopeFrom(w.header) == "" {
		sender = ""
	}
	domain := domainOf(w.p.To)
	step := new(storage.Step).Add(copied, relayJob(copied, domain, relayPayload{
		ID: strings.Trim(w.header.Get("Message-ID"), "<>"), Sender: sender, Recipients: []string{w.p.To}, EightBit: eight,
		Certified: w.Providers.Certified(domain), MsgID: w.header.Get("Message-ID"), Subject: rfc822.DecodeText(w.header.Get("Subject")),
		Forward: w.box.Address,
	}, w.at))
	_, err = w.end(ctx, step)
	return err
}

// end commits step with its record and the end of the job. Where the message has
// gone to that address before, the job ends without step.
func (w *forwarding) end(ctx context.Context, step *storage.Step) (sent bool, err error) {
	finish := &storage.FinishJob{ID: w.job.ID}
	step.Add(w.record(w.event(ledger.ForwardSent, "")), &storage.Once{Keys: []string{w.key()}, At: w.at}, finish)
	err = w.Store.Commit(ctx, step)
	if fault.Is(err, fault.Exists) {
		return false, w.Store.Commit(ctx, new(storage.Step).Add(finish))
	}
	return err == nil, err
}

// key names the message, the mailbox and the address, so that one goes to the
// other once. The message is what it is below the lines of its way.
func (w *forwarding) key() string {
	h := sha256.New()
	size := w.size - int64(len(w.header.Raw()))
	for _, f := range w.header.Fields() {
		switch strings.ToLower(f.Name) {
		case "return-path", "received", strings.ToLower(redirectField):
		default:
			h.Write(f.Raw)
		}
	}
	return "fwd|" + hex.EncodeToString(h.Sum(nil)[:16]) + "|" + strconv.FormatInt(size, 10) + "|" +
		strconv.FormatInt(int64(w.box.ID), 10) + "|" + strings.ToLower(w.p.To)
}

// event is a record about the forward. The message is the holder's, whoever sent it.
func (w *forwarding) event(k ledger.Kind, detail string) ledger.Event {
	e := ledger.Event{
		At: w.at, Kind: k, Side: ledger.Foreign, Sender: envelopeFrom(w.header), Subject: rfc822.DecodeText(w.header.Get("Subject")),
		Mailbox: w.box.Address, Class: w.p.Class, Size: w.size, Detail: detail,
	}
	if id := w.header.Get("Message-ID"); id != "" {
		e.Related = []string{id}
	}
	concern(&e, w.p.To)
	return e
}

// eightBit reports whether a message has octets that need 8BITMIME (RFC 6152).
func eightBit(r storage.Body) (bool, error) {
	w := new(octets)
	err := copyRange(w, r, 0, r.Size())
	if err != nil {
		err = fault.New("pipeline.eightBit", fault.Temporary, err)
	}
	return w.high, err
}

type octets struct{ high bool }

// Write implements io.Writer.
func (o *octets) Write(p []byte) (int, error) {
	for _, c := range p {
		o.high = o.high || c >= 0x80
	}
	return len(p), nil
}
