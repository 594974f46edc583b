// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/storage"
)

// Access is the access point (RFC 6109 §2.2.1, §3.1): what a holder submits
// leaves it as a signed envelope, or comes back as a signed non-acceptance.
type Access struct {
	*Core
	// Delivery, when set, is told of what was accepted for own mailboxes, so that
	// it need not read it back.
	Delivery *DeliveryPoint
	// Limits bounds what mailboxes send; nil: nothing does.
	Limits *SendLimits
}

var _ Acceptor = (*Access)(nil)

// MaySend implements Acceptor.
func (a *Access) MaySend(ctx context.Context, login, sender string) error {
	const op = "pipeline.MaySend"
	ok, err := a.Mailboxes.MaySend(ctx, login, sender)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fault.Wrap(op, err)
	}
	if !ok {
		return fault.Say(op, fault.Denied, "mittente non autorizzato per questo utente / sender not owned by user")
	}
	box, err := a.Mailboxes.Mailbox(ctx, sender)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return a.inService(ctx, box, false)
}

// accepted is one submission while the access point works on it.
type accepted struct {
	Submission
	box     storage.Mailbox
	figures storage.Figures // of box
	in      *intake
	header  rfc822.Header // as rewritten
	cert    pec.Message
	at      time.Time
	found   Finding // of the antivirus

	unwanted []protection.Finding // of other kinds
	decision protection.Decision  // about them

	raw  []byte // header block as submitted
	head int64  // length of the rewritten one in the spool

	submitHeader rfc822.Header // raw, read

	local *storage.NewBody // the envelope for own mailboxes; nil without any
}

// submitted is the message as the client sent it: what an inspector of the
// quarantine must find (RFC 6109 §2.2.1, "as is").
func (m *accepted) submitted() io.Reader {
	return io.MultiReader(bytes.NewReader(m.raw), io.NewSectionReader(m.in.spool, m.head, m.in.spool.Size()-m.head))
}

func (m *accepted) submittedSize() int64 { return int64(len(m.raw)) + m.in.spool.Size() - m.head }

// Submit implements Acceptor. The acceptance receipt, the envelope's jobs, the
// transaction and the log records become durable in one commit; the 250 follows it.
func (a *Access) Submit(ctx context.Context, s Submission, r io.Reader) (string, error) {
	const op = "pipeline.Submit"
	box, err := a.Mailboxes.Mailbox(ctx, s.Sender)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	figures, err := a.Mailboxes.Figures(ctx, box)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	s.Recipients = unique(s.Recipients)
	m := &accepted{Submission: s, box: box, figures: figures, in: newIntake(a.Store)}
	defer m.in.spool.Close()
	m.in.hash = sha256.New()

	violations, err := a.take(ctx, m, r)
	if err != nil {
		return "", err
	}
	if len(violations) > 0 {
		// The rules look for a virus after the form (RFC 6109 §3.1.1 to §3.1.3):
		// what is refused for its form goes nowhere and is not kept.
		reason := reasonOf(violations)
		return a.refuse(ctx, m, reason, reason)
	}
	if m.found, m.unwanted, err = a.scan(ctx, m.in); err != nil {
		return "", fault.Wrap(op, err)
	}
	if m.found.Refuse {
		return a.infected(ctx, m)
	}
	if err := a.judge(ctx, m); err != nil {
		return "", fault.Wrap(op, err)
	}
	if m.decision.Action == protection.Refuse {
		return a.reject(ctx, m)
	}
	if err := a.still(ctx, m); err != nil {
		return "", err
	}
	text, err := a.accept(ctx, m)
	if err == nil {
		a.submitted(ctx, m)
	}
	return text, err
}

