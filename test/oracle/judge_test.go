// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// judge is the oracle: what clients and peers were told, and what follows.
type judge struct {
	w           *world
	submissions []*submission
	bySubject   map[string]*submission // by the first word of the subject
	byID        map[string]*submission
	issued      map[digest]*emission  // what was seen on the network, by what is signed
	strangers   map[digest]*intrusion // what is not certified, by its octets
	verified    map[digest]int        // signatures judged, by content and signature
	doubted     map[digest]bool       // handed in with an altered signature
	early       []earlyEvent
	open        []heard        // answers that the node at work has not booked yet
	seen        map[string]int // what the world has had to offer
}

func newJudge(w *world) *judge {
	return &judge{
		w: w, bySubject: map[string]*submission{}, byID: map[string]*submission{}, issued: map[digest]*emission{},
		strangers: map[digest]*intrusion{}, verified: map[digest]int{}, doubted: map[digest]bool{}, seen: map[string]int{},
	}
}

// record is what the oracle knows of a submission.
type record struct {
	id          string    // identificativo, "" until a receipt told it
	at          time.Time // acceptance
	begun       time.Time
	acceptances int
	refusals    int
	envelope    *digest // what is signed in it; nil: not seen
	legs        map[string]*leg
	named       []string // the recipients, in lower case
	logAccepted int
	logEnvelope int
	logRefused  int
	kept        int // in quarantine
	lost        []lostReceipt
	annulled    bool // an operator gave receipts about it up
}

// leg is the way to one recipient, as seen from outside.
type leg struct {
	address  string // lower case
	external bool
	owner    *node // nil for an external one

	// At the recipient's provider.
	handed       tally // of the envelope
	handedAt     []time.Time
	boxes        int // envelopes in the mailbox
	logTaken     int
	logDelivered int
	logFailed    int
	logVirus     int
	sure         bool // whether its provider knew the virus when it took the message
	infected     bool
	kept         int       // in quarantine
	logAt        time.Time // of the take-charge
	logOutcome   []string  // Message-ID of the receipt that the log names
	take         *emission
	outcome      *emission

	// At the sender's provider.
	answered      []time.Time // the network said 250
	finals        []time.Time // … or that it never will
	keptAnswer    bool        // the provider has booked a 250 …
	keptFinal     bool        // … or a refusal: a crash may make it forget one
	takes         []sighting  // in the service mailbox
	viruses       []sighting
	outcomes      []sighting // in the sender's mailbox
	first, second []sighting // notices of elapsed time
	logGivenUp    []time.Time
	logRelayed    int
	logReceipts   map[string]int // received or issued there, by tipo
	annulled      bool           // an operator gave it up
	left          int            // messages that reached an ordinary server
}

// tally counts messages handed to a node.
type tally struct {
	taken int // answered with 250
	maybe int // perhaps kept: the node crashed, or nobody knows what the message still was
}

func (t *tally) add(a answer, doubtful bool) {
	switch {
	case a == unknown || (doubtful && a == taken):
		t.maybe++
	case a == taken:
		t.taken++
	}
}

// sighting is a message seen in a mailbox.
type sighting struct {
	kind   kind
	issuer *node
	at     time.Time // as certified
	seen   time.Time
	id     string // Message-ID
	status string // of a notice: the code in front of errore-esteso
}

func sightingOf(m *pecMail, now time.Time) sighting {
	status, _, _ := strings.Cut(m.cert.extendedError, " ")
	return sighting{kind: m.kind, issuer: m.issuer, at: m.cert.at, seen: now, id: m.messageID, status: status}
}

// emission is a signed message seen on the network.
type emission struct {
	m       *pecMail
	s       *submission
	to      string // where it belongs; "" for an envelope
	arrived tally  // there
	told    int    // its sender was told 250
	final   int    // … or never
	first   time.Time
	kept    bool // its sender has booked an answer that was no temporary one
}

// intrusion is a message that nobody certifies, handed to a node.
type intrusion struct {
	boxes map[string]*boxTally
}

type boxTally struct {
	tally
	seen int
	kind kind // as what it was seen
}

// submitting books a submission before it is handed in: a crash may leave its
// receipt where nobody was told of it.
func (j *judge) submitting(s *submission) {
	s.begun = j.w.clock.Now()
	s.legs, s.named = map[string]*leg{}, nil
	for _, r := range s.recipients {
		a := strings.ToLower(r)
		if s.legs[a] != nil {
			continue
		}
		s.named = append(s.named, a) // once, even where RCPT TO says it twice
		owner := j.w.nodeOf(a)
		s.legs[a] = &leg{address: a, owner: owner, external: owner == nil, logReceipts: map[string]int{}}
	}
	j.submissions = append(j.submissions, s)
	j.bySubject[strings.Fields(s.subject)[0]] = s
}

