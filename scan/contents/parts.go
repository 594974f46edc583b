// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/emersion/go-message/charset"

	"pecd/fault"
	"pecd/rfc822"
)

// File looks at octets that a mail reader would save as a file, whatever was said of
// them; errors are those of Message.
func (s *Inspection) File(ctx context.Context, r io.ReaderAt, size int64) error {
	s.ctx = ctx
	in := bufio.NewReaderSize(rationed{s: s, r: io.NewSectionReader(&source{r: r}, 0, size)}, sniffed)
	head, err := in.Peek(sniffed)
	if err != nil && err != io.EOF {
		return fault.Wrap("contents.File", s.settle(err, "", ""))
	}
	if f := formatOf(head); f != unknown {
		return fault.Wrap("contents.File", s.file(in, f, "", 1))
	}
	return nil
}

// part looks into one part of a message that is neither a multipart nor a message.
func (s *Inspection) part(r io.ReaderAt, p *rfc822.Part) error {
	name := p.FileName()
	var body io.Reader = io.NewSectionReader(&source{r: r}, p.BodyOffset, p.End-p.BodyOffset)
	switch p.Encoding {
	case "base64":
		body = rfc822.NewBase64Reader(body)
	case "quoted-printable":
		body = rfc822.NewQuotedPrintableReader(body)
	}
	in := bufio.NewReaderSize(rationed{s: s, r: body}, sniffed)
	head, err := in.Peek(sniffed)
	if err == nil || err == io.EOF {
		if signedNamed(name) && formatOf(head) == unknown {
			in = unarmoured(in, head)
			head, err = in.Peek(sniffed)
		}
	}
	if err != nil && err != io.EOF {
		return s.settle(err, "", name)
	}
	switch f := formatOf(head); {
	case f != unknown:
		return s.file(in, f, name, 1)
	case zipNamed(name):
		return s.file(in, maybeZip, name, 1)
	case p.MediaType == "text/html" || p.MediaType == "application/xhtml+xml" || markupNamed(name) || looksMarkup(head):
		return s.markup(utf8Of(in, p), name)
	case p.MediaType == "text/plain":
		return s.plain(utf8Of(in, p), name)
	}
	return nil
}

// signedNamed tells whether a file is opened as a signed one because of its name.
func signedNamed(name string) bool {
	return extension(name) == ".p7m" || extension(name) == ".p7s" || extension(name) == ".p7c"
}

// unarmoured reads a signed file that is written in base64, with or without the
// lines around it that PEM has.
func unarmoured(in *bufio.Reader, head []byte) *bufio.Reader {
	if line := bytes.IndexByte(head, '\n'); line > 0 && bytes.HasPrefix(head, []byte("-----")) {
		_, _ = in.Discard(line + 1) // it has been looked at: it is there
	}
	return bufio.NewReaderSize(rfc822.NewBase64Reader(in), sniffed)
}

// utf8Of takes the character set off a text; one that nobody knows is left as it is.
func utf8Of(r io.Reader, p *rfc822.Part) io.Reader {
	if name := p.Params["charset"]; name != "" && !strings.EqualFold(name, "utf-8") {
		if decoded, err := charset.Reader(name, r); err == nil {
			return decoded
		}
	}
	return r
}

// file looks into a file of a known form. nested is how many containers it is in,
// itself among them.
func (s *Inspection) file(in io.Reader, f format, where string, nested int) error {
	switch f {
	case rtf:
		return s.richText(in, where)
	case activeMime:
		s.macro("Mso.ActiveMime", where)
		return nil
	case zipFile, maybeZip, compound, signedData:
	default:
		s.opaque("Archive."+f.String(), where)
		return nil
	}
	if nested > maxNesting {
		s.opaque("Contents.Bounds", where)
		return nil
	}
	kept, err := s.keep(in)
	if err != nil {
		return s.settle(err, "Contents.Unreadable", where)
	}
	defer kept.Close()
	switch f {
	case compound:
		return s.compound(kept, where, nested)
	case signedData:
		return s.signed(kept, where, nested)
	}
	return s.archive(kept, f == maybeZip, where, nested)
}

// keep brings a file where it can be read out of order.
func (s *Inspection) keep(in io.Reader) (Scratch, error) {
	kept := s.scratch()
	if _, err := io.Copy(writerOnly{kept}, in); err != nil {
		_ = kept.Close() // the first error counts
		return nil, err
	}
	return kept, nil
}

// writerOnly marks a failure to write as one of ours, not the file's.
type writerOnly struct{ w io.Writer }

// Write implements io.Writer.
func (w writerOnly) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = sourceError{err}
	}
	return n, err
}
