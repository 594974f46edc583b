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
	"pecd/protection"
	"pecd/signer"
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
	trace   string  // lines put before the message
	found   Finding // of the antivirus

	unwanted []protection.Finding // of other kinds
}

// fromProvider reports whether a PEC provider signed the message: existence,
// origin and validity of the signature hold, whatever its form is (RFC 6109
// §2.2.2). That the certificate is for the address in From is a matter of form.
func (m *arrived) fromProvider() bool {
	return m.verdict.OK() || m.verdict.Failed == signer.StepAddress
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
	token, err := i.newID(m.at)
	if err != nil {
		return "", err
	}
	m.trace = returnPath(m.Sender) + received(m.Peer, i.Hostname, token, protocolName(m.Peer, false), m.at)
	if m.rec, err = pec.Recognise(m.in.scan, m.in.spool); err != nil {
		return "", fault.New(op, fault.Temporary, err)
	}
	m.verdict = i.judge(m)
	if hops := len(m.in.scan.Root.Header.Values("Received")); hops > maxHops {
		return "", i.turnAway(ctx, m, "", fault.Say(op, fault.Invalid, "troppi passaggi, probabile ciclo / too many hops"))
	}
	if m.in.scan.HasNUL { // no IMAP literal may carry it (RFC 9051 §4.3), whoever signed it
		return "", i.turnAway(ctx, m, "", fault.Say(op, fault.Invalid, "presenza di caratteri NUL / NUL characters present"))
	}
	switch m.verdict.Failed {
	case signer.StepRead, signer.StepUnknownRevocation:
		// A fault of ours, or of the authority's, says nothing about the
		// signature: calling the message ordinary would be a false verdict.
		return "", &fault.Error{
			Op: op, Kind: fault.Temporary, Err: m.verdict.Err,
			Text: "firma non verificabile al momento, riprovare / signature cannot be verified now, try again",
		}
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
	switch {
	case !m.fromProvider():
		reason, english := m.ordinaryReason()
		return i.ordinary(ctx, m, reason, english)
	case !m.verdict.OK():
		return i.malformed(ctx, m, m.verdict.Reason, m.verdict.ReasonEN)
	}
	switch m.rec.Kind {
	case pec.None:
		return i.malformed(ctx, m, m.rec.Reason, m.rec.ReasonEN)
	case pec.AnomalyEnvelope:
		return i.malformed(ctx, m, "busta di anomalia proveniente da un altro gestore", "anomaly envelope from another provider")
	}
	forged, err := i.forged(ctx, m)
	if err != nil {
		return "", err
	}
	if forged {
		return i.malformed(ctx, m, "mittente di un dominio che il gestore firmatario non gestisce", "sender of a domain that the signing provider does not manage")
	}
	if m.rec.Kind == pec.TransportEnvelope {
		if stranger := m.stranger(); stranger != "" {
			return i.malformed(ctx, m, "destinatario "+stranger+" non compreso nei dati di certificazione", "recipient "+stranger+" not among the certified data")
		}
		return i.envelope(ctx, m)
	}
	if other := i.misdirected(m); other != "" {
		return i.malformed(ctx, m, "ricevuta indirizzata a "+other+", che non ne è il destinatario certificato", "receipt addressed to "+other+", whom the certified data do not name")
	}
	return i.receipt(ctx, m)
}

// forged reports whether another provider says of a message of one of our own
// holders what only the sender's provider says (pec-rules §1.3): that it was
// accepted or not, that nothing was heard of it, that it was not delivered for a
// virus; or sends it. Of other providers' domains the index of the day may be
// behind, so their signers are believed.
func (i *Incoming) forged(ctx context.Context, m *arrived) (bool, error) {
	switch m.rec.Kind {
	case pec.TransportEnvelope, pec.Acceptance, pec.NonAcceptance, pec.NonAcceptanceVirus, pec.NonDeliveryVirus, pec.Timeout12, pec.Timeout24:
	default:
		return false, nil
	}
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

func (i *Incoming) event(m *arrived, cert pec.Message, k ledger.Kind) ledger.Event {
	e := eventOf(cert, k, m.at)
	e.Side, e.Provider, e.Peer, e.Size = ledger.Foreign, m.verdict.Origin.Provider, m.Peer.Remote, m.in.spool.Size()
	return e
}

// signedName names a message by what was signed and by whom: a repeated one has
// the same name, however its signature is encoded and whatever is around it.
func (m *arrived) signedName() string {
	h := sha256.New()
	h.Write(m.verdict.Certificate.Raw)
	h.Write(m.verdict.ContentDigest)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// receiptKeys name a receipt, one key for each recipient.
func (m *arrived) receiptKeys() []string {
	name := m.signedName()
	keys := make([]string, len(m.Recipients))
	for n, r := range m.Recipients {
		keys[n] = "rec|" + name + "|" + strings.ToLower(r)
	}
	return keys
}