// submitted judges the answer.
func (j *judge) submitted(s *submission, err error) {
	mustFail := s.wrong == wrongBlocked
	switch {
	case s.answer == taken && mustFail:
		j.w.fail("submission %q is answered 250, though %s", s.subject, s.wrong)
	case s.answer == refused && !mustFail && (s.node.faults.Load() == s.faults || !sayTemporary(err)):
		j.w.fail("submission %q is refused: %v", s.subject, err)
	}
}

// ordered lists the legs of a submission by address.
func (s *submission) ordered() []*leg {
	var list []*leg
	for _, l := range s.legs {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *leg) int { return strings.Compare(a.address, b.address) })
	return list
}

// leg is the one of an address, nil for none.
func (s *submission) leg(address string) *leg { return s.legs[strings.ToLower(address)] }

// read takes a message apart and judges its signature. It fails the world
// unless a provider has signed it.
func (j *judge) read(raw []byte, where string) *pecMail {
	m, err := j.tryRead(raw)
	if err != nil {
		// A signature altered in what nobody signs may be good to one library
		// and not to another.
		if m, _ := readMail(raw); m != nil && j.doubted[m.sum] {
			m.issuer = j.issued[m.sum].m.issuer
			return m
		}
		j.w.fail("%s: %v\n%.1500s", where, err, raw)
	}
	return m
}

// tryRead is read for what may not be certified mail at all.
func (j *judge) tryRead(raw []byte) (*pecMail, error) {
	m, err := readMail(raw)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(append(m.sum[:], m.p7s...))
	i, known := j.verified[key]
	if !known {
		if i, err = j.w.authority.judge(m, raw, j.w.clock.Now()); err != nil {
			return nil, err
		}
		j.verified[key] = i
	}
	m.issuer = j.w.nodes[i]
	return m, nil
}

// about lists the recipients that a receipt or notice concerns.
func (m *pecMail) about() []string {
	if m.kind == kTake {
		return m.cert.receptions
	}
	return []string{m.cert.delivery}
}

// identify finds the submission that a message is about, and holds the two
// against each other: every message of a transaction says the same of it.
func (j *judge) identify(m *pecMail, where string) *submission {
	c, w := m.cert, j.w
	s := j.byID[c.id]
	if s == nil {
		// The identifier is learnt from the answer to the submission, which
		// nothing else may come before.
		if s = j.bySubject[strings.Fields(c.subject + " -")[0]]; s == nil || s.id != "" || (m.kind != kAccept && m.kind != kRefuse && m.kind != kRefVirus) {
			w.fail("%s: %s of %s about %q (%s), which nobody accepted", where, m.kind, m.issuer.name, c.subject, c.id)
		}
		s.id, j.byID[c.id] = c.id, s
	}
	if !strings.EqualFold(c.sender, s.sender) {
		w.fail("%s: %s about %q names %s as sender, want %s", where, m.kind, s.subject, c.sender, s.sender)
	}
	if len(c.recipients) != len(s.named) {
		w.fail("%s: %s about %q names %v, want %v", where, m.kind, s.subject, c.recipients, s.named)
	}
	for i, r := range c.recipients {
		if !strings.EqualFold(r.address, s.named[i]) || r.external != s.leg(s.named[i]).external {
			w.fail("%s: %s about %q names %v, want %v", where, m.kind, s.subject, c.recipients, s.named)
		}
	}
	if c.issuer != m.issuer.name {
		w.fail("%s: %s signed by %s is issued by %q", where, m.kind, m.issuer.name, c.issuer)
	}
	if date, err := m.header.Date(); err != nil || !date.Equal(c.at) || c.at.After(w.clock.Now()) || c.at.Before(s.begun.Truncate(time.Second)) {
		w.fail("%s: %s about %q of %v, certified at %v, submitted at %v (%v)", where, m.kind, s.subject, date, c.at, s.begun, err)
	}
	if s.wrong != "" && s.wrong != infectedHere {
		return s
	}
	if c.subject != s.subject || c.msgid != s.msgid || !strings.EqualFold(c.replyTo, s.replyTo) || (c.receipt != "" && c.receipt != s.receipt) {
		w.fail("%s: %s about %q says %+v", where, m.kind, s.subject, *c)
	}
	if m.subject != s.subject || m.header.Get("X-Riferimento-Message-ID") != s.msgid || m.messageID == "" || (m.messageID == s.id) != (m.kind == kEnvelope) {
		w.fail("%s: %s about %q has the subject %q, Message-ID %q, reference %q", where, m.kind, s.subject, m.subject, m.messageID, m.header.Get("X-Riferimento-Message-ID"))
	}
	return s
}
