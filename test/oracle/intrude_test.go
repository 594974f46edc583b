// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"pecd/fault"
)

// keep is somebody on the line who keeps what passes.
func (w *world) keep(p *parcel) {
	kept := *p
	if c := w.net.captured; len(c) >= 150 {
		c[w.rng.IntN(len(c))] = &kept
		return
	}
	w.net.captured = append(w.net.captured, &kept)
}

// intrude hands a captured message in once more: as it was, altered, or to
// somebody else.
func (w *world) intrude() {
	if len(w.net.captured) == 0 {
		return
	}
	p := *w.net.captured[w.rng.IntN(len(w.net.captured))]
	p.from = "an intruder"
	what := "replayed"
	switch x := w.rng.IntN(100); {
	case x < 40:
		if len(p.recipients) > 1 && w.chance(500) {
			p.recipients = p.recipients[:1]
		}
	case x < 75:
		what = "replayed altered"
		twisted := w.twist(&p)
		if twisted == nil {
			return
		}
		p = *twisted
	default:
		n := w.anyNode()
		p.domain = n.domains[w.rng.IntN(len(n.domains))]
		p.recipients = []string{locals[w.rng.IntN(len(locals))] + "@" + p.domain}
		what = "replayed to somebody else"
	}
	if w.nodeOf(p.domain) == nil {
		return
	}
	err := w.net.hand(&p)
	w.saw(what, "intruder: a message of %s %s, to %s: %v", p.sender, what, p.recipients, err)
}

// twist alters a few octets of a message: of what is signed, or of the
// signature itself, after which nobody knows what it still is.
func (w *world) twist(p *parcel) *parcel {
	m, err := readMail(p.raw)
	if err != nil {
		w.fail("captured message cannot be read: %v", err)
	}
	out := *p
	out.raw = slices.Clone(p.raw)
	from, to := m.start, m.end
	if w.chance(150) {
		from, to = bytes.Index(p.raw[m.end:], []byte("\r\n\r\n"))+m.end+4, len(p.raw)-90
		out.doubtful = true
	}
	for range 40 {
		i := from + w.rng.IntN(to-from)
		c := out.raw[i]
		if (c >= 'a' && c < 'z') || (c >= 'A' && c < 'Z') || (c >= '0' && c < '9') {
			out.raw[i]++
			return &out
		}
	}
	return nil
}

// ordinaryMail is a message from outside certified mail.
func (w *world) ordinaryMail() {
	n := w.anyNode()
	domain := n.domains[w.rng.IntN(len(n.domains))]
	p := &parcel{from: "outside", sender: "hans@" + outside, domain: domain}
	if w.chance(100) {
		p.sender = ""
	}
	for range 1 + w.rng.IntN(2) {
		r := locals[w.rng.IntN(7)] + "@" + domain
		if w.chance(50) {
			r = "nessuno@" + domain
		}
		if !slices.Contains(p.recipients, r) {
			p.recipients = append(p.recipients, r)
		}
	}
	id := ""
	if w.chance(700) {
		id = fmt.Sprintf("Message-ID: <o%d@%s>\r\n", w.step, outside)
	}
	p.raw = fmt.Appendf(nil, "From: hans@%s\r\nTo: %s\r\nSubject: ordinary %d\r\n%s\r\nGuten Tag %d.\r\n", outside, p.recipients[0], w.step, id, w.rng.Uint64())
	if w.chance(150) {
		p.raw = append(p.raw, virusText(w.newestVirus())...)
	}
	err := w.net.hand(p)
	w.saw("ordinary mail", "outside: ordinary mail to %s: %v", p.recipients, err)
	if fault.Is(err, fault.Temporary) {
		p.due = w.clock.Now().Add(w.between(time.Minute, time.Hour))
		w.net.held = append(w.net.held, p)
	}
}
