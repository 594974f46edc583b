// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"slices"
	"strings"
	"time"
)

// all judges a world that has come to rest, a day after its last message.
func (j *judge) all() {
	w := j.w
	for _, n := range w.nodes {
		if left := n.leftovers(); len(left) > 0 {
			w.fail("%s: %d jobs are left, the first %+v", n.name, len(left), left[0])
		}
		j.rereads(n)
		j.finalQuarantine(n)
	}
	for _, s := range j.submissions {
		j.finalSubmission(s)
	}
	for _, x := range j.strangers {
		for box, t := range x.boxes {
			if t.seen < t.taken && (t.kind == kAnomaly || t.seen == 0) {
				w.fail("%s: %d times a message nobody certifies, which was taken for it %d times", box, t.seen, t.taken)
			}
		}
	}
}

// finalSubmission: one answer to each submission, and what it promises.
func (j *judge) finalSubmission(s *submission) {
	w := j.w
	accept, refuse := 0, 0
	switch {
	case s.answer == refused:
	case s.answer == unknown && s.acceptances+s.refusals == 0:
	case s.wrong == "":
		accept = 1
	default:
		refuse = 1
	}
	if s.acceptances != accept || s.logAccepted != accept || s.logEnvelope != accept || s.refusals != refuse || s.logRefused != refuse {
		w.fail("%q (%s) was answered %d; acceptances %d (log %d, envelopes %d), non-acceptances %d (log %d)",
			s.subject, s.wrong, s.answer, s.acceptances, s.logAccepted, s.logEnvelope, s.refusals, s.logRefused)
	}
	if kept := s.wrong == infectedHere && refuse == 1; kept != (s.kept == 1) || s.kept > 1 {
		w.fail("%q (%s) is in quarantine %d times", s.subject, s.wrong, s.kept)
	}
	for _, l := range s.ordered() {
		switch {
		case accept == 0:
			j.silence(s, l, "which was not accepted")
			if l.boxes+l.left+len(l.outcomes) > 0 {
				w.fail("%q was not accepted, and reached %s", s.subject, l.address)
			}
		case l.external:
			j.silence(s, l, "an ordinary recipient")
			j.finalOrdinary(s, l)
		case l.owner == s.node:
			j.finalOwn(s, l)
		default:
			j.finalForeign(s, l)
		}
	}
}

// silence: nobody certifies this leg.
func (j *judge) silence(s *submission, l *leg, why string) {
	if n := l.logTaken + l.logDelivered + l.logFailed + len(l.takes) + len(l.viruses) + len(l.first) + len(l.second); n > 0 {
		j.w.fail("%q for %s, %s: %d certified facts: %+v", s.subject, l.address, why, n, *l)
	}
}

// finalOrdinary: an ordinary recipient is told of only when nothing reached it.
func (j *judge) finalOrdinary(s *submission, l *leg) {
	w := j.w
	switch {
	case l.keptAnswer && len(l.outcomes) > 0, len(l.answered) > 0 && l.left == 0 && !s.mayLose():
		w.fail("%q was taken for %s, which has %d, and its sender %+v", s.subject, l.address, l.left, l.outcomes)
	case len(l.answered) == 0 && len(l.outcomes) != 1:
		w.fail("%q was not taken for %s, and its sender has %+v", s.subject, l.address, l.outcomes)
	case !l.ended(s):
		w.fail("%q for %s: given up at %v, accepted at %v", s.subject, l.address, l.logGivenUp, s.at)
	}
}

// ended reports whether the sender's provider has done with the relay for a
// reason: an answer, a day, or an operator.
func (l *leg) ended(s *submission) bool {
	return l.keptAnswer || l.keptFinal || l.logRelayed > 0 || len(l.finals) > 0 && len(l.logGivenUp) > 0 || l.annulled || afterADay(s.at, l.logGivenUp)
}

func afterADay(from time.Time, list []time.Time) bool {
	return slices.ContainsFunc(list, func(t time.Time) bool { return !t.Before(from.Add(24 * time.Hour)) })
}

// finalOwn: a recipient of the sender's own provider is taken in charge at
// once, and has exactly one outcome.
func (j *judge) finalOwn(s *submission, l *leg) {
	if l.logTaken != 1 || !l.logAt.Equal(s.at) || len(l.takes) > 0 || len(l.outcomes) != 1 {
		j.w.fail("%q for %s: taken in charge %d times at %v (accepted %v), outcomes %+v", s.subject, l.address, l.logTaken, l.logAt, s.at, l.outcomes)
	}
	j.agree(s, l, l.outcomes[0])
	j.finalNotices(s, l)
}

