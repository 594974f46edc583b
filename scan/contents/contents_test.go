// SPDX-License-Identifier: EUPL-1.2

package contents_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/rfc822"
	"pecd/scan/contents"
	"pecd/scan/contents/contentstest"
)

func file(name string, content []byte) contentstest.File {
	return contentstest.File{Name: name, Content: content}
}

// memory is a scratch in memory; it can fail.
type memory struct {
	bytes.Buffer
	broken bool
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.Bytes()).ReadAt(p, off)
}
func (m *memory) Size() int64  { return int64(m.Len()) }
func (m *memory) Close() error { return nil }
func (m *memory) Write(p []byte) (int, error) {
	if m.broken {
		return 0, errors.New("disk full")
	}
	return m.Buffer.Write(p)
}

func scratch() contents.Scratch { return new(memory) }

// inspect returns what is found in a message, as "kind name" lines.
func inspect(t testing.TB, raw []byte, cfg contents.Config) []string {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write(raw)
	in := contents.New(cfg).Begin(scratch)
	if err := in.Message(context.Background(), bytes.NewReader(raw), s.Finish()); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range in.Findings() {
		out = append(out, string(f.Kind)+" "+f.Name)
	}
	slices.Sort(out)
	return out
}

// attached is a message with one attachment.
func attached(name string, content []byte) []byte {
	return fmt.Appendf(nil, "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nIn allegato.\r\n--b\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n",
		name, base64.StdEncoding.EncodeToString(content))
}

// workbook is the beginning of a workbook of Excel 97.
func workbook(records ...[]byte) []byte {
	var out []byte
	for _, r := range append(records, []byte{0x0a, 0, 0, 0}) {
		out = append(out, r...)
	}
	return out
}

func record(kind uint16, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(data))), data...)
}

