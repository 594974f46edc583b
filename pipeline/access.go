// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/rfc822"
	"pecd/storage"
)

// Access is the access point (RFC 6109 §2.2.1, §3.1): what a holder submits
// leaves it as a signed envelope, or comes back as a signed non-acceptance.
type Access struct{ *Core }

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
	if box.State != storage.MailboxActive {
		return fault.Say(op, fault.Disabled, "servizio non disponibile: casella non attiva / mailbox not active")
	}
	return nil
}

// accepted is one submission while the access point works on it.
type accepted struct {
	Submission
	box    storage.Mailbox
	in     *intake
	header rfc822.Header // as rewritten
	cert   pec.Message
	at     time.Time
}

// Submit implements Acceptor. The acceptance receipt, the envelope's jobs, the
// transaction and the log records become durable in one commit; the 250 follows it.
func (a *Access) Submit(ctx context.Context, s Submission, r io.Reader) (string, error) {
	const op = "pipeline.Submit"
	box, err := a.Mailboxes.Mailbox(ctx, s.Sender)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	s.Recipients = unique(s.Recipients)
	m := &accepted{Submission: s, box: box, in: newIntake(a.Store)}
	defer m.in.spool.Close()

	violations, err := a.take(m, r)
	if err != nil {
		return "", err
	}
	if len(violations) > 0 {
		return a.refuse(ctx, m, violations[0])
	}
	return a.accept(ctx, m)
}

// take reads the submission into the spool, with the header as the rules
// change it, and makes the formal checks.
func (a *Access) take(m *accepted, r io.Reader) ([]pec.Violation, error) {
	lim := rfc822.DefaultLimits()
	br := bufio.NewReaderSize(r, intakeBuffer)
	raw, complete, err := readHeader(br, lim.HeaderBytes)
	if err != nil {
		return nil, err
	}
	header, headerErr := rfc822.ParseHeader(raw, lim)
	m.at = a.now()
	id, err := a.newID(m.at)
	if err != nil {
		return nil, err
	}
	trace := received(m.Peer, a.Hostname, id, protocolName(m.Peer, true), m.at)
	rewritten, msgID := pec.RewriteOriginal(header, id, []byte(trace))
	if !complete {
		// The block goes on: what follows must not become the body.
		rewritten = raw
	}
	if _, err := m.in.Write(rewritten); err != nil {
		return nil, err
	}
	if err := m.in.readAll(br); err != nil {
		return nil, err
	}
	if m.header, err = rfc822.ParseHeader(rewritten, lim); err != nil && headerErr == nil {
		return nil, fault.New("pipeline.take", fault.Internal, err)
	}
	m.cert = a.certify(m, header, id, msgID)
	violations := pec.CheckSubmission(pec.Submission{
		ReversePath: m.Sender, Recipients: m.Recipients, Message: m.in.scan, Header: header,
		MaxSize: a.MaxMessage, MaxProduct: a.MaxProduct, Strict: a.StrictRecipients,
	})
	if (!complete || headerErr != nil) && len(violations) == 0 {
		violations = []pec.Violation{{Check: 1, Text: "intestazione del messaggio troppo grande o non valida", English: "message header too large or malformed"}}
	}
	return violations, nil
}

// certify gathers the certified data: the SMTP sender and recipients, not what
// the header says of them (pec-rules §3.2).
func (a *Access) certify(m *accepted, h rfc822.Header, id, msgID string) pec.Message {
	c := pec.Message{ID: id, MsgID: msgID, Sender: m.Sender, ReplyTo: m.Sender}
	c.HasSubject = h.Has("Subject")
	c.Subject = rfc822.DecodeText(h.Get("Subject"))
	if v := rfc822.DecodeText(h.Get("Reply-To")); v != "" {
		c.ReplyTo = v
	}
	c.Receipt, c.ReceiptAsked = pec.ParseReceiptType(h.Get("X-TipoRicevuta"))
	for _, r := range m.Recipients {
		c.Recipients = append(c.Recipients, pec.Recipient{Address: r, External: !a.Providers.Certified(domainOf(r))})
	}
	return c
}

