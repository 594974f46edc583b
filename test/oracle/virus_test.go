// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

// engine is the antivirus of a node. Viruses have numbers; an engine knows them
// up to its level, which rises as time goes by: what one provider lets pass,
// another may find.
type engine struct {
	n     *node
	level int
	down  bool
}

var viruses = regexp.MustCompile(`VIRUS-(\d+)-HERE`)

func virusText(number int) string { return fmt.Sprintf("VIRUS-%d-HERE\r\n", number) }

// virusIn is the number of the virus in a message, 0 for none.
func virusIn(raw []byte) int {
	m := viruses.FindSubmatch(raw)
	if m == nil {
		return 0
	}
	number, _ := strconv.Atoi(string(m[1]))
	return number
}

// knows reports whether the engine finds that virus; 0 is none.
func (e *engine) knows(number int) bool { return number > 0 && number <= e.level }

// Scan implements pipeline.Scanner.
func (e *engine) Scan(_ context.Context, r io.Reader) (pipeline.Finding, error) {
	raw, err := io.ReadAll(r)
	switch {
	case err != nil:
		return pipeline.Finding{}, err
	case e.down:
		e.n.faults.Add(1)
		return pipeline.Finding{}, errors.New("the engine is down")
	case e.knows(virusIn(raw)):
		return pipeline.Finding{Name: fmt.Sprintf("Oracle.Virus-%d", virusIn(raw)), Refuse: true}, nil
	}
	return pipeline.Finding{}, nil
}

// vault encrypts so that the oracle can undo it.
type vault struct{}

type vaultWriter struct{ io.Writer }

func (v vaultWriter) Write(p []byte) (int, error) { return v.Writer.Write(mask(p)) }
func (vaultWriter) Close() error                  { return nil }

// Encrypt implements pipeline.Vault.
func (vault) Encrypt(dst io.Writer) (io.WriteCloser, error) { return vaultWriter{dst}, nil }

func mask(p []byte) []byte {
	out := make([]byte, len(p))
	for i, c := range p {
		out[i] = c ^ 0x5a
	}
	return out
}

// learn lets an engine know of newer viruses.
func (w *world) learn() {
	n := w.anyNode()
	n.engine.level += 1 + w.rng.IntN(2)
	w.note("the antivirus of %s knows %d viruses", n.name, n.engine.level)
}

// newestVirus is the number of a virus that some engines may not know yet.
func (w *world) newestVirus() int {
	newest := 0
	for _, n := range w.nodes {
		newest = max(newest, n.engine.level)
	}
	return max(1, newest-2+w.rng.IntN(5))
}

// finalQuarantine: what was found is kept, once for each recipient, as it was
// (RFC 6109 §2.2.4).
func (j *judge) finalQuarantine(n *node) {
	w := j.w
	err := n.store.EachQuarantined(context.Background(), time.Time{}, func(q storage.Quarantined) error {
		raw, err := n.load(storage.Message{Body: q.Body})
		if err != nil {
			return err
		}
		clear := mask(raw)
		s := j.byID[q.Message]
		if virusIn(clear) == 0 || int64(len(clear)) != q.Size {
			w.fail("%s: quarantine item %d of %d octets holds %d octets without a virus", n.name, q.ID, q.Size, len(clear))
		}
		switch {
		case q.Point == "access":
			if s == nil || s.node != n || s.wrong != infectedHere {
				w.fail("%s: quarantine item %d is of %s", n.name, q.ID, q.Message)
			}
			if s.kept++; !bytes.Equal(clear, []byte(s.raw)) {
				w.fail("%s: quarantine item %d is not %q as submitted:\n%.300q", n.name, q.ID, s.subject, clear)
			}
		case s != nil:
			for _, r := range q.Recipients {
				if l := s.leg(r); l != nil && l.logVirus > 0 && l.owner == n {
					l.kept++
				}
			}
		}
		return nil
	})
	if err != nil {
		w.fail("%s: quarantine: %v", n.name, err)
	}
}

// finalVirus judges what became of a virus that another provider found.
func (j *judge) finalVirus(s *submission, l *leg) {
	w := j.w
	if found := l.logVirus > 0; found && (s.virus == 0 || l.boxes > 0 || l.kept != 1) || l.sure && found != l.infected {
		w.fail("%q with virus %d for %s: found %d times (its provider knew it: %v), %d in the mailbox, %d in quarantine", s.subject, s.virus, l.address, l.logVirus, l.infected, l.boxes, l.kept)
	}
	told := 0
	for _, o := range l.outcomes {
		if o.kind == kFailVirus {
			told++
		}
	}
	// One notice for each detection, unless the sender knows of an outcome already.
	if told > len(l.viruses) || told < len(l.viruses) && len(l.outcomes) == 0 {
		w.fail("%q for %s: %d notices of a virus, outcomes %+v", s.subject, l.address, len(l.viruses), l.outcomes)
	}
}

// infect puts a virus into one message of a dozen.
func (w *world) infect(s *submission) string {
	if !w.chance(150) {
		return ""
	}
	s.virus = w.newestVirus()
	if s.wrong == "" && s.node.engine.knows(s.virus) {
		s.wrong = infectedHere
	}
	return virusText(s.virus)
}
