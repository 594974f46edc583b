// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pecd/pipeline"
)

const nowhere = "inesistente.example" // a domain that does not exist

// defect is what is wrong with a submission, "" for nothing. All but
// the last two are formal errors (RFC 6109 §3.1.1).
type defect string

const (
	wrongSender  defect = "From is not the sender"
	wrongBcc     defect = "Bcc"
	wrongRcpt    defect = "a recipient in neither To nor Cc"
	wrongNoTo    defect = "no To"
	wrongNoFrom  defect = "no From"
	wrongLong    defect = "a line of 1,200 octets"
	wrongBareLF  defect = "a bare LF"
	wrongBlocked defect = "the sender's mailbox is blocked"
	infectedHere defect = "a virus that the access point knows"
)

var defects = []defect{wrongSender, wrongBcc, wrongRcpt, wrongNoTo, wrongNoFrom, wrongLong, wrongBareLF, wrongBlocked}

// submission is a message that a client handed in, and what it knows of it.
type submission struct {
	n          int
	node       *node
	sender     string
	recipients []string // as in RCPT TO
	copies     map[string]bool
	subject    string
	msgid      string // with angle brackets, "" without one
	replyTo    string
	receipt    string
	attachment bool
	wrong      defect
	virus      int // the number of the virus in it, 0 for none
	raw        string
	answer     answer
	faults     int64 // of the node before it was handed in
	record           // the oracle's
}

// submit hands a message of chance in.
func (w *world) submit() {
	node := w.anyNode()
	if node.store == nil {
		return
	}
	s := w.compose(node)
	ctx := context.Background()
	s.faults = node.faults.Load()
	w.judge.submitting(s)
	peer := pipeline.Peer{Helo: "client", Remote: "192.0.2.9", TLS: "TLSv1.3"}
	text, err := "", node.access.MaySend(ctx, s.sender, s.sender)
	if err == nil {
		text, err = node.access.Submit(ctx, pipeline.Submission{Login: s.sender, Sender: s.sender, Recipients: s.recipients, Peer: peer}, strings.NewReader(s.raw))
	}
	switch {
	case node.store.dead:
		s.answer = unknown
	case err != nil:
		s.answer = refused
	default:
		s.answer = taken
	}
	w.note("submit %q %s to %s (%s): %v %s", s.subject, s.sender, s.recipients, s.wrong, err, text)
	w.judge.submitted(s, err)
}

// compose writes a message of chance.
func (w *world) compose(n *node) *submission {
	s := &submission{n: len(w.judge.submissions), node: n, receipt: "completa", copies: map[string]bool{}}
	domain := n.domains[w.rng.IntN(len(n.domains))]
	s.sender = senders[w.rng.IntN(len(senders))] + "@" + domain
	s.subject = fmt.Sprintf("n%05d", s.n)
	if w.chance(100) {
		s.wrong = defects[w.rng.IntN(len(defects))]
	}
	if s.wrong == wrongBlocked {
		s.sender = "spenta@" + domain
	}
	var to, cc []string
	for i := range 1 + w.rng.IntN(3) + w.rng.IntN(4) {
		r := w.recipient(domain)
		if slices.ContainsFunc(s.recipients, func(o string) bool { return strings.EqualFold(o, r) }) && !w.chance(50) {
			continue
		}
		s.recipients = append(s.recipients, r)
		if i > 0 && w.chance(300) {
			cc = append(cc, r)
		} else {
			to = append(to, r)
		}
	}
	for _, r := range cc {
		if !slices.ContainsFunc(to, func(o string) bool { return strings.EqualFold(o, r) }) {
			s.copies[strings.ToLower(r)] = true
		}
	}
	s.raw = w.write(s, to, cc)
	w.rng.Shuffle(len(s.recipients), func(i, j int) { s.recipients[i], s.recipients[j] = s.recipients[j], s.recipients[i] })
	if s.wrong == wrongRcpt {
		s.recipients = append(s.recipients, "nascosto@"+outside)
	}
	return s
}