// refuse answers a formally wrong submission with the signed notice, which is
// its legal answer (RFC 6109 §3.1.2); SMTP says 250.
func (a *Access) refuse(ctx context.Context, m *accepted, v pec.Violation) (string, error) {
	const op = "pipeline.refuse"
	reason := v.Text
	if v.English != "" {
		reason += " (" + v.English + ")"
	}
	notice, err := a.seal(ctx, a.Builder.NonAcceptance(m.cert, m.at, reason), nil, m.at)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	notice = prefixed(notice, returnPath(a.serviceAddress()))
	step := new(storage.Step).Add(
		notice,
		&storage.Append{Mailbox: m.box.ID, Body: storage.BodyRef{New: notice}, InternalDate: m.at},
		a.record(a.event(m, ledger.NonAcceptance, func(e *ledger.Event) { e.Error = reason })),
	)
	if err := a.Store.Commit(ctx, step); err != nil {
		return "", fault.Wrap(op, err)
	}
	return "2.0.0 messaggio non accettato, avviso nella casella / not accepted, see the notice " + m.cert.ID, nil
}

// accept issues the acceptance receipt and the transport envelope (RFC 6109
// §3.1.4, §3.1.5) and sends the envelope on its ways.
func (a *Access) accept(ctx context.Context, m *accepted) (string, error) {
	const op = "pipeline.accept"
	size := m.in.spool.Size()
	o := &original{r: m.in.spool, n: size, blob: m.in.blob(0, size)}
	eightBit := m.in.scan.Has8Bit

	receipt, envelope, err := a.sealBoth(ctx,
		a.Builder.Acceptance(m.cert, m.at), a.Builder.TransportEnvelope(m.cert, m.at, m.header, eightBit), o, m.at)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	receipt = prefixed(receipt, returnPath(a.serviceAddress()))
	step := new(storage.Step).Add(
		receipt,
		&storage.Append{Mailbox: m.box.ID, Body: storage.BodyRef{New: receipt}, InternalDate: m.at},
	)
	tx := storage.Transaction{
		ID: m.cert.ID, Own: true, Sender: m.Sender, MsgID: m.cert.MsgID, Subject: m.cert.Subject,
		Provider: a.Builder.Provider.Name, Receipt: string(m.cert.Receipt), At: m.at, Size: size,
	}
	if err := a.dispatch(ctx, step, m, envelope, eightBit, &tx); err != nil {
		return "", fault.Wrap(op, err)
	}
	step.Add(
		&storage.PutTransaction{Transaction: tx},
		a.record(a.event(m, ledger.Acceptance, nil)),
		a.record(a.event(m, ledger.Envelope, nil)),
	)
	if err := a.Store.Commit(ctx, step); err != nil {
		return "", fault.Wrap(op, err)
	}
	return "2.0.0 accettato / accepted " + m.cert.ID, nil
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
		if local && !r.External {
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
		local := prefixed(envelope, returnPath(m.Sender))
		step.Add(local)
		for _, r := range own {
			step.Add(a.deliverJob(local, m.cert.ID, r, true, m.at))
		}
		step.Add(a.record(a.event(m, ledger.TakeCharge, func(e *ledger.Event) { e.Concerns = own })))
	}
	if len(order) > 0 {
		step.Add(envelope)
	}
	for _, d := range order {
		step.Add(relayJob(envelope, d, relayPayload{
			ID: m.cert.ID, Sender: m.Sender, Recipients: foreign[d], EightBit: eightBit,
			Envelope: true, Certified: a.Providers.Certified(d),
		}, m.at))
	}
	return nil
}

func (a *Access) event(m *accepted, k ledger.Kind, more func(*ledger.Event)) ledger.Event {
	e := eventOf(m.cert, k, m.at)
	e.Mailbox, e.Login, e.Size, e.Channel = m.box.Address, m.Login, m.in.spool.Size(), "smtp"
	e.Remote = m.Peer.Remote
	if more != nil {
		more(&e)
	}
	return e
}
