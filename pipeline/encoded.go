// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"pecd/rfc822"
)

// The bounds on what is decoded for the antivirus. What lies beyond them has
// not been looked at: it is refused, whatever policy says of bombs, for it is
// found here and not by the engine that has the policy (ADR 0005 #11).
const (
	maxEncodedDepth = 5   // encoded parts inside of each other
	maxEncodedParts = 100 // of one message, at all depths
	maxDecoded      = 4   // octets decoded, as a multiple of the message's

	// encodedLimit names the finding where a bound is exceeded.
	encodedLimit = "pecd.Limits.EncodedParts"
)

// errDecoded ends the decoding of more than is allowed.
var errDecoded = errors.New("pipeline: too much to decode")

// inspection is one message under the antivirus. Besides the message itself it
// shows the engine its parts of type multipart or message in base64 or
// quoted-printable, with the encoding taken off: RFC 2045 §6.4 forbids the
// form, but programs send it, mail readers decode it, and engines do not. The
// parts are found in the tree that the intake has made, so that a message
// without any is read no second time.
type inspection struct {
	core   *Core
	parts  int     // that may still be decoded
	octets int64   // that may still be decoded
	found  Finding // the worst one so far
	// contents looks at everything that the antivirus is shown; nil: nobody does.
	contents ContentsInspection
}

// ask shows the engine one stream. Refuse beats Report beats nothing.
func (s *inspection) ask(ctx context.Context, r *io.SectionReader) error {
	if s.core.Scanner == nil {
		return nil
	}
	found, err := s.core.Scanner.Scan(ctx, r)
	if err != nil {
		return err
	}
	if found.Refuse || found.Report && !s.found.Report {
		s.found = found
	}
	return nil
}

// look shows the engine a message and then its encoded parts, until it refuses
// something.
func (s *inspection) look(ctx context.Context, message *io.SectionReader, tree *rfc822.Message, standing forms, depth int) error {
	if err := s.ask(ctx, message); err != nil || s.found.Refuse {
		return err
	}
	return s.within(ctx, message, tree, standing, depth)
}

// within shows the engine the encoded parts of a message. tree is the message's,
// standing the forms that are not decoded here, depth the number of encoded
// parts it lies in.
func (s *inspection) within(ctx context.Context, message *io.SectionReader, tree *rfc822.Message, standing forms, depth int) error {
	if depth > 0 && noMessage(tree.Root.Message) {
		return nil
	}
	if s.contents != nil {
		if err := s.contents.Message(ctx, message, tree); err != nil {
			return err
		}
	}
	parts := encodedParts(nil, tree.Root, standing)
	s.parts -= len(parts)
	// Where the tree leaves something out, such parts may be in there.
	cut := slices.ContainsFunc(tree.Defects, func(d rfc822.Defect) bool { return d.Kind.IsLimit() })
	if cut || s.parts < 0 || len(parts) > 0 && depth == maxEncodedDepth {
		s.refuse()
		return nil
	}
	for _, p := range parts {
		if err := s.part(ctx, io.NewSectionReader(message, p.start, p.end-p.start), p, depth+1); err != nil || s.found.Refuse {
			return err
		}
	}
	return nil
}

// noMessage reports whether what should be a message, the decoded body of a
// part, is something else: its header, as long as one may be, has not one field.
func noMessage(p *rfc822.Part) bool {
	return p != nil && !slices.ContainsFunc(p.Header.Fields(), func(f rfc822.Field) bool { return f.Name != "" })
}

func (s *inspection) refuse() { s.found = Finding{Name: encodedLimit, Refuse: true} }

// part looks at a part, whose encoded body is given, as readers see it that
// decode it, and as those that do not.
func (s *inspection) part(ctx context.Context, body io.ReadSeeker, p encodedPart, depth int) error {
	base64 := rfc822.NewBase64Reader(body)
	var decoded io.Reader = base64
	if p.form&quoted != 0 {
		decoded = rfc822.NewQuotedPrintableReader(body)
	}
	err := s.body(ctx, &ration{r: decoded, left: &s.octets}, p.head, p.standing, depth)
	if errors.Is(err, errDecoded) {
		s.refuse()
		return nil
	}
	if err != nil || s.found.Refuse {
		return err
	}
	switch {
	case p.form&multiparts != 0: // its parts as they stand are in the tree
		return nil
	case p.form&quoted == 0 && !base64.Foreign(): // a message in clear has colons
		return nil
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.body(ctx, body, p.head, p.standing|p.form, depth)
}

// body looks at the body of a part, which r reads, twice: alone, as the file
// that a mail reader saves, and with head before it, as a message, since engines
// tell messages from other files by their first lines.
func (s *inspection) body(ctx context.Context, r io.Reader, head string, standing forms, depth int) error {
	in := newIntake(s.core.Store)
	defer in.spool.Close()
	if _, err := io.WriteString(in, head); err != nil {
		return err
	}
	if err := in.readAll(r); err != nil {
		return err
	}
	start, size := int64(len(head)), in.spool.Size()
	if size == start {
		return nil
	}
	alone := io.NewSectionReader(in.spool, start, size-start)
	if err := s.ask(ctx, alone); err != nil || s.found.Refuse {
		return err
	}
	if s.contents != nil {
		if err := s.contents.File(ctx, alone, alone.Size()); err != nil {
			return err
		}
	}
	return s.look(ctx, io.NewSectionReader(in.spool, 0, size), in.scan, standing, depth)
}

// ration reads from r as long as there are octets left.
type ration struct {
	r    io.Reader
	left *int64
}

// Read implements io.Reader.
func (r *ration) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if *r.left -= int64(n); *r.left < 0 {
		return 0, errDecoded
	}
	return n, err
}

