// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// sight judges a message that has appeared in a mailbox.
func (j *judge) sight(n *node, box string, raw []byte) {
	w := j.w
	where := "in " + box
	m := j.read(raw, where)
	j.seen[string(m.kind)]++
	if m.kind == kAnomaly {
		j.sightAnomaly(where, n, box, m)
		return
	}
	s := j.identify(m, where)
	service := box == serviceMailbox(s.node.domains)
	if (m.kind == kTake || m.kind == kVirus) && !service && box == serviceMailbox(n.domains) {
		// A valid receipt about a message of another provider: it goes where it
		// was addressed to, once, and means nothing there.
		if x := j.handedIn(box, raw, where, m); x.seen > 1 {
			w.fail("%s: %s about %q of %s again", where, m.kind, s.subject, s.sender)
		}
		return
	}
	seen := sightingOf(m, w.clock.Now())
	if m.kind != kEnvelope && (m.kind == kTake || m.kind == kVirus) != service {
		w.fail("%s: %s about %q of %s", where, m.kind, s.subject, s.sender)
	}
	if m.kind != kEnvelope && !service && !strings.EqualFold(box, s.sender) {
		w.fail("%s: %s about %q, which is a matter of %s", where, m.kind, s.subject, s.sender)
	}
	own := m.issuer == s.node
	switch m.kind {
	case kAccept, kRefuse, kRefVirus:
		j.sightAnswer(where, m, s, own)
	case kEnvelope:
		l := s.leg(box)
		if l == nil || !own || l.owner != n || (n != s.node && l.handed.taken+l.handed.maybe == 0) {
			w.fail("%s: an envelope of %q, which was not handed over for it", where, s.subject)
		}
		if l.boxes++; l.boxes > 1 {
			w.fail("%s: the envelope of %q a second time", where, s.subject)
		}
		j.sameEnvelope(where, m, s)
	case kTake, kVirus:
		for _, r := range m.about() {
			l := j.certified(where, m, s, r)
			if l.owner != m.issuer || own {
				w.fail("%s: %s of %s about %q for %s", where, m.kind, m.issuer.name, s.subject, r)
			}
			if m.kind == kTake {
				l.takes = append(l.takes, seen)
			} else {
				l.viruses = append(l.viruses, seen)
			}
			if len(l.takes)+len(l.viruses) > 1 {
				w.fail("%s: a second %s about %q for %s", where, m.kind, s.subject, r)
			}
		}
	case kFirst, kSecond:
		if !own {
			w.fail("%s: %s of %s about %q", where, m.kind, m.issuer.name, s.subject)
		}
		j.sightNotice(where, m, j.certified(where, m, s, m.cert.delivery), s, seen)
	default:
		j.sightOutcome(where, m, s, seen)
	}
}

// certified is the leg of a recipient whom a receipt is about, who has to be a
// certified one.
func (j *judge) certified(where string, m *pecMail, s *submission, recipient string) *leg {
	l := s.leg(recipient)
	if l == nil || l.external {
		j.w.fail("%s: %s about %q for %s, who is no certified recipient of it", where, m.kind, s.subject, recipient)
	}
	return l
}

// sightAnswer judges the answer of the access point.
func (j *judge) sightAnswer(where string, m *pecMail, s *submission, own bool) {
	w := j.w
	want := kAccept
	switch s.wrong {
	case "":
	case infectedHere:
		want = kRefVirus
	default:
		want = kRefuse
	}
	if !own || m.kind != want || s.answer == refused {
		w.fail("%s: %s of %s about %q, want %s (%s)", where, m.kind, m.issuer.name, s.subject, want, s.wrong)
	}
	if m.kind == kAccept {
		s.acceptances++
		s.at = m.cert.at
	} else {
		s.refusals++
	}
	if s.acceptances+s.refusals > 1 || !m.cert.at.Equal(s.begun.Truncate(time.Second)) {
		w.fail("%s: %s number %d about %q, at %v, submitted at %v", where, m.kind, s.acceptances+s.refusals, s.subject, m.cert.at, s.begun)
	}
}

// sightOutcome judges a delivery receipt or a non-delivery notice in the
// sender's mailbox.
func (j *judge) sightOutcome(where string, m *pecMail, s *submission, seen sighting) {
	w := j.w
	l := s.leg(m.cert.delivery)
	switch {
	case l == nil || (m.kind != kDeliver && m.kind != kFail && m.kind != kFailVirus):
		w.fail("%s: %s about %q for %s", where, m.kind, s.subject, m.cert.delivery)
	case l.external && (m.kind != kFail || m.issuer != s.node):
		w.fail("%s: %s of %s for %s, an ordinary recipient of %q", where, m.kind, m.issuer.name, l.address, s.subject)
	case m.issuer != l.owner && m.issuer != s.node:
		w.fail("%s: %s of %s about %q for %s", where, m.kind, m.issuer.name, s.subject, l.address)
	case m.kind == kDeliver && (m.issuer != l.owner || l.boxes != 1):
		w.fail("%s: %s of %s about %q for %s, whose mailbox has %d", where, m.kind, m.issuer.name, s.subject, l.address, l.boxes)
	case m.kind == kFail && m.issuer == l.owner && l.boxes > 0:
		w.fail("%s: %s about %q for %s, whose mailbox has it", where, m.kind, s.subject, l.address)
	case m.kind == kFailVirus && (m.issuer != s.node || len(l.viruses) != 1):
		w.fail("%s: %s of %s about %q for %s after %d notices of a virus", where, m.kind, m.issuer.name, s.subject, l.address, len(l.viruses))
	}
	if m.kind == kFail && m.issuer == s.node && l.owner != s.node {
		j.ownFailure(where, s, l, seen)
	}
	for _, o := range l.outcomes {
		if o.issuer == m.issuer || o.kind != kFail || o.issuer != s.node {
			w.fail("%s: %s of %s about %q for %s, after %s of %s", where, m.kind, m.issuer.name, s.subject, l.address, o.kind, o.issuer.name)
		}
	}
	l.outcomes = append(l.outcomes, seen)
	j.delivered(where, m, s)
}