// take reads the submission into the spool, with the header as the rules
// change it, and makes the formal checks.
func (a *Access) take(ctx context.Context, m *accepted, r io.Reader) ([]pec.Violation, error) {
	lim := submissionLimits()
	br := bufio.NewReaderSize(r, smallBuffer)
	raw, complete, err := readHeader(br, lim.HeaderBytes)
	if err != nil {
		return nil, err
	}
	header, headerErr := rfc822.ParseHeader(raw, lim)
	begun := a.now()
	id, err := a.newID(begun)
	if err != nil {
		return nil, err
	}
	trace := received(m.Peer, a.Hostname, id, protocolName(m.Peer, true), begun)
	rewritten, msgID := pec.RewriteOriginal(header, id, []byte(trace))
	if !complete {
		// The block goes on: what follows must not become the body.
		rewritten = raw
	}
	m.raw, m.head, m.submitHeader = raw, int64(len(rewritten)), header
	if _, err := m.in.Write(rewritten); err != nil {
		return nil, err
	}
	if err := m.in.readAll(br); err != nil {
		return nil, err
	}
	// The certified instant is that of the whole message: whoever sends slowly
	// must not choose contents after it.
	m.at = a.now()
	if m.header, err = rfc822.ParseHeader(rewritten, rfc822.DefaultLimits()); err != nil {
		headerErr = err
	}
	if m.cert, err = a.certify(ctx, m, header, id, msgID); err != nil {
		return nil, err
	}
	check := pec.Submission{
		ReversePath: m.Sender, Recipients: m.Recipients, Message: m.in.scan, Header: header,
		MaxSize: a.maxMessage(m.figures), MaxProduct: a.MaxProduct, Strict: a.StrictRecipients,
	}
	// The limits are on the message as submitted, without the lines of ours.
	grown := int64(len(rewritten) - len(raw))
	if check.MaxSize > 0 {
		check.MaxSize += grown
	}
	if check.MaxProduct > 0 {
		check.MaxProduct += grown * int64(len(m.Recipients))
	}
	violations := pec.CheckSubmission(check)
	switch {
	case (!complete || headerErr != nil) && len(violations) == 0:
		violations = []pec.Violation{{Check: 1, Text: "intestazione del messaggio troppo grande o non valida", English: "message header too large or malformed"}}
	case len(header.Values("Received")) > maxHops:
		violations = append(violations, pec.Violation{Check: 1, Text: "troppi passaggi (Received), probabile ciclo", English: "too many hops"})
	}
	return violations, nil
}

// maxMessage is the size of a message of a mailbox at most; 0: no bound.
func (a *Access) maxMessage(f storage.Figures) int64 {
	if a.MaxMessage == 0 {
		return f.MaxMessage
	}
	return min(a.MaxMessage, f.MaxMessage)
}

// certify gathers the certified data: the SMTP sender and recipients, not what
// the header says of them (pec-rules §3.2).
func (a *Access) certify(ctx context.Context, m *accepted, h rfc822.Header, id, msgID string) (pec.Message, error) {
	c := pec.Message{ID: id, MsgID: msgID, Sender: m.Sender, ReplyTo: m.Sender}
	c.HasSubject = h.Has("Subject")
	c.Subject = rfc822.DecodeText(h.Get("Subject"))
	if v := rfc822.DecodeText(h.Get("Reply-To")); v != "" {
		c.ReplyTo = v
	}
	c.Receipt, c.ReceiptAsked = pec.ParseReceiptType(h.Get("X-TipoRicevuta"))
	for _, r := range m.Recipients {
		local, err := a.isLocal(ctx, r) // certified by us, whatever the index says of us today
		if err != nil {
			return c, err
		}
		c.Recipients = append(c.Recipients, pec.Recipient{Address: r, External: !local && !a.Providers.Certified(domainOf(r))})
	}
	return c, nil
}

// accept issues the acceptance receipt and the transport envelope (RFC 6109
// §3.1.4, §3.1.5) and sends the envelope on its ways.
func (a *Access) accept(ctx context.Context, m *accepted) (string, error) {
	const op = "pipeline.accept"
	size := m.in.spool.Size()
	o := &original{r: m.in.spool, n: size, blob: m.in.blob(0, size)}
	eightBit := m.in.scan.Has8Bit

	step := new(storage.Step)
	hold, err := a.count(ctx, step, m)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if hold != nil {
		defer hold.GiveBack(ctx) // unless it ends otherwise
	}
	acceptance := a.Builder.Acceptance(m.cert, m.at)
	receipt, envelope, err := a.sealBoth(ctx, acceptance, a.Builder.TransportEnvelope(m.cert, m.at, m.header, eightBit), o, m.at)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	receipt = prefixed(receipt, returnPath(a.serviceAddress()))
	step.Add(receipt)
	err = a.place(ctx, step, placement{
		box: m.box, body: storage.BodyRef{New: receipt}, at: m.at, class: ledger.ClassReceipt, into: a.receiptsInto(m.box, m.at),
	})
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	filed, err := a.fileSent(ctx, step, m, o.blob)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	a.report(step, a.event(m, ledger.ScanReported, nil), m.found)
	a.intercepted(step, a.event(m, ledger.InterceptContents, nil), protection.Submission, m.decision)
	tx := storage.Transaction{
		ID: m.cert.ID, Own: true, Sender: m.Sender, MsgID: m.cert.MsgID, Subject: m.cert.Subject, ReplyTo: m.cert.ReplyTo,
		Provider: a.Builder.Provider.Name, Receipt: string(m.cert.Receipt), At: m.at, Size: size,
	}
	if err := a.dispatch(ctx, step, m, envelope, eightBit, &tx); err != nil {
		return "", fault.Wrap(op, err)
	}
	if slices.ContainsFunc(m.cert.Recipients, func(r pec.Recipient) bool { return !r.External }) {
		step.Add(deadlineJob(m.cert.ID, m.at))
	}
	step.Add(
		&storage.PutTransaction{Transaction: tx},
		a.record(a.event(m, ledger.SubmissionAccepted, func(e *ledger.Event) {
			e.Receipt, e.Related = pec.Acceptance.CertType(), []string{acceptance.MessageID}
		})),
		a.record(a.event(m, ledger.EnvelopeCreated, func(e *ledger.Event) { e.Recipients = nil })),
	)
	err = a.commit(ctx, step, m, o, eightBit)
	switch {
	case hold == nil:
	case err != nil:
		hold.Doubt(ctx)
	default:
		hold.Keep()
	}
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	a.counted(protection.Submission, m.decision)
	return "2.0.0 accettato / accepted " + a.notFiled(m, filed) + m.cert.ID, nil
}

