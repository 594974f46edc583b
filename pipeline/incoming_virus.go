// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"slices"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/storage"
)

// maxNotices bounds the octets of the notices of one commit. Each of them names
// all recipients of the message: for a thousand it is a hundred megabytes.
const maxNotices = 16 << 20

// detain keeps a valid envelope with a virus from everybody: the quarantine has
// it, and the sender's provider is told for each certified recipient (RFC 6109
// §3.2.3). The notices are in one commit with the quarantine's row, or, where
// they are too many, each in the commit of a row that names its recipient.
func (i *Incoming) detain(ctx context.Context, m *arrived) (string, error) {
	const op = "pipeline.detain"
	ciphertext, err := i.encrypt(m.in.reader())
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	defer ciphertext.Close()
	var kept storage.BodyID // once the first row has it
	for tries := 0; tries < 3; {
		fresh, keys, err := i.fresh(ctx, m.Recipients, m.envelopeKeys())
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		if len(fresh) == 0 {
			return m.knownAlready(), nil
		}
		step := new(storage.Step)
		cert := pec.MessageOf(*m.rec.CertData)
		if kept == 0 {
			caught := i.event(m, cert, ledger.InterceptVirus)
			concern(&caught, fresh...)
			caught.Mailbox, caught.Virus = only(fresh), m.found.Name
			step.Add(i.record(i.event(m, cert, ledger.EnvelopeReceived)), i.record(caught))
		}
		n, err := i.detained(ctx, step, m, cert, fresh)
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		body := quarantine(step, ciphertext, kept, storage.Quarantined{
			At: m.at, Point: pointIncoming, Message: cert.ID, Provider: m.verdict.Origin.Provider, Sender: cert.Sender,
			Recipients: fresh[:n], Virus: m.found.Name, Size: m.in.spool.Size(),
		})
		err = i.Store.Commit(ctx, step.Add(&storage.Once{Keys: keys[:n], At: m.at}))
		switch {
		case err == nil && n == len(fresh):
			i.tally(viruses, string(protection.Refuse))
			return "2.0.0 ricevuto con virus, non consegnato / received infected, not delivered " + cert.ID, nil
		case err == nil && kept == 0:
			kept = body.ID
		case fault.Is(err, fault.Exists): // a copy arriving at the same moment claimed recipients first
			tries++
		case err != nil:
			return "", fault.Wrap(op, err)
		}
	}
	return "", fault.Say(op, fault.Temporary, "")
}

// detained adds to step the notices for the first n recipients and what is
// recorded of them. Of those who are ordinary ones by the certified data only
// the log knows: their sender was told that nothing will come.
func (i *Incoming) detained(ctx context.Context, step *storage.Step, m *arrived, cert pec.Message, fresh []string) (n int, err error) {
	_, silent := m.certified(fresh)
	tx := i.transaction(m, cert)
	octets := 0
	for _, r := range fresh {
		if octets >= maxNotices {
			break
		}
		n++
		if slices.Contains(silent, r) {
			continue
		}
		draft := i.Builder.VirusDetection(cert, m.at, r, m.found.Name, m.verdict.Origin.MailReceipt)
		tx.Recipients = append(tx.Recipients, storage.TxRecipient{
			Address: r, Outcome: storage.Failed, OutcomeAt: m.at, OutcomeRef: draft.MessageID,
		})
		e := i.event(m, cert, ledger.ReceiptEmitted)
		concern(&e, r)
		e.Mailbox, e.Receipt, e.Related = r, draft.Kind.CertType(), []string{draft.MessageID}
		e.Error, e.Virus = string(pec.Virus), m.found.Name
		step.Add(i.record(e))
		notice, err := i.tellProvider(ctx, step, m, cert, draft)
		if err != nil {
			return 0, err
		}
		octets += len(notice.Head)
	}
	if len(tx.Recipients) > 0 {
		step.Add(&storage.PutTransaction{Transaction: tx})
	}
	return n, nil
}

// refuseInfected refuses a message with a virus that is no valid envelope: its
// server is told at once, nobody else is (RFC 6109 §2.2.2). What a PEC provider
// signed is kept all the same, once, whoever it is sent to and how often: by the
// rules it should have reached its recipients, but anybody can send it again. Of
// a repetition the refusal is recorded. Where two come in together, the second
// is to come again.
func (i *Incoming) refuseInfected(ctx context.Context, m *arrived) error {
	const op = "pipeline.refuseInfected"
	virus := m.found.Name
	why := fault.Say(op, fault.Infected, "messaggio rifiutato, contiene un virus: "+virus+" / message refused, virus found")
	step := new(storage.Step)
	key, known := "", false
	if m.fromProvider() {
		key = "inf|" + m.signedName()
		done, err := i.Store.Done(ctx, []string{key})
		if err != nil {
			return fault.Wrap(op, err)
		}
		known = len(done) > 0
	}
	if key != "" && !known {
		kept, err := i.encrypt(m.in.reader())
		if err != nil {
			return fault.Wrap(op, err)
		}
		defer kept.Close()
		step.Add(&storage.Once{Keys: []string{key}, At: m.at})
		quarantine(step, kept, 0, storage.Quarantined{
			At: m.at, Point: pointIncoming, Message: traceComment(m.in.scan.Root.Header.Get("Message-ID")), Provider: m.verdict.Origin.Provider,
			Sender: m.Sender, Recipients: m.Recipients, Virus: virus, Size: m.in.spool.Size(),
		})
	}
	if !known {
		caught := i.arrival(m, ledger.InterceptVirus)
		caught.Mailbox, caught.Virus = only(m.Recipients), virus
		step.Add(i.record(caught))
	}
	refused := i.arrival(m, ledger.OrdinaryRefused)
	refused.Mailbox, refused.Virus, refused.Detail = only(m.Recipients), virus, why.Text
	err := i.refuse(ctx, step.Add(i.record(refused)), why)
	if !known && fault.Is(err, fault.Infected) {
		i.tally(viruses, string(protection.Refuse))
	}
	return err
}

// only returns the recipient where there is just one.
func only(recipients []string) string {
	if len(recipients) == 1 {
		return recipients[0]
	}
	return ""
}
