// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// sniffed is how many octets of a file tell its form.
const sniffed = 512

// format is the form of a file, as its first octets tell it.
type format uint8

const (
	unknown format = iota
	zipFile
	maybeZip // by its name alone
	compound // OLE2 compound file: Office up to 2003, .msg, what is embedded
	rtf
	activeMime
	signedData // CMS, as .p7m files are
	// What is not taken apart here.
	enveloped
	rar
	sevenZip
	cabinet
	gzip
	bzip2
	xz
	zstd
	tar
	ace
	arj
	lzh
	tnef
)

// String names what cannot be looked into.
func (f format) String() string {
	return [...]string{
		enveloped: "Cms", rar: "Rar", sevenZip: "7z", cabinet: "Cab", gzip: "Gzip", bzip2: "Bzip2", xz: "Xz", zstd: "Zstd",
		tar: "Tar", ace: "Ace", arj: "Arj", lzh: "Lzh", tnef: "Tnef",
	}[f]
}

// formatOf tells the form of a file by its first octets.
func formatOf(head []byte) format {
	for _, m := range []struct {
		at    int
		magic string
		f     format
	}{
		{0, "PK\x03\x04", zipFile}, {0, "PK\x05\x06", zipFile}, {0, "PK\x07\x08", zipFile},
		{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", compound},
		{0, "ActiveMime", activeMime},
		{0, "Rar!\x1a\x07", rar}, {0, "7z\xbc\xaf\x27\x1c", sevenZip}, {0, "MSCF\x00\x00\x00\x00", cabinet},
		{0, "\x1f\x8b\x08", gzip}, {0, "BZh", bzip2}, {0, "\xfd7zXZ\x00", xz}, {0, "\x28\xb5\x2f\xfd", zstd},
		{257, "ustar", tar}, {7, "**ACE**", ace}, {0, "\x60\xea", arj}, {2, "-lh", lzh}, {0, "\x78\x9f\x3e\x22", tnef},
	} {
		if len(head) >= m.at+len(m.magic) && string(head[m.at:m.at+len(m.magic)]) == m.magic {
			return m.f
		}
	}
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n\x00"), []byte(`{\rt`)): // all that Word looks at
		return rtf
	case len(head) > 0 && head[0] == 0x30: // a DER or BER sequence
		return cmsOf(head)
	}
	return unknown
}

// zipNamed tells whether a file is opened as a zip archive because of its name,
// whatever it begins with.
func zipNamed(name string) bool {
	return slices.Contains([]string{
		".zip", ".jar", ".docx", ".docm", ".dotx", ".dotm", ".xlsx", ".xlsm", ".xlsb", ".xltx", ".xltm", ".xlam",
		".pptx", ".pptm", ".potx", ".potm", ".ppsx", ".ppsm", ".ppam", ".odt", ".ods", ".odp",
	}, extension(name))
}

// markupNamed tells whether a file is opened in a browser because of its name.
func markupNamed(name string) bool {
	return slices.Contains([]string{".htm", ".html", ".xhtml", ".shtml", ".svg"}, extension(name))
}

// looksMarkup tells whether a text is HTML that does not say so.
func looksMarkup(head []byte) bool {
	text := bytes.ToLower(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"))
	return bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
}

// extension is that of a file name, in lower case, without the blanks and points
// that systems drop from its end.
func extension(name string) string { return strings.ToLower(path.Ext(strings.TrimRight(name, " ."))) }
