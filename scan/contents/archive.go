// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"path"
	"strings"
	"unicode/utf16"
)

const (
	// maxDirectory bounds what is read of the list of an archive's entries, which
	// is held in memory: 45,000 entries at most.
	maxDirectory = 2 << 20
	// maxManifest bounds each part that says what is in a document, maxManifests all
	// those of a message: they are read as XML, which takes a hundred times longer
	// than to unpack them.
	maxManifest, maxManifests = 1 << 20, 4 << 20
)

// bounded is a file of which only so much may be read.
type bounded struct {
	r    io.ReaderAt
	left int64
}

// ReadAt implements io.ReaderAt.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBeyond
	}
	return b.r.ReadAt(p, off)
}

// archive looks into a zip archive: a document of Office (ECMA-376) or of
// OpenDocument, or any other. Where maybe is set, it may be something else.
func (s *Inspection) archive(f Scratch, maybe bool, where string, nested int) error {
	list := &bounded{r: &source{r: f}, left: maxDirectory}
	z, err := zip.NewReader(list, f.Size())
	switch {
	case errors.Is(err, zip.ErrFormat) && maybe:
		return nil
	case err != nil:
		return s.settle(err, "Zip.Malformed", where)
	}
	list.left = 1 << 62 // the list is read; entries are bounded as they are unpacked
	for _, e := range z.File {
		if s.entries++; s.entries > maxEntries {
			s.opaque("Contents.Bounds", where)
			return nil
		}
		if err := s.entry(e, where, nested); err != nil {
			return err
		}
	}
	return nil
}

// entry looks into one entry of an archive.
func (s *Inspection) entry(e *zip.File, where string, nested int) error {
	name := strings.ToLower(strings.ReplaceAll(e.Name, `\`, "/"))
	if found := macroEntry(name); found != "" {
		s.macro(found, where)
	}
	switch {
	case strings.HasSuffix(name, "/"):
		return nil
	case e.Flags&1 != 0:
		s.opaque("Zip.Encrypted", where)
		return nil
	case e.Method != zip.Store && e.Method != zip.Deflate:
		s.opaque("Zip.Method", where)
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return s.settle(err, "Zip.Malformed", where)
	}
	defer r.Close()
	in := bufio.NewReaderSize(rationed{s, r, &s.unpacked}, sniffed)
	head, err := in.Peek(sniffed)
	if err != nil && err != io.EOF {
		return s.settle(err, "Zip.Malformed", where)
	}
	if manifest := manifestOf(name); manifest != nil {
		text, err := io.ReadAll(io.LimitReader(in, maxManifest+1))
		s.manifests += len(text)
		switch {
		case err != nil:
			return s.settle(err, "Zip.Malformed", where)
		case len(text) > maxManifest, s.manifests > maxManifests:
			s.opaque("Contents.Bounds", where)
			return nil
		}
		manifest(s, plainXML(text), where)
		return nil
	}
	if f := formatOf(head); f != unknown {
		return s.file(in, f, where, nested+1)
	}
	return nil
}

// macroEntry names the program that an entry of that name is, "" for none.
func macroEntry(name string) string {
	base := path.Base(name)
	switch {
	case base == "vbaproject.bin" || base == "vbadata.xml":
		return "Ooxml.Vba"
	case strings.Contains(name, "xl/macrosheets/"):
		return "Ooxml.Xlm"
	case strings.HasPrefix(name, "basic/") && strings.HasSuffix(base, ".xml") && !strings.HasPrefix(base, "script-l") && !strings.HasPrefix(base, "dialog-l"),
		strings.HasPrefix(name, "scripts/") && !strings.HasSuffix(name, "/"):
		return "Odf.Macro"
	}
	return ""
}

// manifestOf returns what looks into an entry that says what is in a document,
// nil where this one does not.
func manifestOf(name string) func(s *Inspection, text []byte, where string) {
	switch {
	case name == "[content_types].xml":
		return (*Inspection).contentTypes
	case strings.HasSuffix(name, ".rels"):
		return (*Inspection).relationships
	case name == "meta-inf/manifest.xml":
		return (*Inspection).openDocument
	}
	return nil
}

// contentTypes looks for what makes a document run programs whatever its file is
// called and whatever the parts are: a .docx that is a .docm.
func (s *Inspection) contentTypes(text []byte, where string) {
	text = bytes.ToLower([]byte(html.UnescapeString(string(text))))
	for _, c := range [...]struct{ word, found string }{
		{"macroenabled", "Ooxml.MacroEnabled"}, {"vbaproject", "Ooxml.Vba"}, {"macrosheet", "Ooxml.Xlm"}, {"ms-office.activex", "Ooxml.ActiveX"},
	} {
		if bytes.Contains(text, []byte(c.word)) {
			s.macro(c.found, where)
		}
	}
}

// relationships looks for programs under other names, and for a template that is
// fetched from elsewhere when the document is opened, with its macros.
func (s *Inspection) relationships(text []byte, where string) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.Strict = false
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		t, err := dec.Token()
		if err != nil {
			if err != io.EOF {
				s.opaque("Ooxml.Malformed", where)
			}
			return
		}
		e, ok := t.(xml.StartElement)
		if !ok || e.Name.Local != "Relationship" {
			continue
		}
		var kind, target string
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "Type":
				kind = strings.ToLower(path.Base(a.Value))
			case "Target":
				target = strings.ToLower(strings.TrimSpace(a.Value))
			}
		}
		switch {
		case kind == "vbaproject":
			s.macro("Ooxml.Vba", where)
		case kind == "attachedtemplate" && elsewhere(target):
			s.macro("Ooxml.RemoteTemplate", where)
		}
	}
}

// elsewhere tells whether what a document refers to is on another machine.
func elsewhere(target string) bool {
	for _, p := range []string{"http:", "https:", "ftp:", `\\`, "//", "file:////", `file:///\\`, `file:\\\\`} {
		if strings.HasPrefix(target, p) {
			return true
		}
	}
	return false
}

// openDocument looks at the list of an OpenDocument's parts.
func (s *Inspection) openDocument(text []byte, where string) {
	if bytes.Contains(text, []byte("encryption-data")) {
		s.opaque("Odf.Encrypted", where)
	}
}

// plainXML returns a text of XML in UTF-8.
func plainXML(text []byte) []byte {
	little := bytes.HasPrefix(text, []byte("\xff\xfe"))
	if !little && !bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return text
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		a, b := uint16(text[i]), uint16(text[i+1])
		if little {
			a, b = b, a
		}
		units = append(units, a<<8|b)
	}
	return []byte(string(utf16.Decode(units)))
}
