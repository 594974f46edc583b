// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/signer"
	"pecd/storage"
)

// Incoming is the incoming point (RFC 6109 §2.2.2, §3.2): it tells envelopes
// and receipts of other providers from everything else.
type Incoming struct{ *Core }

var _ Receiver = (*Incoming)(nil)

// MayReceive implements Receiver.
func (i *Incoming) MayReceive(ctx context.Context, recipient string) error {
	const op = "pipeline.MayReceive"
	if i.postmaster(recipient) {
		return nil
	}
	local, err := i.isLocal(ctx, recipient)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if !local {
		return fault.Say(op, fault.Denied, "dominio non gestito / relay access denied")
	}
	return nil
}

// postmaster reports whether the recipient is the postmaster of this host, who
// must be reachable (RFC 5321 §4.5.1): his mail goes to the service address.
func (i *Incoming) postmaster(recipient string) bool {
	return strings.EqualFold(recipient, "postmaster@"+i.Hostname)
}

// arrived is one message while the incoming point works on it.
type arrived struct {
	Arrival
	in      *intake
	rec     *pec.Recognised
	verdict signer.Verdict
	at      time.Time
	trace   string // lines put before the message
}

// Receive implements Receiver: the decision table of pec-rules §1.5.
func (i *Incoming) Receive(ctx context.Context, a Arrival, r io.Reader) (string, error) {
	const op = "pipeline.Receive"
	for n, r := range a.Recipients {
		if i.postmaster(r) {
			a.Recipients[n] = i.serviceAddress()
		}
	}
	a.Recipients = unique(a.Recipients)
	m := &arrived{Arrival: a, in: newIntake(i.Store)}
	defer m.in.spool.Close()
	if err := m.in.readAll(r); err != nil {
		return "", err
	}
	m.at = i.now()
	if hops := len(m.in.scan.Root.Header.Values("Received")); hops > maxHops {
		return "", fault.Say(op, fault.Invalid, "troppi passaggi, probabile ciclo / too many hops")
	}
	token, err := i.newID(m.at)
	if err != nil {
		return "", err
	}
	m.trace = returnPath(m.Sender) + received(m.Peer, i.Hostname, token, protocolName(m.Peer, false), m.at)
	if m.rec, err = pec.Recognise(m.in.scan, m.in.spool); err != nil {
		return "", fault.New(op, fault.Temporary, err)
	}
	m.verdict = i.judge(m)
	switch m.verdict.Failed {
	case signer.StepRead, signer.StepUnknownRevocation:
		// A fault of ours, or of the authority's, says nothing about the
		// signature: calling the message ordinary would be a false verdict.
		return "", fault.New(op, fault.Temporary, m.verdict.Err)
	}
	return i.decide(ctx, m)
}

// judge makes tests 1 to 3: signature existence, origin, validity.
func (i *Incoming) judge(m *arrived) signer.Verdict {
	if m.rec.Signed == nil || m.rec.Signature == nil {
		return signer.Verdict{Failed: signer.StepExistence, Reason: "firma assente", ReasonEN: "no signature"}
	}
	p := m.rec.Signed
	var content io.Reader = io.NewSectionReader(m.in.spool, p.Offset, p.End-p.Offset)
	if o := m.rec.Original; o != nil {
		m.in.inner = &rangeSum{hash: sha256.New(), off: o.BodyOffset, end: o.End, pos: p.Offset}
		content = io.TeeReader(content, m.in.inner)
	}
	return i.Verifier.Verify(m.rec.Signature, content, m.at, m.rec.From)
}