// TestS4_062_Documents: programs in documents are found whatever the document is
// called and wherever it is, and what cannot be looked into is said so.
func TestS4_062_Documents(t *testing.T) {
	docm, doc := contentstest.Docm(t), contentstest.Doc(t)
	embedded := contentstest.Docx(t, file("word/embeddings/oleObject1.bin", contentstest.Compound(t, file("\x01Ole10Native", []byte("calc.exe")))))
	msg := contentstest.Compound(t, file("__attach_version1.0_#00000000/__substg1.0_37010102", docm))
	ppt := func(has byte) []byte {
		return contentstest.Compound(t, file("PowerPoint Document", slices.Concat(
			[]byte{0x0f, 0, 0xe8, 3, 0, 1, 0, 0}, []byte{0x0f, 0, 0xff, 3, 0x14, 0, 0, 0}, []byte{2, 0, 0, 4, 0x0c, 0, 0, 0, 1, 0, 0, 0, has, 0, 0, 0, 2, 0, 0, 0})))
	}
	deep := docm
	for range 6 {
		deep = contentstest.Zip(t, file("x.zip", deep))
	}
	remote := contentstest.Rels("http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate", "https://evil.example/t.dotm")
	local := contentstest.Rels("http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate", `file:///C:\Modelli\Normal.dotm`)
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"vuoto.docx", contentstest.Docx(t), ""},
		{"a.docm", docm, "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"travestito.docx", docm, "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"fattura.pdf", docm, "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"altro nome.docx", contentstest.Docx(t, file("word/innocuo.bin", doc)), "macro Ole.Vba"},
		{"relazione.docx", contentstest.Docx(t, file("word/_rels/document.xml.rels", contentstest.Rels("http://schemas.microsoft.com/office/2006/relationships/vbaProject", "x.bin"))), "macro Ooxml.Vba"},
		{"tipo.docx", contentstest.Zip(t, file("[Content_Types].xml", contentstest.Types("application/vnd.ms-office.vba&#80;roject"))), "macro Ooxml.Vba"},
		{"utf16.docx", contentstest.Zip(t, file("[Content_Types].xml", wide(contentstest.Types("application/vnd.ms-office.vbaProject")))), "macro Ooxml.Vba"},
		{"modello.docx", contentstest.Docx(t, file("word/_rels/settings.xml.rels", remote)), "macro Ooxml.RemoteTemplate"},
		{"modello locale.docx", contentstest.Docx(t, file("word/_rels/settings.xml.rels", local)), ""},
		{"x.xlsx", contentstest.Docx(t, file("xl/macrosheets/sheet1.xml", []byte("<x/>"))), "macro Ooxml.Xlm"},
		{"oggetto.docx", embedded, "macro Ole.Package"},
		{"a.odt", contentstest.Zip(t, file("mimetype", []byte("application/vnd.oasis.opendocument.text")), file("Basic/Standard/Module1.xml", []byte("<x/>"))), "macro Odf.Macro"},
		{"b.odt", contentstest.Zip(t, file("Basic/Standard/script-lb.xml", []byte("<x/>")), file("Basic/script-lc.xml", []byte("<x/>"))), ""},
		{"c.odt", contentstest.Zip(t, file("META-INF/manifest.xml", []byte("<manifest:encryption-data/>"))), "opaque Odf.Encrypted"},
		{"a.doc", doc, "macro Ole.Vba"},
		{"b.doc", contentstest.PlainDoc(t, false), ""},
		{"c.doc", contentstest.PlainDoc(t, true), "opaque Ole.Encrypted"},
		{"d.docx", contentstest.Compound(t, file("EncryptedPackage", []byte("x"))), "opaque Ole.Encrypted"},
		{"a.xls", contentstest.Compound(t, file("Workbook", workbook(record(0x809, 0, 6), record(0x85, 0, 0, 0, 0, 0, 1, 1, 0, 'x')))), "macro Ole.Xlm"},
		{"b.xls", contentstest.Compound(t, file("Workbook", workbook(record(0x809, 0, 6), record(0x85, 0, 0, 0, 0, 0, 0, 1, 0, 'x')))), ""},
		{"c.xls", contentstest.Compound(t, file("Workbook", workbook(record(0x2f, 0, 0)))), "opaque Ole.Encrypted"},
		{"a.ppt", ppt(1), "macro Ole.Vba"},
		{"b.ppt", ppt(0), ""},
		{"posta.msg", msg, "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"a.rtf", contentstest.RTF(), "macro Rtf.Object"},
		{"a.doc", append([]byte(" {\\rt\xff"), contentstest.RTF()...), "macro Rtf.Object"},
		{"lungo.rtf", fmt.Appendf(nil, "{\\rtf1 %s\\obj%s", strings.Repeat("x", 32<<10-10), "data 01}"), "macro Rtf.Object"},
		{"b.rtf", []byte(`{\rtf1\ansi niente}`), ""},
		{"a.mso", []byte("ActiveMime\x00\x00"), "macro Mso.ActiveMime"},
		{"a.zip", contentstest.Zip(t, file("cartella/a.docm", docm)), "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"b.zip", contentstest.Zip(t, file("a.rtf", contentstest.RTF()), file("b.txt", []byte("x"))), "macro Rtf.Object"},
		{"c.zip", contentstest.Encrypted(contentstest.Zip(t, file("a.txt", []byte("x")))), "opaque Zip.Encrypted"},
		{"d.zip", deep, "opaque Contents.Bounds"},
		{"e.zip", []byte("PK\x03\x04 e poi niente"), "opaque Zip.Malformed"},
		{"prefisso.docm", append([]byte("testo davanti"), docm...), "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"},
		{"testo.docx", []byte("solo testo"), ""},
		{"f.zip", contentstest.Zip(t, file("a.rar", []byte("Rar!\x1a\x07\x01\x00"))), "opaque Archive.Rar"},
		{"a.7z", []byte("7z\xbc\xaf\x27\x1c"), "opaque Archive.7z"},
		{"a.doc", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 e poi niente"), "opaque Ole.Malformed"},
		{"foto.jpg", []byte("\xff\xd8\xff\xe0"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(inspect(t, attached(c.name, c.content), contents.Config{}), ", "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// wide is a text in UTF-16.
func wide(text []byte) []byte {
	out := []byte("\xfe\xff")
	for _, c := range text {
		out = append(out, 0, c)
	}
	return out
}

// TestSigned: what openssl signs, in DER and as a stream in BER, is looked into as
// if it were not signed; what it encrypts is said to be opaque.
func TestSigned(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing: apt-get install openssl")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	run := func(args ...string) {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	put(t, path("a.docm"), contentstest.Docm(t))
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", path("key"), "-out", path("cert"))
	sign := []string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", path("cert"), "-inkey", path("key"), "-in", path("a.docm"), "-out"}
	run(append(sign, path("der"))...)
	run(append(sign, path("ber"), "-stream")...)
	detached := []string{"cms", "-sign", "-binary", "-outform", "DER", "-signer", path("cert"), "-inkey", path("key"), "-in", path("a.docm"), "-out"}
	run(append(detached, path("p7s"))...)
	const id = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
	put(t, path("ber7s"), []byte("\x30\x80"+id+"\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80"+id+"\x01\x00\x00\xa0\x80\x30\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	run("cms", "-encrypt", "-binary", "-outform", "DER", "-in", path("a.docm"), "-out", path("env"), path("cert"))
	const macros = "macro Ole.Vba, macro Ooxml.MacroEnabled, macro Ooxml.Vba"
	for name, want := range map[string]string{"der": macros, "ber": macros, "env": "opaque Archive.Cms", "p7s": "", "ber7s": ""} {
		raw := get(t, path(name))
		if got := strings.Join(inspect(t, attached("a.docm.p7m", raw), contents.Config{}), ", "); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, raw := range map[string][]byte{
		"base64": []byte(base64.StdEncoding.EncodeToString(get(t, path("der")))),
		"PEM":    pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: get(t, path("ber"))}),
	} {
		if got := strings.Join(inspect(t, attached("a.docm.p7m", raw), contents.Config{}), ", "); got != macros {
			t.Errorf("%s: %q", name, got)
		}
	}
	raw := get(t, path("ber"))
	if got := strings.Join(inspect(t, attached("a.p7m", raw[:len(raw)/2]), contents.Config{}), ", "); !strings.Contains(got, "opaque") {
		t.Errorf("cut short: %q", got)
	}
}

// TestBomb: what unpacks to more than the bound is opaque, at the cost of the bound.
func TestBomb(t *testing.T) {
	bomb := contentstest.ZeroBomb(t, 16<<20)
	if len(bomb) > 64<<10 {
		t.Fatal(len(bomb))
	}
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	raw := attached("b.zip", bomb)
	s.Write(raw)
	kept := int64(0)
	in := contents.New(contents.Config{Clock: clock.System{}, Unpacked: 4 << 20}).Begin(func() contents.Scratch { return &counted{kept: &kept} })
	if err := in.Message(context.Background(), bytes.NewReader(raw), s.Finish()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(in.Findings(), contents.Finding{Kind: contents.Opaque, Name: "Contents.Bounds", Where: "b.zip"}) {
		t.Errorf("%q", in.Findings())
	}
	if kept > 4<<20+1<<20 {
		t.Errorf("%d octets kept", kept)
	}
	many := make([]contentstest.File, 10_001)
	for n := range many {
		many[n].Name = fmt.Sprint(n)
	}
	if got := inspect(t, attached("b.zip", contentstest.Zip(t, many...)), contents.Config{}); !slices.Equal(got, []string{"opaque Contents.Bounds"}) {
		t.Errorf("many entries: %q", got)
	}
}

// TestManifests: a document that says much of what is in it is read so far, and the
// rest is not.
func TestManifests(t *testing.T) {
	big := bytes.Repeat([]byte("<a b='c'/>"), 100_000)
	many := []contentstest.File{}
	for n := range 40 {
		many = append(many, contentstest.File{Name: fmt.Sprint(n, ".rels"), Content: big})
	}
	last := contentstest.File{Name: "x.rels", Content: []byte(`<Relationship Type="x/vbaProject" Target="x"/>`)}
	if got := inspect(t, attached("b.zip", contentstest.Zip(t, append(many[:3:3], last)...)), contents.Config{}); !slices.Equal(got, []string{"macro Ooxml.Vba"}) {
		t.Errorf("within the bound: %q", got)
	}
	if got := inspect(t, attached("b.zip", contentstest.Zip(t, append(many, last)...)), contents.Config{}); !slices.Equal(got, []string{"opaque Contents.Bounds"}) {
		t.Errorf("beyond it: %q", got)
	}
}

// TestTime: an inspection whose time is over says so, one whose caller has gone is
// an error.
func TestTime(t *testing.T) {
	raw := attached("a.docm", contentstest.Docm(t))
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write(raw)
	tree := s.Finish()
	clk := clock.NewManual(time.Unix(1e9, 0))
	in := contents.New(contents.Config{Clock: clk}).Begin(scratch)
	clk.Advance(time.Minute)
	if err := in.Message(context.Background(), bytes.NewReader(raw), tree); err != nil {
		t.Fatal(err)
	}
	if f := in.Findings(); len(f) != 1 || f[0].Name != "Contents.Bounds" {
		t.Errorf("%v", f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in = contents.New(contents.Config{Clock: clk}).Begin(scratch)
	if err := in.Message(ctx, bytes.NewReader(raw), tree); !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
}

// TestCompoundFileThatBreaksItsReader: a number of sectors that wraps around makes
// the library panic. The message goes on, as one that cannot be looked into.
func TestCompoundFileThatBreaksItsReader(t *testing.T) {
	doc := bytes.Clone(contentstest.Doc(t))
	const sectors = 3720050413 // times 127, and 109, is 0 in 32 bits
	binary.LittleEndian.PutUint32(doc[72:], sectors)
	if got := inspect(t, attached("a.doc", doc), contents.Config{}); !slices.Equal(got, []string{"opaque Ole.Malformed"}) {
		t.Errorf("%q", got)
	}
}

// TestFailures: a failure to read the message or to write the scratch is an error
// and no finding.
func TestFailures(t *testing.T) {
	for name, content := range map[string][]byte{"a.docm": contentstest.Docm(t), "a.doc": contentstest.Doc(t), "a.rtf": contentstest.RTF()} {
		raw := attached(name, content)
		s := rfc822.NewScanner(rfc822.DefaultLimits())
		s.Write(raw)
		tree := s.Finish()
		insp := contents.New(contents.Config{Clock: clock.System{}})
		in := insp.Begin(scratch)
		if err := in.Message(context.Background(), failing{}, tree); !fault.Is(err, fault.Temporary) || len(in.Findings()) > 0 {
			t.Errorf("%s: %v, %v", name, err, in.Findings())
		}
		if name == "a.rtf" {
			continue // needs no scratch
		}
		in = insp.Begin(func() contents.Scratch { return &memory{broken: true} })
		if err := in.Message(context.Background(), bytes.NewReader(raw), tree); !fault.Is(err, fault.Temporary) || len(in.Findings()) > 0 {
			t.Errorf("%s: %v, %v", name, err, in.Findings())
		}
	}
}

// counted counts what is written.
type counted struct {
	memory
	kept *int64
}

func (c *counted) Write(p []byte) (int, error) {
	*c.kept += int64(len(p))
	return c.memory.Write(p)
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// TestWhere: the name of the attachment is told, cut.
func TestWhere(t *testing.T) {
	raw := attached(strings.Repeat("n", 200)+".rtf", contentstest.RTF())
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write(raw)
	in := contents.New(contents.Config{Clock: clock.System{}}).Begin(scratch)
	if err := in.Message(context.Background(), bytes.NewReader(raw), s.Finish()); err != nil {
		t.Fatal(err)
	}
	if f := in.Findings(); len(f) != 1 || f[0].Where != strings.Repeat("n", 80) {
		t.Errorf("%v", f)
	}
}
