// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// wire judges a message that a node sends.
func (j *judge) wire(n *node, p *parcel) *pecMail {
	j.look()
	where := n.name + " sends to " + strings.Join(p.recipients, " ")
	m := j.read(p.raw, where)
	s := j.identify(m, where)
	if m.issuer != n {
		j.w.fail("%s: signed by %s", where, m.issuer.name)
	}
	for _, r := range p.recipients {
		if !strings.HasSuffix(strings.ToLower(r), "@"+p.domain) || slices.Contains(n.domains, p.domain) {
			j.w.fail("%s: %s goes to %s", where, r, p.domain)
		}
	}
	e := j.issued[m.sum]
	if e == nil {
		e = &emission{m: m, s: s, first: j.w.clock.Now()}
		j.issued[m.sum] = e
	}
	switch m.kind {
	case kEnvelope:
		j.wireEnvelope(where, n, p, m, s)
	case kTake, kDeliver, kFail, kVirus:
		j.wireReceipt(where, n, p, e)
	default:
		j.w.fail("%s: a message of kind %s leaves its provider", where, m.kind)
	}
	return m
}

func (j *judge) wireEnvelope(where string, n *node, p *parcel, m *pecMail, s *submission) {
	if n != s.node || !strings.EqualFold(p.sender, s.sender) {
		j.w.fail("%s: the envelope of %q from %s", where, s.subject, p.sender)
	}
	for _, r := range p.recipients {
		l := s.leg(r)
		if l == nil {
			j.w.fail("%s: the envelope of %q is not for %s", where, s.subject, r)
		}
		if len(l.finals)+len(l.answered) > 0 && n.lapses.Load() == l.answeredLapses {
			j.w.fail("%s: the envelope of %q again, though it was answered and no commit has failed", where, s.subject)
		}
	}
	j.sameEnvelope(where, m, s)
}

// sameEnvelope: one submission has one envelope, and the message in it is the
// one that was submitted.
func (j *judge) sameEnvelope(where string, m *pecMail, s *submission) {
	if s.acceptances != 1 || !m.cert.at.Equal(s.at) {
		j.w.fail("%s: an envelope of %q at %v, accepted %d times, at %v", where, s.subject, m.cert.at, s.acceptances, s.at)
	}
	if s.envelope == nil {
		s.envelope = &m.sum
		j.sameOriginal(where, s, m.original)
	}
	if *s.envelope != m.sum {
		j.w.fail("%s: a second envelope of %q", where, s.subject)
	}
}

// sameOriginal wants the message as submitted but for its identifiers and the
// trace lines on top (RFC 6109 §2.2.1).
func (j *judge) sameOriginal(where string, s *submission, original []byte) {
	want, got := untraced([]byte(s.raw)), untraced(original)
	if want != got {
		j.w.fail("%s: the message in it is not %q as submitted:\n%.600q\nwant\n%.600q", where, s.subject, got, want)
	}
}

func untraced(message []byte) string {
	header, body, _ := strings.Cut(string(message), "\r\n\r\n")
	var b strings.Builder
	skip := false
	for _, line := range strings.Split(header, "\r\n") {
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(strings.ToLower(line), ":")
			skip = slices.Contains([]string{"received", "message-id", "x-riferimento-message-id"}, name)
		}
		if !skip {
			b.WriteString(line + "\n")
		}
	}
	return b.String() + "\n" + body
}

// wireReceipt judges a receipt that leaves: from the recipients' provider to
// the sender's, one for each fact, and never about anything but an envelope.
func (j *judge) wireReceipt(where string, n *node, p *parcel, e *emission) {
	s, m, w := e.s, e.m, j.w
	e.to = s.sender
	if m.kind == kTake || m.kind == kVirus {
		e.to = serviceMailbox(s.node.domains)
	}
	if n == s.node || len(p.recipients) != 1 || !strings.EqualFold(p.recipients[0], e.to) || !strings.EqualFold(m.to, e.to) || p.sender != serviceAddress(n.domains) {
		w.fail("%s: %s about %q from %s, want it sent to %s", where, m.kind, s.subject, p.sender, e.to)
	}
	if e.told > 0 && n.lapses.Load() == e.lately {
		w.fail("%s: %s about %q again, though it was answered and no commit has failed", where, m.kind, s.subject)
	}
	if m.kind == kVirus && !strings.EqualFold(m.header.Get("X-Mittente"), s.sender) {
		w.fail("%s: %s about %q with X-Mittente %q", where, m.kind, s.subject, m.header.Get("X-Mittente"))
	}
	for _, r := range m.about() {
		l := s.leg(r)
		if l == nil || l.external || l.owner != n || l.handed.taken+l.handed.maybe == 0 {
			w.fail("%s: %s about %q speaks for %s, who was not handed to it", where, m.kind, s.subject, r)
		}
		slot := &l.outcome
		if m.kind == kTake {
			slot = &l.take
		}
		if *slot == nil {
			*slot = e
		}
		if *slot != e {
			w.fail("%s: %s about %q for %s, after %s of the same provider", where, m.kind, s.subject, r, (*slot).m.kind)
		}
		if m.kind == kTake && !slices.ContainsFunc(l.handedAt, m.cert.at.Equal) {
			w.fail("%s: taken in charge at %v, handed over at %v", where, m.cert.at, l.handedAt)
		}
		if (m.kind == kDeliver) != (l.boxes > 0) && m.kind != kTake {
			w.fail("%s: %s about %q for %s, whose mailbox has %d", where, m.kind, s.subject, r, l.boxes)
		}
	}
	j.delivered(where, m, s)
}

