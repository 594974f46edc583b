// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// hidingTries is how often a bomb is shown beside something encrypted: clamd
	// 1.4 names either, at random.
	hidingTries = 8
	largeEvery  = 24 * time.Hour // the largest message costs an engine a second or more
)

// hiding says where a bomb passes beside something encrypted, although the
// policy refuses bombs: each engine answers as it should, and all together do not.
func (s *Scanner) hiding(ctx context.Context) (o outcome, err error) {
	if s.cfg.Policy.Bombs != Refuse {
		return outcome{}, nil
	}
	for _, m := range members(s.cfg.Engine) {
		for range hidingTries {
			made, err := newSamples()
			if err != nil {
				return outcome{}, err
			}
			res, err := s.judge(ctx, m.Engine, bytes.NewReader(made.both))
			if err != nil { // that it does not answer has been said before
				break
			}
			if !res.Refuse {
				o.blind = append(o.blind, fmt.Sprintf(
					"%s: un archivio oltre i limiti passa accanto a uno cifrato (%s): serve scan.second, oppure encrypted = \"refuse\" / "+
						"an archive beyond the limits passes beside an encrypted one (%[2]s): scan.second is needed, or encrypted = \"refuse\"",
					m.Address, said(res.Name)))
				break
			}
		}
	}
	return o, nil
}

// largeTest is what an engine said of the largest message.
type largeTest struct {
	again time.Time // when it is asked again
	blind string    // what is wrong with its settings; "" where nothing is
}

// takesLargest sends one engine a message of the largest size, if it is time
// for it; else it repeats what came of the last one. Where something is wrong it
// asks again with the next test but for those that follow each other quickly.
func (s *Scanner) takesLargest(ctx context.Context, name string, m Member) (o outcome) {
	if s.cfg.MaxMessage <= 0 {
		return outcome{}
	}
	key := name + " " + m.Address
	last, now := s.large[key], s.cfg.Clock.Now()
	if !now.Before(last.again) {
		f, err := m.Engine.Scan(ctx, largeSample(s.cfg.MaxMessage))
		last = largeTest{again: now.Add(testEvery), blind: s.tooLarge(f, err)}
		switch {
		case last.blind != "":
		case err != nil:
			o.silent = append(o.silent, err.Error())
		default:
			last.again = now.Add(largeEvery)
		}
		s.large[key] = last
	}
	if last.blind != "" {
		o.blind = append(o.blind, m.Address+": "+last.blind)
	}
	return o
}

// tooLarge says what must be changed so that the largest message is looked into.
func (s *Scanner) tooLarge(f Finding, err error) string {
	switch n := s.cfg.MaxMessage; {
	case errors.Is(err, errTooLarge):
		return fmt.Sprintf("rifiuta un messaggio di %d byte: StreamMaxLength in clamd.conf / refuses a message of %[1]d octets: StreamMaxLength in clamd.conf", n)
	case errors.Is(err, errRefused):
		return fmt.Sprintf("non esamina un messaggio di %d byte / does not scan a message of %[1]d octets: %v", n, err)
	case err != nil || f.Name == "":
		return ""
	default:
		return fmt.Sprintf("trova qualcosa in un messaggio innocuo di %d byte (%s): MaxFileSize e MaxScanSize in clamd.conf / "+
			"finds something in a harmless message of %[1]d octets (%[2]s): MaxFileSize and MaxScanSize in clamd.conf", n, f.Name)
	}
}

// largeSample is n octets of text that nobody has seen before. They are no
// mail, whose parts would be written out once more.
func largeSample(n int64) io.Reader {
	first := "autotest " + rand.Text() + "\n"
	return io.LimitReader(io.MultiReader(strings.NewReader(first), &lines{block: []byte(strings.Repeat("autotest\n", 8<<10))}), n)
}

// lines is a block without end.
type lines struct {
	block []byte
	pos   int
}

// Read implements io.Reader.
func (l *lines) Read(p []byte) (int, error) {
	n := copy(p, l.block[l.pos:])
	l.pos = (l.pos + n) % len(l.block)
	return n, nil
}

// said is what an engine says, for people.
func said(name string) string {
	if name == "" {
		return "OK"
	}
	return name
}
