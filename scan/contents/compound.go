// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/richardlehane/mscfb"
)

const (
	// maxSectors bounds what is read of a compound file's directory, in octets: some
	// 2,000 entries. The reader keeps the whole path of each.
	maxSectors = 256 << 10
	// maxLinked bounds how far its chains of sectors are followed.
	maxLinked = 1 << 20
	// maxRecords bounds the records of a presentation or a workbook that are looked at.
	maxRecords = 20_000
)

// directoryOnly bounds the reading of a compound file while it is opened: whole
// sectors, which hold the directory, and single links of chains.
type directoryOnly struct {
	r              io.ReaderAt
	sectors, links int64
}

// ReadAt implements io.ReaderAt.
func (d *directoryOnly) ReadAt(p []byte, off int64) (int, error) {
	left := &d.sectors
	if len(p) == 4 {
		left = &d.links
	}
	if *left -= int64(len(p)); *left < 0 {
		return 0, errBeyond
	}
	return d.r.ReadAt(p, off)
}

// compound looks into an OLE2 compound file ([MS-CFB]): a document of Office up to
// 2003, an Outlook message, an encrypted document of later ones.
func (s *Inspection) compound(f Scratch, where string, nested int) error {
	src := &source{r: f}
	d := &directoryOnly{r: src, sectors: maxSectors, links: 4 * maxLinked}
	doc, err := opened(d)
	switch { // the reader keeps the text of an error alone
	case src.err != nil:
		err = src.err
	case d.sectors < 0 || d.links < 0:
		err = errBeyond
	}
	if err != nil {
		return s.settle(err, "Ole.Malformed", where)
	}
	d.sectors, d.links = 1<<62, 1<<62 // streams are bounded as they are read
	for _, e := range doc.File {
		if s.entries++; s.entries > maxEntries {
			s.opaque("Contents.Bounds", where)
			return nil
		}
		if err := s.stream(e, where, nested); err != nil {
			return err
		}
	}
	return s.settle(src.err, "", where)
}

// errPanic is what a panic of the library becomes: it has bounds of its own that wrap
// around, and a message must not be kept from its recipient by what is in it.
var errPanic = errors.New("contents: the reader of compound files failed")

// opened reads the directory of a compound file.
func opened(r io.ReaderAt) (doc *mscfb.Reader, err error) {
	defer func() {
		if recover() != nil {
			doc, err = nil, errPanic
		}
	}()
	return mscfb.New(r)
}

// guarded reads a stream of a compound file.
type guarded struct{ r io.Reader }

// Read implements io.Reader.
func (g guarded) Read(p []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, errPanic
		}
	}()
	return g.r.Read(p)
}

// stream looks into one stream or storage of a compound file.
func (s *Inspection) stream(e *mscfb.File, where string, nested int) error {
	in := rationed{s, guarded{e}, &s.unpacked}
	switch name := strings.ToLower(e.Name); name {
	case "_vba_project", "_vba_project_cur", "macros", "vba":
		s.macro("Ole.Vba", where)
	case "ole10native":
		s.macro("Ole.Package", where) // any file, run by a double click
	case "encryptedpackage":
		s.opaque("Ole.Encrypted", where)
	case "worddocument":
		return s.settle(s.wordHeader(in, where), "Ole.Malformed", where)
	case "workbook", "book":
		return s.settle(s.workbook(in, where), "Ole.Malformed", where)
	case "powerpoint document":
		return s.settle(s.presentation(in, where), "Ole.Malformed", where)
	case "package", "contents", "__substg1.0_37010102": // a file: embedded, or attached to an Outlook message
		r := bufio.NewReaderSize(in, sniffed)
		head, err := r.Peek(sniffed)
		if err != nil && err != io.EOF {
			return s.settle(err, "Ole.Malformed", where)
		}
		if f := formatOf(head); f != unknown {
			return s.file(r, f, where, nested+1)
		}
	}
	return nil
}

// wordHeader looks whether the text of a Word document is encrypted ([MS-DOC] 2.5.2).
func (s *Inspection) wordHeader(in io.Reader, where string) error {
	var fib [12]byte
	if _, err := io.ReadFull(in, fib[:]); err != nil {
		return err
	}
	const encrypted = 0x0100
	if binary.LittleEndian.Uint16(fib[10:])&encrypted != 0 {
		s.opaque("Ole.Encrypted", where)
	}
	return nil
}

// workbook looks for sheets of Excel 4.0 macros, and for encryption, in the records
// that stand before the first sheet ([MS-XLS] 2.1.4).
func (s *Inspection) workbook(in io.Reader, where string) error {
	const filePass, boundSheet, eof = 0x2f, 0x85, 0x0a
	r := bufio.NewReader(in)
	var head [4]byte
	for range maxRecords {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		kind, n := binary.LittleEndian.Uint16(head[:]), int(binary.LittleEndian.Uint16(head[2:]))
		switch kind {
		case eof:
			return nil
		case filePass: // what follows is encrypted
			s.opaque("Ole.Encrypted", where)
		case boundSheet:
			const macroSheet = 1
			data, err := r.Peek(min(n, 6))
			if err != nil {
				return err
			}
			if len(data) == 6 && data[5] == macroSheet {
				s.macro("Ole.Xlm", where)
			}
		}
		if _, err := r.Discard(n); err != nil {
			return err
		}
	}
	return errBeyond
}

// presentation looks whether a presentation says that it has macros: they are kept
// compressed inside of it ([MS-PPT] 2.4.9).
func (s *Inspection) presentation(in io.Reader, where string) error {
	const container, vbaInfo = 0x0f, 0x0400
	r := bufio.NewReader(in)
	var head [8]byte
	for range maxRecords {
		_, err := io.ReadFull(r, head[:])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		kind, n := binary.LittleEndian.Uint16(head[2:]), int64(binary.LittleEndian.Uint32(head[4:]))
		if head[0]&0x0f == container {
			continue // its records follow
		}
		if kind == vbaInfo && n >= 8 {
			data, err := r.Peek(8)
			if err != nil {
				return err
			}
			if binary.LittleEndian.Uint32(data[4:]) != 0 {
				s.macro("Ole.Vba", where)
			}
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return err
		}
	}
	return errBeyond
}