// ownFailure: the sender's provider says itself that a message of its holder
// could not be delivered elsewhere. It was refused there, or an operator gave
// it up; and nothing was known of it.
func (j *judge) ownFailure(where string, s *submission, l *leg, seen sighting) {
	refused := len(l.finals) > 0 && !l.finals[0].After(seen.seen)
	// An ordinary recipient's silence is told like a refusal; that of a certified
	// one by the notices of elapsed time.
	expired := l.external && !l.keptAnswer && !seen.at.Before(s.at.Add(24*time.Hour))
	if !refused && !expired && !l.annulled {
		j.w.fail("%s: %s says of %q that %s cannot be reached, though nobody told it so", where, s.node.name, s.subject, l.address)
	}
	for _, known := range slices.Concat(l.takes, l.outcomes, l.viruses) {
		if known.seen.Before(seen.at) {
			j.w.fail("%s: %s about %q for %s at %v, after %s at %v", where, seen.kind, s.subject, l.address, seen.at, known.kind, known.seen)
		}
	}
}

// sightNotice judges a notice of elapsed time: RFC 6109 §3.1.6.
func (j *judge) sightNotice(where string, m *pecMail, l *leg, s *submission, seen sighting) {
	list, earliest, closing := &l.first, 12*time.Hour, slices.Concat(l.takes, l.viruses, l.outcomes, l.second)
	if m.kind == kSecond {
		list, earliest, closing = &l.second, 22*time.Hour, l.outcomes
	}
	if len(*list) > 0 || seen.at.Before(s.at.Add(earliest)) {
		j.w.fail("%s: %s number %d about %q for %s, %v after acceptance", where, m.kind, len(*list)+1, s.subject, l.address, seen.at.Sub(s.at))
	}
	if m.kind == kFirst && l.owner == s.node {
		j.w.fail("%s: %s about %q for %s, who was taken in charge at once", where, m.kind, s.subject, l.address)
	}
	for _, known := range closing {
		if known.seen.Before(seen.at) {
			j.w.fail("%s: %s about %q for %s at %v, after %s at %v", where, m.kind, s.subject, l.address, seen.at, known.kind, known.seen)
		}
	}
	*list = append(*list, seen)
}

// delivered judges what a delivery receipt carries (RFC 6109 §3.3.2.1 to §3.3.2.3).
func (j *judge) delivered(where string, m *pecMail, s *submission) {
	if m.kind != kDeliver {
		return
	}
	form := s.receipt
	if s.copies[strings.ToLower(m.cert.delivery)] {
		form = "sintetica"
	}
	switch {
	case form == "sintetica" && m.original != nil, form != "sintetica" && m.original == nil:
		j.w.fail("%s: the receipt of %q for %s, asked for as %s, has the message: %v", where, s.subject, m.cert.delivery, form, m.original != nil)
	case form == "completa" || (form == "breve" && !s.attachment):
		j.sameOriginal(where, s, m.original)
	case form == "breve" && !bytes.Contains(m.original, []byte("dati.bin.hash")):
		j.w.fail("%s: the brief receipt of %q has no hash of its attachment", where, s.subject)
	}
}

// sightAnomaly: what nobody certifies comes to those it was handed in for, as
// often as it was handed in, and says nothing.
func (j *judge) sightAnomaly(where string, n *node, box string, m *pecMail) {
	if m.issuer != n {
		j.w.fail("%s: an anomaly envelope of %s", where, m.issuer.name)
	}
	if t := j.handedIn(box, m.original, where, m); t.seen > t.taken+t.maybe {
		j.w.fail("%s: an anomaly envelope %d times, handed in %d times: %s", where, t.seen, t.taken+t.maybe, m.subject)
	}
}

// handedIn counts a message that nobody certifies for the mailbox it has come
// to. It must have been handed in for it, octet for octet but for trace lines
// on top.
func (j *judge) handedIn(box string, message []byte, where string, m *pecMail) *boxTally {
	for range 4 {
		if x := j.strangers[sha256.Sum256(message)]; x != nil && x.boxes[box] != nil {
			x.boxes[box].seen++
			x.boxes[box].kind = m.kind
			return x.boxes[box]
		}
		_, rest, _ := bytes.Cut(message, []byte("\r\n"))
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
			_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		}
		message = rest
	}
	j.w.fail("%s: %s about something nobody handed in for it: %s", where, m.kind, m.subject)
	return nil
}
