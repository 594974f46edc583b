// SPDX-License-Identifier: EUPL-1.2

// Package contents looks into the parts of a message for what an antivirus need
// not find: documents that carry programs (S4-062), links that are not what they
// seem (S4-063), and what cannot be looked into. It knows forms, not viruses:
// whether a macro is harmful is not asked. Everything is bounded, and what lies
// beyond a bound is reported as not looked into, never as clean.
package contents

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/rfc822"
)

// Kind is what kind of thing was found.
type Kind string

// The kinds.
const (
	Macro  Kind = "macro"  // a program inside a document
	Link   Kind = "link"   // a dangerous or deceptive link
	Opaque Kind = "opaque" // cannot be looked into
)

// Finding is one thing that was found. Name is printable ASCII and one of few:
// "Ooxml.Vba", "Link.IpAddress". Where is the name of the attachment as its sender
// chose it, "" for none, at most 80 characters.
type Finding struct {
	Kind  Kind
	Name  string
	Where string
}

// The bounds of one message, over all of its parts.
const (
	maxTime     = 20 * time.Second
	maxUnpacked = 128 << 20 // octets taken out of archives and documents, by default
	maxEntries  = 10_000    // of archives and documents
	maxNesting  = 4         // containers inside of each other
	maxText     = 8 << 20   // octets of text in which links are looked for, by default
	maxLinks    = 5_000
	maxFindings = 100 // kept
	maxWhere    = 80
)

// Scratch holds the octets of a part that must be read out of order. It is
// written once, then read.
type Scratch interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Size() int64
}

// Config is what an Inspector needs.
type Config struct {
	Domains *DomainList // that links must not lead to; nil: none
	// Unpacked is how many octets may be taken out of the archives and documents of
	// one message; 0: 128 MiB. Text is in how many octets of text links are looked
	// for; 0: 8 MiB.
	Unpacked, Text int64
	Clock          clock.Clock
}

// Inspector looks into messages. It is safe for concurrent use.
type Inspector struct{ cfg Config }

// New returns an inspector.
func New(cfg Config) *Inspector {
	if cfg.Unpacked <= 0 {
		cfg.Unpacked = maxUnpacked
	}
	if cfg.Text <= 0 {
		cfg.Text = maxText
	}
	return &Inspector{cfg}
}

// Inspection is one message being looked into, for one goroutine.
type Inspection struct {
	domains *DomainList
	clk     clock.Clock
	scratch func() Scratch

	ctx      context.Context // of the present call
	end      time.Time
	unpacked int64
	entries  int
	text     int64
	links    int
	// manifests is how many octets were read of parts that say what is in a document.
	manifests int
	found     []Finding
}

// Begin starts to look into one message. Its bounds hold for all that is shown of
// it. scratch makes room for one part at a time.
func (i *Inspector) Begin(scratch func() Scratch) *Inspection {
	return &Inspection{
		domains: i.cfg.Domains, clk: i.cfg.Clock, scratch: scratch,
		end: i.cfg.Clock.Now().Add(maxTime), unpacked: i.cfg.Unpacked, text: i.cfg.Text,
	}
}

// Findings returns what was found so far, each kind and name once, with the first
// place where it was.
func (s *Inspection) Findings() []Finding { return s.found }

// errBeyond ends the reading of what is beyond a bound: it becomes a finding.
var errBeyond = errors.New("contents: beyond the bounds")

// Message looks into the parts of a message. tree is what an rfc822.Scanner found
// in r. Parts of type message or multipart that are encoded are not decoded here:
// whoever decodes them shows them as messages of their own. An error is a failure
// of r, of the scratch or the end of ctx: nothing is known then.
func (s *Inspection) Message(ctx context.Context, r io.ReaderAt, tree *rfc822.Message) error {
	s.ctx = ctx
	for _, d := range tree.Defects {
		if d.Kind.IsLimit() {
			s.opaque("Message.Bounds", "")
			break
		}
	}
	var err error
	tree.Root.Walk(func(p *rfc822.Part) bool {
		if err != nil {
			return false
		}
		if !p.IsMultipart() && p.Message == nil && !p.IsMessage() {
			err = s.part(r, p)
		}
		return true
	})
	return fault.Wrap("contents.Message", err)
}

func (s *Inspection) add(k Kind, name, where string) {
	for _, f := range s.found {
		if f.Kind == k && f.Name == name {
			return
		}
	}
	if len(s.found) < maxFindings {
		s.found = append(s.found, Finding{k, name, cut(where)})
	}
}

func (s *Inspection) macro(name, where string)  { s.add(Macro, name, where) }
func (s *Inspection) opaque(name, where string) { s.add(Opaque, name, where) }

// cut bounds the name of an attachment.
func cut(name string) string {
	r := []rune(strings.ToValidUTF8(name, "?"))
	return string(r[:min(len(r), maxWhere)])
}

// over returns the error that ends an inspection whose time is over.
func (s *Inspection) over() error {
	if err := s.ctx.Err(); err != nil {
		return fault.New("contents", fault.Temporary, err)
	}
	if s.clk.Now().After(s.end) {
		return errBeyond
	}
	return nil
}

// rationed reads from r as long as there are octets and time left. A failure of r
// is marked, so that it is told from what a format makes of its octets.
type rationed struct {
	s    *Inspection
	r    io.Reader
	left *int64 // nil: no bound
}

// Read implements io.Reader.
func (r rationed) Read(p []byte) (int, error) {
	if err := r.s.over(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if r.left != nil {
		if *r.left -= int64(n); *r.left < 0 {
			return 0, errBeyond
		}
	}
	return n, err
}

// sourceError is a failure to read the message itself.
type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

// source marks the failures of what a part is read from, and remembers one: not
// every reader of a format passes errors on.
type source struct {
	r   io.ReaderAt
	err error
}

// ReadAt implements io.ReaderAt.
func (r *source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 { // what a format says of itself
		return 0, io.EOF
	}
	n, err := r.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = sourceError{err}
		r.err = err
	}
	return n, err
}

// settle makes of the error of looking into a container a finding, or passes it on
// where it is no fault of the container's.
func (s *Inspection) settle(err error, malformed, where string) error {
	var src sourceError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &src):
		return fault.New("contents", fault.Temporary, src.err)
	case s.ctx.Err() != nil:
		return fault.New("contents", fault.Temporary, s.ctx.Err())
	case errors.Is(err, errBeyond):
		s.opaque("Contents.Bounds", where)
	case malformed != "":
		s.opaque(malformed, where)
	}
	return nil
}