// forms is a set of the ways a composite part can be encoded.
type forms uint8

const (
	multipartBase64 forms = 1 << iota
	multipartQuoted
	messageBase64
	messageQuoted

	multiparts = multipartBase64 | multipartQuoted
	quoted     = multipartQuoted | messageQuoted
)

// encodedPart is an encoded part of type multipart or message.
type encodedPart struct {
	form       forms // just one
	start, end int64 // of the body, in the message
	head       string
	// standing are the forms that a mail reader takes as they stand if it comes
	// upon this part at all.
	standing forms
}

// encodedParts adds to list the encoded parts of the tree p. In what is seen of
// a part as it stands, others of its form are not listed: a mail reader decodes
// a form or does not, and one part in the other would double with every level.
func encodedParts(list []encodedPart, p *rfc822.Part, standing forms) []encodedPart {
	if p == nil {
		return list
	}
	all := formsOf(p)
	for form := multipartBase64; form <= messageQuoted; form <<= 1 {
		if all&form&^standing != 0 && p.End > p.BodyOffset {
			list = append(list, encodedPart{form: form, start: p.BodyOffset, end: p.End, head: headFor(p, form), standing: standing})
		}
	}
	list = encodedParts(list, p.Message, standing|all)
	for _, c := range p.Children {
		list = encodedParts(list, c, standing|all)
	}
	return list
}

// formsOf returns how a part is encoded, if it is of type multipart or message.
// Of several fields, and of values that nobody should write, each counts: mail
// readers differ in what they make of them.
func formsOf(p *rfc822.Part) forms {
	var encodings, types forms
	if says(p.Header, "Content-Transfer-Encoding", "base64") {
		encodings |= multipartBase64 | messageBase64
	}
	if says(p.Header, "Content-Transfer-Encoding", "quoted-printable") {
		encodings |= multipartQuoted | messageQuoted
	}
	if encodings == 0 {
		return 0
	}
	if p.IsMultipart() || says(p.Header, "Content-Type", "multipart/") {
		types |= multiparts
	}
	if strings.HasPrefix(p.MediaType, "message/") || says(p.Header, "Content-Type", "message/") {
		types |= messageBase64 | messageQuoted
	}
	return encodings & types
}

// says reports whether word is in a field of that name.
func says(h rfc822.Header, name, word string) bool {
	return slices.ContainsFunc(h.Values(name), func(v string) bool { return strings.Contains(strings.ToLower(v), word) })
}

// headFor returns the header with which the decoded body of p is a message of
// its own, one that engines know for a message.
func headFor(p *rfc822.Part, form forms) string {
	const first = "MIME-Version: 1.0\r\n"
	if form&multiparts == 0 {
		return first + "Content-Type: message/rfc822\r\n\r\n"
	}
	var b strings.Builder
	b.WriteString(first)
	for _, f := range p.Header.Fields() {
		if strings.EqualFold(f.Name, "Content-Type") {
			b.Write(f.Raw)
		}
	}
	b.WriteString("\r\n")
	return b.String()
}

// traced is a message with a trace line before it, as it is kept: an engine
// tells by the first lines whether something is a message at all, and a sender
// may choose them so that it does not.
func traced(message io.ReaderAt, size int64) *io.SectionReader {
	const line = "Received: by pecd\r\n"
	return io.NewSectionReader(behind{line, message}, 0, int64(len(line))+size)
}

// behind reads head, and then r from its start.
type behind struct {
	head string
	r    io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (b behind) ReadAt(p []byte, off int64) (n int, err error) {
	if off < int64(len(b.head)) {
		n = copy(p, b.head[off:])
		if n == len(p) {
			return n, nil
		}
	}
	m, err := b.r.ReadAt(p[n:], max(off-int64(len(b.head)), 0))
	return n + m, err
}