// told books what a sending node was told of a recipient.
func (j *judge) told(n *node, m *pecMail, recipient string, err error) {
	e := j.issued[m.sum]
	final := err != nil && !sayTemporary(err)
	if m.kind != kEnvelope {
		if err == nil {
			e.told++
			e.lately = n.lapses.Load()
		} else if final {
			e.final++
		}
		return
	}
	l := e.s.leg(recipient)
	switch {
	case err == nil:
		l.answered, l.answeredLapses = append(l.answered, j.w.clock.Now()), n.lapses.Load()
	case final:
		l.finals, l.answeredLapses = append(l.finals, j.w.clock.Now()), n.lapses.Load()
	}
}

// left books a message that an ordinary server has taken.
func (j *judge) left(p *parcel) {
	m := j.read(p.raw, "outside")
	s := j.byID[m.cert.id]
	for _, r := range p.recipients {
		l := s.leg(r)
		if m.kind != kEnvelope || l == nil || !l.external {
			j.w.fail("%s about %q reaches %s outside", m.kind, s.subject, r)
		}
		l.left++
	}
}

// handedOver books a message that a node was handed, and judges the answer.
func (j *judge) handedOver(n *node, p *parcel, a answer, err error, faults int64) {
	m, bad := j.tryRead(p.raw)
	var e *emission
	if bad == nil {
		e = j.issued[m.sum]
	} else if p.doubtful {
		if m, bad = readMail(p.raw); bad == nil {
			e = j.issued[m.sum]
		}
	}
	if p.doubtful && e != nil {
		j.doubted[m.sum] = true
	}
	genuine := e != nil && !p.doubtful
	mustTake := genuine
	some := false // recipients it is certified for
	for _, r := range p.recipients {
		proper := false
		if e != nil && m.kind == kEnvelope {
			l := e.s.leg(r)
			proper = l != nil && !l.external && l.owner == n
			mustTake = mustTake && n != e.s.node
			if proper && n != e.s.node && a != refused {
				if !l.sure && l.handed.maybe == 0 && a == taken && !p.doubtful {
					l.sure, l.infected = true, n.engine.knows(e.s.virus)
				}
				l.handed.add(a, p.doubtful)
				l.handedAt = append(l.handedAt, j.w.clock.Now().Truncate(time.Second))
			}
		} else if e != nil {
			if proper = strings.EqualFold(r, e.to); proper {
				e.arrived.add(a, p.doubtful)
			}
		}
		mustTake = mustTake && proper
		some = some || proper
		if !proper || !genuine {
			j.stranger(p, r).add(a, p.doubtful)
		}
	}
	if a == taken && !some && n.engine.knows(virusIn(p.raw)) {
		j.w.fail("%s takes a virus it knows from %s, for %s", n.name, p.sender, p.recipients)
	}
	if mustTake && a == refused && (n.faults.Load() == faults || !sayTemporary(err)) {
		j.w.fail("%s refuses %s about %q for %s: %v", n.name, m.kind, e.s.subject, p.recipients, err)
	}
}

// stranger is the tally of an uncertified message for a mailbox.
func (j *judge) stranger(p *parcel, box string) *boxTally {
	key := sha256.Sum256(p.raw)
	if j.strangers[key] == nil {
		j.strangers[key] = &intrusion{boxes: map[string]*boxTally{}}
	}
	boxes := j.strangers[key].boxes
	box = strings.ToLower(box)
	if boxes[box] == nil {
		boxes[box] = &boxTally{}
	}
	return boxes[box]
}