// recipient is an address of chance: of the sender's domain, another provider's,
// or an ordinary one.
func (w *world) recipient(own string) string {
	domain := own
	switch x := w.rng.IntN(100); {
	case x < 55:
		n := w.anyNode()
		domain = n.domains[w.rng.IntN(len(n.domains))]
	case x < 72:
		return []string{"elsa@", "fabio@", "rifiuta@", "pigro@"}[min(w.rng.IntN(10), 3)] + outside
	case x < 76:
		return "gino@" + []string{outside2, nowhere}[w.rng.IntN(2)]
	}
	local := append([]string{"nessuno"}, locals[:7]...)[w.rng.IntN(8)]
	if w.chance(40) {
		local, domain = strings.ToUpper(local), strings.ToUpper(domain[:1])+domain[1:]
	}
	return local + "@" + domain
}

// write is the message of a submission, with what is wrong in it.
func (w *world) write(s *submission, to, cc []string) string {
	var b strings.Builder
	from := s.sender
	if s.wrong == wrongSender {
		from = "altri@" + s.node.domains[0]
	}
	if s.wrong != wrongNoFrom {
		fmt.Fprintf(&b, "From: %s\r\n", from)
	}
	if s.wrong != wrongNoTo {
		fmt.Fprintf(&b, "To: %s\r\n", strings.Join(to, ",\r\n "))
	} else {
		cc = append(cc, to...)
	}
	if len(cc) > 0 {
		fmt.Fprintf(&b, "Cc: %s\r\n", strings.Join(cc, ",\r\n "))
	}
	if s.wrong == wrongBcc {
		fmt.Fprintf(&b, "Bcc: segreto@%s\r\n", outside)
	}
	if w.chance(200) {
		s.subject += " città"
		fmt.Fprintf(&b, "Subject: %s =?UTF-8?Q?citt=C3=A0?=\r\n", strings.Fields(s.subject)[0])
	} else {
		fmt.Fprintf(&b, "Subject: %s\r\n", s.subject)
	}
	fmt.Fprintf(&b, "Date: Wed, 03 Jun 2026 10:15:00 +0200\r\n")
	if !w.chance(100) {
		s.msgid = fmt.Sprintf("<n%05d@client.example>", s.n)
		fmt.Fprintf(&b, "Message-ID: %s\r\n", s.msgid)
	}
	s.replyTo = s.sender
	if w.chance(100) {
		s.replyTo = "risposte@" + outside
		fmt.Fprintf(&b, "Reply-To: %s\r\n", s.replyTo)
	}
	if w.chance(500) {
		s.receipt = []string{"completa", "breve", "sintetica"}[w.rng.IntN(3)]
		fmt.Fprintf(&b, "X-TipoRicevuta: %s\r\n", s.receipt)
	}
	text := strings.Repeat(fmt.Sprintf("Testo del messaggio %d, riga di prova.\r\n", s.n), 1+w.rng.IntN(40))
	text += w.infect(s)
	if s.wrong == wrongLong {
		text += strings.Repeat("x", 1200) + "\r\n"
	}
	if s.wrong == wrongBareLF {
		text += "riga\nriga\r\n"
	}
	if s.attachment = w.chance(250); !s.attachment {
		b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + text)
		return b.String()
	}
	lines := 1 + w.rng.IntN(60)
	if w.chance(60) {
		lines = 1500
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=qq\r\n\r\n--qq\r\nContent-Type: text/plain\r\n\r\n" + text)
	b.WriteString("\r\n--qq\r\nContent-Type: application/octet-stream; name=\"dati.bin\"\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=\"dati.bin\"\r\n\r\n" + strings.Repeat(strings.Repeat("QUJD", 18)+"\r\n", lines) + "\r\n--qq--\r\n")
	return b.String()
}