func (i *Incoming) decide(ctx context.Context, m *arrived) (string, error) {
	if !m.verdict.OK() {
		reason, english := m.ordinaryReason()
		return i.ordinary(ctx, m, reason, english)
	}
	switch m.rec.Kind {
	case pec.None:
		return i.malformed(ctx, m, m.rec.Reason, m.rec.ReasonEN)
	case pec.AnomalyEnvelope:
		return i.malformed(ctx, m, "busta di anomalia proveniente da un altro gestore", "anomaly envelope from another provider")
	case pec.TransportEnvelope:
		if stranger := m.stranger(); stranger != "" {
			return i.malformed(ctx, m, "destinatario "+stranger+" non compreso nei dati di certificazione", "recipient "+stranger+" not among the certified data")
		}
		forged, err := i.forged(ctx, m)
		if err != nil {
			return "", err
		}
		if forged {
			return i.malformed(ctx, m, "mittente di un dominio che il gestore firmatario non gestisce", "sender of a domain that the signing provider does not manage")
		}
		return i.takeCharge(ctx, m)
	}
	if other := i.misdirected(m); other != "" {
		return i.malformed(ctx, m, "ricevuta indirizzata a "+other+", che non ne è il destinatario certificato", "receipt addressed to "+other+", whom the certified data do not name")
	}
	return i.receipt(ctx, m)
}

// forged reports whether another provider certifies a message of one of our own
// holders: nobody else can have accepted it. Of other providers' domains the
// index of the day may be behind, so their signers are believed.
func (i *Incoming) forged(ctx context.Context, m *arrived) (bool, error) {
	local, err := i.isLocal(ctx, m.rec.CertData.Sender)
	return local && m.verdict.Origin.Provider != i.Builder.Provider.Name, err
}

// misdirected returns a recipient to whom a receipt of this kind does not go:
// take-charge and virus detection go to our service mailbox, all else to the
// certified sender (pec-rules §1.3).
func (i *Incoming) misdirected(m *arrived) string {
	want := m.rec.CertData.Sender
	if m.rec.Kind == pec.TakeCharge || m.rec.Kind == pec.VirusDetection {
		want = i.MailReceipt
	}
	for _, r := range m.Recipients {
		if !strings.EqualFold(r, want) {
			return r
		}
	}
	return ""
}

// ordinaryReason says why this is ordinary mail, for the anomaly envelope.
func (m *arrived) ordinaryReason() (reason, english string) {
	if m.verdict.Failed == signer.StepExistence && m.rec.Claimed == pec.None {
		return "messaggio proveniente da posta elettronica ordinaria", "message from ordinary mail"
	}
	return m.verdict.Reason, m.verdict.ReasonEN
}

// stranger returns a recipient of the SMTP transaction that the certified data
// do not name.
func (m *arrived) stranger() string {
	named := make(map[string]bool, len(m.rec.CertData.Recipients))
	for _, r := range m.rec.CertData.Recipients {
		named[strings.ToLower(r.Address)] = true
	}
	for _, r := range m.Recipients {
		if !named[strings.ToLower(r)] {
			return r
		}
	}
	return ""
}

// takeCharge takes a valid transport envelope in charge for its own recipients
// (RFC 6109 §3.2.1) and hands it to the delivery point. A repeated envelope is
// taken in charge once for each recipient.
func (i *Incoming) takeCharge(ctx context.Context, m *arrived) (string, error) {
	const op = "pipeline.takeCharge"
	for range 3 { // a copy arriving at the same moment may claim recipients first
		fresh, keys, err := i.fresh(ctx, m.Recipients, envelopeKeys(m.verdict.Origin.Provider, m.rec.CertData.ID, m.Recipients))
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		if len(fresh) == 0 {
			return "2.0.0 gia' ricevuto / already received " + m.rec.CertData.ID, nil
		}
		step, err := i.takeChargeStep(ctx, m, fresh, keys)
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		err = i.Store.Commit(ctx, step)
		if err == nil {
			return "2.0.0 preso in carico / taken in charge " + m.rec.CertData.ID, nil
		}
		if !fault.Is(err, fault.Exists) {
			return "", fault.Wrap(op, err)
		}
	}
	return "", fault.Say(op, fault.Temporary, "")
}

