// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what the rule asks for
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pecd/pec"
	"pecd/rfc822"
)

func brief(t testing.TB, original []byte) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	rewritten, err := pec.Brief(&out, bytes.NewReader(original), scanRaw(original))
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), rewritten
}

func TestBrief(t *testing.T) {
	sum := func(s string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(strings.ReplaceAll(s, "\n", "\r\n")))) } //nolint:gosec
	hash := func(name, s string) string {
		return "Content-Type: text/plain; charset=us-ascii;\n\tname=\"" + name + ".hash\"\nContent-Transfer-Encoding: 7bit\n" +
			"Content-Disposition: attachment;\n\tfilename=\"" + name + ".hash\"\n\n" + sum(s)
	}
	const head = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n"
	pdf := "Content-Type: application/pdf; name=x.pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: inline; filename=\"x.pdf\"\n\nAAAA\nBBBB\n"
	tests := []struct {
		name, original, want string // want "": left as it is
	}{
		{name: "text alone", original: "Subject: x\n\nhi\n"},
		{name: "nothing named", original: head + "--b\n\nhi\n--b--\n"},
		{name: "empty", original: ""},
		{name: "attachment", original: head + "--b\n\nhi\n--b\n" + pdf + "\n--b--\nepilogue\n",
			want: head + "--b\n\nhi\n--b\n" + hash("x.pdf", "AAAA\nBBBB\n") + "\n--b--\nepilogue\n"},
		{name: "two attachments without final line ends", original: head + "--b\n" + pdf + "--b\n" + strings.ReplaceAll(pdf, "BBBB", "CCCC") + "--b--",
			want: head + "--b\n" + hash("x.pdf", "AAAA\nBBBB") + "\n--b\n" + hash("x.pdf", "AAAA\nCCCC") + "\n--b--"},
		{name: "other fields stay, those of the body go", original: head + "--b\nContent-ID: <1>\nContent-MD5: x\nContent-Type: a/b; name=n\nX-A: b\n folded\nContent-Type: a/c\n\nx\n--b--\n",
			want: head + "--b\nContent-ID: <1>\nContent-Type: text/plain; charset=us-ascii;\n\tname=\"n.hash\"\nX-A: b\n folded\n" +
				"Content-Transfer-Encoding: 7bit\nContent-Disposition: attachment;\n\tfilename=\"n.hash\"\n\n" + sum("x") + "\n--b--\n"},
		{name: "inside an alternative", original: head + "--b\nContent-Type: multipart/related; boundary=c; name=container\n\n--c\nContent-Type: text/html\n\nhi\n--c\n" + pdf + "--c--\n--b--\n",
			want: head + "--b\nContent-Type: multipart/related; boundary=c; name=container\n\n--c\nContent-Type: text/html\n\nhi\n--c\n" + hash("x.pdf", "AAAA\nBBBB") + "\n--c--\n--b--\n"},
		{name: "attached message", original: head + "--b\nContent-Type: message/rfc822\n\nSubject: y\nContent-Type: multipart/mixed; boundary=c\n\n--c\n" + pdf + "--c--\n--b--\n",
			want: head + "--b\n" + hash("messaggio.eml", "Subject: y\nContent-Type: multipart/mixed; boundary=c\n\n--c\n"+pdf+"--c--") + "\n--b--\n"},
		{name: "attached message with a name", original: head + "--b\nContent-Type: message/rfc822; name=m.eml\n\nSubject: y\n\nhi\n--b--\n",
			want: head + "--b\n" + hash("m.eml", "Subject: y\n\nhi") + "\n--b--\n"},
		{name: "attached message in base64", original: head + "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\naGk=\n--b--\n",
			want: head + "--b\n" + hash("messaggio.eml", "aGk=") + "\n--b--\n"},
		{name: "body is the attachment", original: "Subject: x\nContent-Type: application/pdf; name=x.pdf\nMIME-Version: 1.0\n\nAAAA\n",
			want: "Subject: x\nContent-Type: text/plain; charset=us-ascii;\n\tname=\"x.pdf.hash\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n" +
				"Content-Disposition: attachment;\n\tfilename=\"x.pdf.hash\"\n\n" + sum("AAAA\n") + "\n"},
		{name: "empty attachment", original: head + "--b\nContent-Type: a/b; name=e\n\n--b--\n", want: head + "--b\n" + hash("e", "") + "\n--b--\n"},
		{name: "attachment that is a header alone", original: head + "--b\nContent-Type: a/b; name=e\n--b--\n", want: head + "--b\n" + hash("e", "") + "\n--b--\n"},
		{name: "empty name", original: head + "--b\nContent-Disposition: attachment; filename=\"\"\n\nx\n--b--\n",
			want: head + "--b\nContent-Disposition: attachment;\n\tfilename=\"allegato.hash\"\nContent-Type: text/plain; charset=us-ascii;\n\tname=\"allegato.hash\"\nContent-Transfer-Encoding: 7bit\n\n" + sum("x") + "\n--b--\n"},
		{name: "signed: inside the first part alone",
			original: strings.Replace(head, "mixed", "signed", 1) + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhi\n--c\n" + pdf + "--c--\n--b\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nSIG\n--b--\n",
			want:     strings.Replace(head, "mixed", "signed", 1) + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhi\n--c\n" + hash("x.pdf", "AAAA\nBBBB") + "\n--c--\n--b\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nSIG\n--b--\n"},
		{name: "signed: first part is the attachment",
			original: strings.Replace(head, "mixed", "signed", 1) + "--b\n" + pdf + "--b\nContent-Type: application/x-pkcs7-signature; name=smime.p7s\n\nSIG\n--b--\n",
			want:     strings.Replace(head, "mixed", "signed", 1) + "--b\n" + hash("x.pdf", "AAAA\nBBBB") + "\n--b\nContent-Type: application/x-pkcs7-signature; name=smime.p7s\n\nSIG\n--b--\n"},
		{name: "opaque", original: "Content-Type: application/pkcs7-mime; name=smime.p7m\n\nMIIB\n"},
		{name: "opaque, old type", original: "Content-Type: Application/X-PKCS7-MIME; name=smime.p7m\n\nMIIB\n"},
		{name: "signed file as attachment", original: head + "--b\nContent-Type: application/pkcs7-mime; name=doc.pdf.p7m\n\nMIIB\n--b--\n",
			want: head + "--b\n" + hash("doc.pdf.p7m", "MIIB") + "\n--b--\n"},
		{name: "unclosed", original: head + "--b\nContent-Type: a/b; name=n\n\nx\n", want: head + "--b\n" + hash("n", "x\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			original := strings.ReplaceAll(tt.original, "\n", "\r\n")
			want := strings.ReplaceAll(tt.want, "\n", "\r\n")
			if tt.want == "" {
				want = original
			}
			got, rewritten := brief(t, []byte(original))
			if rewritten != (tt.want != "") {
				t.Errorf("rewritten: %v", rewritten)
			}
			if got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
}

func TestBriefNames(t *testing.T) {
	for _, tt := range []struct{ field, want string }{
		{`Content-Disposition: attachment; filename*=UTF-8''citt%C3%A0%20nuova.pdf`, "città nuova.pdf.hash"},
		{`Content-Type: a/b; name="=?iso-8859-1?Q?citt=E0=0D=0ABcc:_x?="`, "città  Bcc: x.hash"},
		{`Content-Type: a/b; name="a\"b\\c"`, `a"b\c.hash`},
		{`Content-Type: a/b; name="` + strings.Repeat("long ", 39) + `.pdf"`, strings.Repeat("long ", 39) + ".pdf.hash"},
		{`Content-Type: a/b; name*=UTF-8''` + strings.Repeat("%E2%82%AC", 150), strings.Repeat("€", 150) + ".hash"},
		{`Content-Type: a/b; name="` + strings.Repeat("x", 900) + `"`, strings.Repeat("x", 200) + "….hash"},
		{`Content-Type: a/b; name="../../etc/passwd"`, "../../etc/passwd.hash"},
	} {
		original := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + tt.field + "\r\n\r\nx\r\n--b--\r\n")
		got, _ := brief(t, original)
		m := scanRaw([]byte(got))
		if len(m.Defects) > 0 || m.LongestLine > 998 || m.Has8Bit || len(m.Root.Children) != 1 {
			t.Errorf("%s gives %q", tt.field, got)
			continue
		}
		p := m.Root.Children[0]
		if p.FileName() != tt.want || rfc822.DecodeText(p.Params["name"]) != tt.want || p.MediaType != "text/plain" {
			t.Errorf("%s gives %q", tt.field, p.FileName())
		}
	}
}

func TestBriefLeavesWhatItCannotSee(t *testing.T) {
	var original bytes.Buffer
	original.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for range 11_000 {
		original.WriteString("--b\r\nContent-Type: a/b; name=n\r\n\r\nx\r\n")
	}
	original.WriteString("--b--\r\n")
	got, rewritten := brief(t, original.Bytes())
	if rewritten || got != original.String() {
		t.Error("rewritten in part")
	}
}

type failingReader struct{ at int64 }

var errDisk = errors.New("disk")

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	n := int64(len(p))
	if off+n > f.at {
		return 0, errDisk
	}
	clear(p)
	return len(p), nil
}

type failingWriter struct{ left int }

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestBriefErrors(t *testing.T) {
	original := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b; name=n\r\n\r\n" + strings.Repeat("x", 1000) + "\r\n--b--\r\n")
	m := scanRaw(original)
	for _, at := range []int64{0, 60, 500, m.Size - 1} {
		if _, err := pec.Brief(io.Discard, failingReader{at}, m); !errors.Is(err, errDisk) {
			t.Errorf("reading up to %d: %v", at, err)
		}
	}
	for _, left := range []int{0, 60, 100, 180} {
		if _, err := pec.Brief(&failingWriter{left}, bytes.NewReader(original), m); !errors.Is(err, errDisk) {
			t.Errorf("writing %d: %v", left, err)
		}
	}
	if _, err := pec.Brief(io.Discard, bytes.NewReader(original[:100]), m); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short original: %v", err)
	}
}