// commit stores what was accepted and tells the delivery point of the envelope.
func (a *Access) commit(ctx context.Context, step *storage.Step, m *accepted, o *original, eightBit bool) error {
	if a.Delivery == nil || m.local == nil {
		return a.Store.Commit(ctx, step)
	}
	stored := a.Delivery.envelopes.expect(envelopeKey{own: m.cert.ID})
	e := &envelope{cert: m.cert.Certified(), accepted: m.at, primary: pec.Primaries(m.header), header: len(m.header.Raw()), n: o.n, eightBit: eightBit}
	if o.n <= keptOriginal {
		e.bytes = make([]byte, o.n)
		if _, err := readFullAt(o.r, e.bytes, 0); err != nil {
			stored(nil)
			return err
		}
	}
	if err := a.Store.Commit(ctx, step); err != nil {
		stored(nil)
		return err
	}
	e.size, e.off = m.local.Size, int64(len(m.local.Head))
	e.original, e.sum = o.blob.ID, o.blob.Sum
	stored(e)
	return nil
}

// sealBoth signs the receipt and the envelope side by side.
func (a *Access) sealBoth(ctx context.Context, receipt, envelope pec.Draft, o *original, at time.Time) (r, e *storage.NewBody, err error) {
	type sealed struct {
		body *storage.NewBody
		err  error
	}
	first := make(chan sealed, 1)
	go func() {
		b, err := a.seal(ctx, receipt, nil, at)
		first <- sealed{b, err}
	}()
	e, err = a.seal(ctx, envelope, o, at)
	other := <-first
	return other.body, e, errors.Join(err, other.err)
}

// dispatch adds the jobs that carry the envelope to every recipient: one
// delivery for each own mailbox, one relay for each other domain. Own
// recipients are taken in charge here and now: the take-charge between two
// points of one provider is a log record (pec-rules §11 #14).
func (a *Access) dispatch(ctx context.Context, step *storage.Step, m *accepted, envelope *storage.NewBody, eightBit bool, tx *storage.Transaction) error {
	var own []string
	foreign := make(map[string][]string)
	var order []string
	for _, r := range m.cert.Recipients {
		local, err := a.isLocal(ctx, r.Address)
		if err != nil {
			return err
		}
		t := storage.TxRecipient{Address: r.Address, External: r.External}
		if local {
			t.TakenAt = m.at
			own = append(own, r.Address)
		} else {
			d := domainOf(r.Address)
			if foreign[d] == nil {
				order = append(order, d)
			}
			foreign[d] = append(foreign[d], r.Address)
		}
		tx.Recipients = append(tx.Recipients, t)
	}
	if len(own) > 0 {
		// A copy of the envelope that comes in by the MX is known from here on.
		step.Add(&storage.Once{Keys: envelopeKeys(a.Builder.Provider.Name, m.cert.ID, own), At: m.at})
		m.local = prefixed(envelope, returnPath(m.Sender))
		step.Add(m.local)
		for _, r := range own {
			step.Add(deliverJob(m.local, deliverPayload{ID: m.cert.ID, Recipient: r, Own: true, Found: m.unwanted}, m.at))
		}
		step.Add(a.record(a.event(m, ledger.TakenInCharge, func(e *ledger.Event) { concern(e, own...) })))
	}
	if len(order) > 0 {
		step.Add(envelope)
	}
	for _, d := range order {
		step.Add(relayJob(envelope, d, relayPayload{
			ID: m.cert.ID, Sender: m.Sender, Recipients: foreign[d], EightBit: eightBit,
			Envelope: true, Certified: a.Providers.Certified(d), MsgID: m.cert.MsgID, Subject: m.cert.Subject,
		}, m.at))
	}
	return nil
}

func (a *Access) event(m *accepted, k ledger.Kind, more func(*ledger.Event)) ledger.Event {
	e := eventOf(m.cert, k, m.at)
	e.Side, e.Mailbox, e.User, e.Size = ledger.Own, m.box.Address, m.Login, m.in.spool.Size()
	e.Program, e.ProgramID = m.Program, m.ProgramID
	e.Channel, e.Peer, e.Provider = ledger.SMTP, m.Peer.Remote, a.Builder.Provider.Name
	if more != nil {
		more(&e)
	}
	return e
}
