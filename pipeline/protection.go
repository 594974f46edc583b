// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"io"

	"pecd/fault"
	"pecd/ledger"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/storage"
)

// Protection is what looks for unwanted contents that are no viruses, and the
// rules about them (S4-036, S4-062 … S4-066). What is found is found once, at the
// access or the incoming point, and goes with the message to each recipient's
// rules.
type Protection struct {
	Contents Contents // nil: nothing is looked into
	Antispam Antispam // nil: nothing is spam
	Rules    Rules
	// SpamRequired makes ordinary mail wait while the antispam does not answer.
	// Certified mail never waits for it.
	SpamRequired bool
}

// Contents looks into messages. Implementations are safe for concurrent use.
type Contents interface {
	// Begin starts to look into one message; scratch makes room for a part of it.
	Begin(scratch func() storage.Spool) ContentsInspection
}

// ContentsInspection is one message being looked into. Errors mean that nothing
// was found out.
type ContentsInspection interface {
	// Message looks into the parts of a message; tree is what is known of r. It is
	// called again for each message that was decoded out of the first.
	Message(ctx context.Context, r io.ReaderAt, tree *rfc822.Message) error
	// File looks at something that a mail reader would save as a file.
	File(ctx context.Context, r io.ReaderAt, size int64) error
	Findings() []protection.Finding
}

// Antispam tells spam. An error means that it does not answer, and says nothing
// about the message. Implementations are safe for concurrent use.
type Antispam interface {
	Check(ctx context.Context, s Suspect, r io.ReaderAt, size int64) ([]protection.Finding, error)
}

// Suspect is what is known of a message besides its octets.
type Suspect struct {
	ID         string
	Sender     string
	Recipients []string
	Peer       Peer
	Login      string // of a submission
}

// Rules tells what is done about findings in a mailbox.
type Rules interface {
	Of(ctx context.Context, address string) (protection.Policy, error)
}

// spam asks the antispam about a message, where the rules of one of the mailboxes
// want to know.
func (c *Core) spam(ctx context.Context, way protection.Direction, mailboxes []string, s Suspect, r io.ReaderAt, size int64) ([]protection.Finding, error) {
	const op = "pipeline.spam"
	if c.Protection == nil || c.Protection.Antispam == nil {
		return nil, nil
	}
	asked := false
	for _, a := range mailboxes {
		rules, err := c.Protection.Rules.Of(ctx, a)
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		if asked = rules.Asks(protection.Spam, way); asked {
			break
		}
	}
	if !asked {
		return nil, nil
	}
	found, err := c.Protection.Antispam.Check(ctx, s, r, size)
	switch {
	case err == nil:
		return found, nil
	case ctx.Err() != nil || way == protection.Ordinary && c.Protection.SpamRequired:
		return nil, &fault.Error{
			Op: op, Kind: fault.Temporary, Err: err,
			Text: "controllo antispam non disponibile, riprovare / antispam check not available, try again",
		}
	}
	return nil, nil // the adapter has raised the alarm
}

// ruled says what is done about the findings of a message in a mailbox.
func (c *Core) ruled(ctx context.Context, way protection.Direction, mailbox string, found []protection.Finding) (protection.Decision, error) {
	if c.Protection == nil || len(found) == 0 {
		return protection.Decision{}, nil
	}
	rules, err := c.Protection.Rules.Of(ctx, mailbox)
	if err != nil {
		return protection.Decision{}, fault.Wrap("pipeline.ruled", err)
	}
	return rules.Decide(way, found), nil
}

// put makes a message be stored as decided. What is put away is not brought back, or
// forwarded, by a filter. Nobody is told of ordinary spam.
func (p *placement) put(d protection.Decision) {
	p.fixed = p.fixed || d.Place != protection.Inbox
	p.quiet = p.quiet || d.Place == protection.Junk && p.class == ledger.ClassAnomaly
	p.flags = append(p.flags, d.Tags...)
	switch d.Place {
	case protection.Junk:
		p.into = &storage.Destination{Use: storage.JunkUse, Name: storage.JunkName}
	case protection.Quarantine:
		p.into = &storage.Destination{Name: storage.QuarantineName}
	}
}

// onlyLogged is the action on record where the rules mark or put away what has no
// mailbox to be marked in.
const onlyLogged = "log"

// intercepted adds to step what the log says of a decision, a record for each kind
// of thing (indicator 11 counts them); e is the event of the message, with the
// mailbox whose rules they are.
func (c *Core) intercepted(step *storage.Step, e ledger.Event, way protection.Direction, d protection.Decision) {
	for _, m := range d.ByKind() {
		e.Kind = ledger.InterceptContents
		if m.Kind == protection.Spam {
			e.Kind = ledger.InterceptSpam
		}
		e.Threat, e.Direction, e.Action, e.Detail = string(m.Kind), string(way), actionOn(way, m), m.Name
		step.Add(c.record(e))
	}
}

// counted counts what was intercepted, once it is on record.
func (c *Core) counted(way protection.Direction, d protection.Decision) {
	for _, m := range d.ByKind() {
		c.tally(string(m.Kind), actionOn(way, m))
	}
}

func actionOn(way protection.Direction, m protection.Measure) string {
	if way == protection.Submission && m.Action != protection.Refuse {
		return onlyLogged
	}
	return string(m.Action)
}

// tally counts one interception.
func (c *Core) tally(threat, action string) {
	if c.Intercepted != nil {
		c.Intercepted(threat, action)
	}
}

// viruses is the threat under which they are counted.
const viruses = "virus"
