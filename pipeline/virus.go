// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"io"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/storage"
)

// Finding is what the antivirus says of a message. The zero value: nothing to say.
type Finding struct {
	Name string // of what was found, for notices and the log; with Refuse or Report
	// Refuse keeps the message from going on: a virus, or what policy treats as one.
	Refuse bool
	// Report lets it through with a log record: contents that cannot be looked into.
	Report bool
}

// Scanner looks for viruses (RFC 6109 §3.1.3, §3.2.3). r is the whole message,
// or a part of it that has been decoded for the engine, and an io.Seeker for an
// engine that wants a second look. An error means that nothing was found out:
// the message is neither clean nor infected, and waits where it is.
// Implementations are safe for concurrent use.
type Scanner interface {
	Scan(ctx context.Context, r io.Reader) (Finding, error)
}

// scan has the whole message looked through, and what in it must be decoded
// first, by the antivirus and for unwanted contents; without either there is
// nothing to find. The worst finding of the antivirus counts. An error of any look
// is answered 451 (ADR 0005 #2).
func (c *Core) scan(ctx context.Context, in *intake) (Finding, []protection.Finding, error) {
	s := &inspection{core: c, parts: maxEncodedParts}
	if c.Protection != nil && c.Protection.Contents != nil {
		s.contents = c.Protection.Contents.Begin(c.Store.NewSpool)
	}
	if c.Scanner == nil && s.contents == nil {
		return Finding{}, nil, nil
	}
	size := in.spool.Size()
	s.octets = maxDecoded * size
	err := s.ask(ctx, traced(in.spool, size))
	if err == nil && !s.found.Refuse {
		err = s.within(ctx, io.NewSectionReader(in.spool, 0, size), in.scan, 0, 0)
	}
	if err != nil {
		return Finding{}, nil, &fault.Error{
			Op: "pipeline.scan", Kind: fault.Temporary, Err: err,
			Text: "controllo antivirus non disponibile, riprovare / antivirus check not available, try again",
		}
	}
	var unwanted []protection.Finding
	if s.contents != nil {
		unwanted = s.contents.Findings()
	}
	if c.Scanner == nil && s.found.Refuse {
		// Nothing is a virus where nobody looks for one: what could not be taken
		// apart was not examined, no more.
		unwanted = protection.Distinct(append(unwanted, protection.Finding{Kind: protection.Opaque, Name: encodedLimit}))
		s.found = Finding{}
	}
	if s.found.Refuse || s.found.Report {
		s.found.Name = named(s.found.Name)
	}
	return s.found, unwanted, nil
}

// named makes what an engine calls its finding fit for rows, replies and lists.
func named(finding string) string {
	if s := traceClean(finding, func(r rune) bool { return r >= ' ' && r < 0x7f }); s != "" {
		return s
	}
	return "contenuto non ammesso"
}

// scanOrdinary is scan for what anybody can send, which may not keep the
// antivirus from the rest (ADR 0005 #12).
func (c *Core) scanOrdinary(ctx context.Context, in *intake) (Finding, []protection.Finding, error) {
	if c.OrdinaryScanner == nil {
		return c.scan(ctx, in)
	}
	ordinary := *c
	ordinary.Scanner = c.OrdinaryScanner
	return ordinary.scan(ctx, in)
}

// report adds to step e, the log event of a message that is let through, where
// the antivirus could not look into all of it.
func (c *Core) report(step *storage.Step, e ledger.Event, found Finding) {
	if found.Report {
		e.Detail = found.Name
		step.Add(c.record(e))
	}
}

// infected answers a submission with a virus: the signed notice to its sender
// and the message in quarantine are one commit (RFC 6109 §2.2.1, §3.1.3).
func (a *Access) infected(ctx context.Context, m *accepted) (string, error) {
	const op = "pipeline.infected"
	virus := m.found.Name
	kept, err := a.encrypt(m.submitted())
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	defer kept.Close()
	draft := a.Builder.NonAcceptanceVirus(m.cert, m.at, virus)
	step := new(storage.Step)
	if err := a.notify(ctx, step, m, draft); err != nil {
		return "", fault.Wrap(op, err)
	}
	quarantine(step, kept, 0, storage.Quarantined{
		At: m.at, Point: pointAccess, Message: m.cert.ID, Sender: m.Sender, Recipients: m.Recipients, Virus: virus, Size: m.submittedSize(),
	})
	step.Add(
		a.record(a.event(m, ledger.InterceptVirus, func(e *ledger.Event) { e.Virus = virus })),
		a.record(a.event(m, ledger.SubmissionRefused, func(e *ledger.Event) {
			e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
			e.Error, e.Virus = string(pec.Virus), virus
		})),
	)
	if err := a.Store.Commit(ctx, step); err != nil {
		return "", fault.Wrap(op, err)
	}
	a.tally(viruses, string(protection.Refuse))
	a.suspected(m.box)
	return "2.0.0 messaggio non accettato per virus, avviso nella casella / not accepted: virus found, see the notice " + m.cert.ID, nil
}