func FuzzBrief(f *testing.F) {
	for _, s := range []string{
		"", "Subject: x\n\nhi\n",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; name=n\n\nx\n--b\nContent-Type: message/rfc822\n\nA: b\n--b--\n",
		"Content-Type: multipart/signed; boundary=b\n\n--b\nContent-Disposition: x; filename=\"\"\n--b\n\n--b--\n",
		"Content-Type: application/pkcs7-mime; name=x\n\nAAAA\n",
		"Content-Type: a/b; name*0*=''%E2%82; name*1*=%AC\n\nAAAA\n",
	} {
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")))
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, original []byte) {
		m := scanRaw(original)
		got, rewritten := brief(t, original)
		if !rewritten {
			if got != string(original) {
				t.Fatal("changed without saying so")
			}
			return
		}
		parts := 0
		m.Root.Walk(func(*rfc822.Part) bool { parts++; return true })
		if len(got) > len(original)+parts*4096 {
			t.Fatalf("%d octets of %d", len(got), len(original))
		}
		again := scanRaw([]byte(got))
		if a, b := shape(m.Root, true), shape(again.Root, false); a != b {
			t.Fatalf("structure %s became %s:\n%q\n%q", a, b, original, got)
		}
	})
}

// shape writes the structure of multiparts. Of an original it takes attached
// messages as the single part that they become.
func shape(p *rfc822.Part, original bool) string {
	if !p.IsMultipart() {
		return "."
	}
	var b strings.Builder
	b.WriteString("[")
	for _, c := range p.Children {
		b.WriteString(shape(c, original))
	}
	b.WriteString("]")
	return b.String()
}
