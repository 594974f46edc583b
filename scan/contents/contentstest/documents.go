// SPDX-License-Identifier: EUPL-1.2

// Package contentstest makes the documents that tests have looked into: as small
// as they can be and still be what they are. It is imported by tests only.
package contentstest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"
)

// File is a file of an archive.
type File struct {
	Name    string
	Content []byte
}

// Zip returns an archive of the files.
func Zip(t testing.TB, files ...File) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		method := zip.Deflate
		if len(f.Content) == 0 {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: method})
		if err == nil {
			_, err = w.Write(f.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ZeroBomb returns an archive whose entries begin as documents do and unpack to so
// many octets together, all zeros.
func ZeroBomb(t testing.TB, octets int64) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	const each = 2 << 20
	for n := 0; octets > 0; n++ {
		w, err := z.Create(fmt.Sprintf("%d.doc", n))
		if err == nil {
			_, err = io.Copy(w, io.MultiReader(strings.NewReader("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), io.LimitReader(zeros{}, min(each, octets))))
		}
		if err != nil {
			t.Fatal(err)
		}
		octets -= each
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Encrypted marks the entries of an archive as encrypted.
func Encrypted(archive []byte) []byte {
	out := bytes.Clone(archive)
	for _, h := range []struct {
		magic string
		flags int
	}{{"PK\x03\x04", 6}, {"PK\x01\x02", 8}} {
		for i := 0; ; i++ {
			n := bytes.Index(out[i:], []byte(h.magic))
			if n < 0 {
				break
			}
			i += n
			out[i+h.flags] |= 1
		}
	}
	return out
}

const (
	contentTypes = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>%s</Types>`
	relationships = `<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>`
	documentXML   = `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p/></w:body></w:document>`
)

// Docx returns a document of Word without anything in it, and more files.
func Docx(t testing.TB, more ...File) []byte {
	main := `<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>`
	return Zip(t, append([]File{
		{"[Content_Types].xml", fmt.Appendf(nil, contentTypes, main)},
		{"_rels/.rels", fmt.Appendf(nil, relationships, `<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>`)},
		{"word/document.xml", []byte(documentXML)},
	}, more...)...)
}

// Docm returns a document of Word with a macro.
func Docm(t testing.TB) []byte {
	main := `<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/>` +
		`<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>`
	return Zip(t,
		File{"[Content_Types].xml", fmt.Appendf(nil, contentTypes, main)},
		File{"word/document.xml", []byte(documentXML)},
		File{"word/_rels/document.xml.rels", Rels("http://schemas.microsoft.com/office/2006/relationships/vbaProject", "vbaProject.bin")},
		File{"word/vbaProject.bin", Doc(t)},
	)
}

// Types returns a list of contents with one part more, of the type given.
func Types(contentType string) []byte {
	return fmt.Appendf(nil, contentTypes, `<Override PartName="/x" ContentType="`+contentType+`"/>`)
}

// Rels returns relationships with one of a type.
func Rels(kind, target string) []byte {
	return fmt.Appendf(nil, relationships, `<Relationship Id="rId1" Type="`+kind+`" Target="`+target+`" TargetMode="External"/>`)
}

// Doc returns a document of Word 97 with a macro.
func Doc(t testing.TB) []byte {
	return Compound(t, File{"WordDocument", fib(0)}, File{"Macros/VBA/dir", []byte("x")}, File{"Macros/VBA/_VBA_PROJECT", []byte("\xcc\x61")})
}

// PlainDoc returns a document of Word 97 without anything in it; with encrypted it
// says that its text is encrypted.
func PlainDoc(t testing.TB, encrypted bool) []byte {
	flags := uint16(0)
	if encrypted {
		flags = 0x0100
	}
	return Compound(t, File{"WordDocument", fib(flags)}, File{"1Table", []byte("x")})
}

func fib(flags uint16) []byte {
	b := make([]byte, 32)
	binary.LittleEndian.PutUint16(b, 0xa5ec)
	binary.LittleEndian.PutUint16(b[10:], flags)
	return b
}

// RTF returns a text with an embedded object.
func RTF() []byte {
	return []byte(`{\rtf1\ansi Testo {\object\objemb\objw1\objh1{\*\objdata 01050000}} fine}`)
}

const (
	sector   = 512
	noSector = 0xffffffff
	endChain = 0xfffffffe
	fatMark  = 0xfffffffd
	cutoff   = 4096 // shorter streams would be in the ministream
)

// node is a storage or stream of a compound file.
type node struct {
	name     string
	content  []byte
	storage  bool
	children []int
}

// Compound returns an OLE2 compound file with the streams given, "storage/stream".
func Compound(t testing.TB, streams ...File) []byte {
	t.Helper()
	nodes := []node{{name: "Root Entry", storage: true}}
	at := map[string]int{"": 0}
	for _, s := range streams {
		parent, walked := 0, ""
		names := strings.Split(s.Name, "/")
		for i, name := range names {
			walked += "/" + name
			n, known := at[walked]
			if !known {
				n = len(nodes)
				at[walked] = n
				nodes = append(nodes, node{name: name, storage: i < len(names)-1})
				nodes[parent].children = append(nodes[parent].children, n)
			}
			parent = n
		}
		content := bytes.Clone(s.Content)
		if len(content) < cutoff {
			content = append(content, make([]byte, cutoff-len(content))...)
		}
		nodes[parent].content = content
	}
	return layOut(t, nodes)
}

// layOut writes header, one FAT sector, the directory and the streams.
func layOut(t testing.TB, nodes []node) []byte {
	t.Helper()
	directory := (len(nodes)*128 + sector - 1) / sector
	var fat []uint32
	chain := func(sectors int) uint32 {
		start := uint32(len(fat))
		for range sectors {
			fat = append(fat, uint32(len(fat))+1)
		}
		fat[len(fat)-1] = endChain
		return start
	}
	fat = append(fat, fatMark)
	dirStart := chain(directory)
	entries, body := make([]byte, directory*sector), []byte(nil)
	right := make(map[int]int)
	for _, n := range nodes {
		for i := 1; i < len(n.children); i++ {
			right[n.children[i-1]] = n.children[i]
		}
	}
	for i := range directory * sector / 128 {
		e := entries[i*128:]
		for _, off := range []int{68, 72, 76} {
			binary.LittleEndian.PutUint32(e[off:], noSector)
		}
		if i >= len(nodes) {
			continue
		}
		n := nodes[i]
		name := utf16.Encode([]rune(n.name))
		for j, u := range name {
			binary.LittleEndian.PutUint16(e[2*j:], u)
		}
		binary.LittleEndian.PutUint16(e[64:], uint16(2*len(name)+2))
		e[66], e[67] = 2, 1
		if r, ok := right[i]; ok {
			binary.LittleEndian.PutUint32(e[72:], uint32(r))
		}
		binary.LittleEndian.PutUint32(e[116:], endChain)
		switch {
		case n.storage:
			e[66] = 1
			if i == 0 {
				e[66] = 5
			}
			if len(n.children) > 0 {
				binary.LittleEndian.PutUint32(e[76:], uint32(n.children[0]))
			}
		default:
			sectors := (len(n.content) + sector - 1) / sector
			binary.LittleEndian.PutUint32(e[116:], chain(sectors))
			binary.LittleEndian.PutUint32(e[120:], uint32(len(n.content)))
			body = append(body, n.content...)
			body = append(body, make([]byte, sectors*sector-len(n.content))...)
		}
	}
	if len(fat) > sector/4 {
		t.Fatal("contentstest: too long for one FAT sector")
	}
	head := make([]byte, sector)
	copy(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	for off, v := range map[int]uint16{24: 0x3e, 26: 3, 28: 0xfffe, 30: 9, 32: 6} {
		binary.LittleEndian.PutUint16(head[off:], v)
	}
	for off, v := range map[int]uint32{44: 1, 48: dirStart, 56: cutoff, 60: endChain, 68: endChain} {
		binary.LittleEndian.PutUint32(head[off:], v)
	}
	for i := range 109 {
		binary.LittleEndian.PutUint32(head[76+4*i:], noSector)
	}
	binary.LittleEndian.PutUint32(head[76:], 0)
	table := make([]byte, sector)
	for i := range sector / 4 {
		v := uint32(noSector)
		if i < len(fat) {
			v = fat[i]
		}
		binary.LittleEndian.PutUint32(table[4*i:], v)
	}
	return bytes.Join([][]byte{head, table, entries, body}, nil)
}