// fresh returns the recipients whose key (all, in their order) no earlier step
// has claimed, and their keys.
func (i *Incoming) fresh(ctx context.Context, recipients, all []string) (fresh, keys []string, err error) {
	done, err := i.Store.Done(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	claimed := make(map[string]bool, len(done))
	for _, k := range done {
		claimed[k] = true
	}
	for n, r := range recipients {
		if !claimed[all[n]] {
			fresh, keys = append(fresh, r), append(keys, all[n])
		}
	}
	return fresh, keys, nil
}

func (i *Incoming) takeChargeStep(ctx context.Context, m *arrived, fresh, keys []string) (*storage.Step, error) {
	cert := pec.MessageOf(*m.rec.CertData)
	o := m.rec.Original
	body, err := m.in.body(m.trace, o.BodyOffset, o.End-o.BodyOffset)
	if err != nil {
		return nil, err
	}
	provider := m.verdict.Origin.Provider
	step := new(storage.Step).Add(&storage.Once{Keys: keys, At: m.at}, body, i.record(i.event(m, cert, ledger.EnvelopeReceived)))
	own, silent := m.certified(fresh)
	for _, r := range silent {
		step.Add(deliverJob(body, deliverPayload{ID: cert.ID, Recipient: r, Provider: provider, Silent: true}, m.at))
	}
	if len(own) == 0 {
		return step, nil
	}
	tx := storage.Transaction{
		ID: foreignID(cert.ID, provider), Sender: cert.Sender, MsgID: cert.MsgID, Subject: cert.Subject, ReplyTo: cert.ReplyTo,
		Provider: provider, Receipt: string(cert.Receipt), At: m.at, Size: m.in.spool.Size(),
	}
	for _, r := range own {
		tx.Recipients = append(tx.Recipients, storage.TxRecipient{Address: r, TakenAt: m.at})
		step.Add(deliverJob(body, deliverPayload{ID: cert.ID, Recipient: r, Provider: provider}, m.at))
	}
	step.Add(&storage.PutTransaction{Transaction: tx})
	return step, i.confirm(ctx, step, m, cert, own)
}

// certified parts the recipients into those the certified data call certified
// and those they call ordinary, for whom no receipt is due (pec-rules §1.7).
func (m *arrived) certified(recipients []string) (own, silent []string) {
	external := make(map[string]bool)
	for _, r := range m.rec.CertData.Recipients {
		external[strings.ToLower(r.Address)] = r.External
	}
	for _, r := range recipients {
		if external[strings.ToLower(r)] {
			silent = append(silent, r)
		} else {
			own = append(own, r)
		}
	}
	return own, silent
}

// confirm adds the take-charge receipt for the own recipients, on its way to
// the sender's provider.
func (i *Incoming) confirm(ctx context.Context, step *storage.Step, m *arrived, cert pec.Message, own []string) error {
	to := m.verdict.Origin.MailReceipt
	draft := i.Builder.TakeCharge(cert, m.at, own, to)
	receipt, err := i.seal(ctx, draft, nil, m.at)
	if err != nil {
		return err
	}
	taken := i.event(m, cert, ledger.TakenInCharge)
	concern(&taken, own...)
	taken.Receipt, taken.Related = draft.Kind.CertType(), []string{draft.MessageID}
	step.Add(i.record(taken))
	ok, err := i.route(ctx, step, receipt, to, cert.ID, false, m.at)
	if err == nil && !ok {
		lost := i.event(m, cert, ledger.DeliveryFailed)
		concern(&lost, to)
		lost.Class, lost.Related, lost.Detail = ledger.ClassReceipt, []string{draft.MessageID}, "casella di servizio inesistente"
		step.Add(i.record(lost))
	}
	return err
}

func (i *Incoming) event(m *arrived, cert pec.Message, k ledger.Kind) ledger.Event {
	e := eventOf(cert, k, m.at)
	e.Side, e.Provider, e.Peer, e.Size = ledger.Foreign, m.verdict.Origin.Provider, m.Peer.Remote, m.in.spool.Size()
	return e
}

// receiptKeys name a receipt by what was signed and by whom, one for each
// recipient: a repeated one has the same, however its signature is encoded.
func (m *arrived) receiptKeys() []string {
	h := sha256.New()
	h.Write(m.verdict.Certificate.Raw)
	h.Write(m.verdict.ContentDigest)
	name := hex.EncodeToString(h.Sum(nil)[:16])
	keys := make([]string, len(m.Recipients))
	for n, r := range m.Recipients {
		keys[n] = "rec|" + name + "|" + strings.ToLower(r)
	}
	return keys
}