// agree holds a certified outcome against mailbox and log.
func (j *judge) agree(s *submission, l *leg, o sighting) {
	w, k := j.w, o.kind
	delivered := 0
	if k == kDeliver {
		delivered = 1
	}
	if l.boxes != delivered || l.logDelivered != delivered || l.logFailed != 1-delivered {
		w.fail("%q for %s: %s, in the mailbox %d, in the log %d delivered and %d failed", s.subject, l.address, k, l.boxes, l.logDelivered, l.logFailed)
	}
	if len(l.logOutcome) != 1 || l.logOutcome[0] != o.id {
		w.fail("%q for %s: the receipt is %s, the log names %v", s.subject, l.address, o.id, l.logOutcome)
	}
	switch local, _, _ := strings.Cut(l.address, "@"); {
	case local == "piena" && (k == kDeliver || o.status == "5.2.2"):
	case o.status == "5.3.0" && l.annulled:
	case o.status == "5.3.0" && !o.at.Before(l.logAt.Add(24*time.Hour)) && w.worst.disks+w.worst.keys > 0:
		// Our side was broken for a day: said as it is, whoever it is for.
	case (local == "nessuno" || local == "spenta") == (k == kDeliver):
		w.fail("%q for %s ends with %s %s at %v", s.subject, l.address, k, o.status, o.at)
	}
}

// finalForeign: what reached the recipient's provider is taken in charge once
// and has one outcome there; what of that reached the sender's provider is in
// its mailboxes once; and silence is told of.
func (j *judge) finalForeign(s *submission, l *leg) {
	w := j.w
	if l.handed.taken > 0 && l.logTaken+l.logVirus == 0 || l.logTaken+l.logVirus > 1 {
		w.fail("%q for %s: handed over %d times, taken in charge %d times, with a virus %d times", s.subject, l.address, l.handed.taken, l.logTaken, l.logVirus)
	}
	if !l.ended(s) {
		w.fail("%q for %s: given up at %v, accepted at %v", s.subject, l.address, l.logGivenUp, s.at)
	}
	if l.logTaken > 0 {
		if l.logDelivered+l.logFailed != 1 {
			w.fail("%q for %s: taken in charge, %d deliveries, %d failures", s.subject, l.address, l.logDelivered, l.logFailed)
		}
		j.arrives(s, l, l.take, len(l.takes), kTake)
		theirs := 0
		for _, o := range l.outcomes {
			if o.issuer == l.owner {
				theirs++
				j.agree(s, l, o)
			}
		}
		if l.outcome != nil {
			j.agree(s, l, sightingOf(l.outcome.m, w.clock.Now()))
		}
		j.arrives(s, l, l.outcome, theirs, kDeliver)
	}
	if l.logVirus > 0 {
		j.arrives(s, l, l.outcome, len(l.viruses), kVirus)
	}
	if l.logTaken == 0 && l.boxes > 0 {
		w.fail("%q is in the mailbox of %s, who was not taken in charge", s.subject, l.address)
	}
	if l.keptFinal && len(l.outcomes) == 0 && len(l.takes) == 0 {
		w.fail("%q was refused for %s, and its sender was not told", s.subject, l.address)
	}
	j.finalVirus(s, l)
	j.finalLog(s, l)
	j.finalNotices(s, l)
}

// finalLog: the log of the sender's provider has every receipt that came in,
// every notice, and the way of the envelope.
func (j *judge) finalLog(s *submission, l *leg) {
	theirs := 0
	for _, o := range l.outcomes {
		if o.issuer == l.owner {
			theirs++
		}
	}
	log := l.logReceipts
	if log["presa-in-carico"] != len(l.takes) || log["avvenuta-consegna"]+log["errore-consegna"] != theirs ||
		log["rilevazione-virus"] != len(l.viruses) || log["preavviso-errore-consegna"] != len(l.first)+len(l.second) {
		j.w.fail("%q for %s: in the log %v, in the mailboxes %+v", s.subject, l.address, log, *l)
	}
	if l.logRelayed > 1 || l.logRelayed == 0 && l.keptAnswer || l.logRelayed > 0 && len(l.answered) == 0 {
		j.w.fail("%q for %s was answered %d times, in the log %d times", s.subject, l.address, len(l.answered), l.logRelayed)
	}
}

// arrives: a receipt is seen at the sender's provider once if it came there,
// and never otherwise; and it was not forgotten on the way.
func (j *judge) arrives(s *submission, l *leg, e *emission, seen int, k kind) {
	w := j.w
	to := serviceMailbox(s.node.domains)
	if k == kDeliver {
		to = strings.ToLower(s.sender)
	}
	given := slices.ContainsFunc(s.lost, func(x lostReceipt) bool {
		return x.issuer == l.owner && x.to == to && (s.annulled || !x.at.Before(l.logAt.Add(24*time.Hour)))
	})
	switch {
	case e == nil && !given:
		w.fail("%q for %s: no %s was sent", s.subject, l.address, k)
	case e == nil:
	case e.told+e.final == 0 && !given:
		w.fail("%q for %s: %s was neither taken nor given up after a day", s.subject, l.address, e.m.kind)
	case e.arrived.taken > 0 && seen != 1, e.arrived.maybe+e.arrived.taken == 0 && seen > 0, seen > 1:
		w.fail("%q for %s: %s came to the sender's provider %d times for certain, %d perhaps, and was seen %d times", s.subject, l.address, e.m.kind, e.arrived.taken, e.arrived.maybe, seen)
	}
}

// mayLose reports whether the network may have swallowed what it answered for.
func (s *submission) mayLose() bool {
	p := s.node.w.worst
	return p.swallows+p.alters+p.delays > 0
}
