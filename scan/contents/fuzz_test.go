// SPDX-License-Identifier: EUPL-1.2

package contents_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/rfc822"
	"pecd/scan/contents"
	"pecd/scan/contents/contentstest"
)

// look inspects octets of any kind. Whatever they are, the findings are few, their
// names are words, and looking again finds the same.
func look(t *testing.T, raw []byte) {
	var before []contents.Finding
	for n := range 2 {
		s := rfc822.NewScanner(rfc822.DefaultLimits())
		s.Write(raw)
		in := contents.New(contents.Config{Clock: clock.NewManual(time.Unix(1e9, 0))}).Begin(scratch)
		if err := in.Message(context.Background(), bytes.NewReader(raw), s.Finish()); err != nil {
			t.Fatal(err)
		}
		found := in.Findings()
		for _, f := range found {
			if strings.Trim(f.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.") != "" || f.Name == "" {
				t.Errorf("%+v", f)
			}
		}
		if n == 1 && !slices.Equal(found, before) {
			t.Errorf("%v, then %v", before, found)
		}
		before = found
	}
}

// FuzzContainer looks into archives, compound files, RTF and CMS.
func FuzzContainer(f *testing.F) {
	for _, seed := range [][]byte{
		contentstest.Docm(f), contentstest.Doc(f), contentstest.PlainDoc(f, true), contentstest.RTF(),
		contentstest.Encrypted(contentstest.Zip(f, file("a.txt", []byte("x")))),
		contentstest.Zip(f, file("x.zip", contentstest.Zip(f, file("a.doc", contentstest.Doc(f))))),
		contentstest.Compound(f, file("Workbook", workbook(record(0x85, 0, 0, 0, 0, 0, 1)))),
		contentstest.Compound(f, file("PowerPoint Document", []byte{2, 0, 0, 4, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})),
		[]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x80\x24\x80\x04\x03{\\r\x04\x02tf\x00\x00"),
	} {
		f.Add("a.docx", seed)
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if len(content) < 64<<10 {
			look(t, attached(name, content))
		}
	})
}

// FuzzLinks looks at the links of texts.
func FuzzLinks(f *testing.F) {
	for _, seed := range []string{
		`<a href="https://www.banca.it@xn--80ak6aa92e.com:8443/a.exe?x#y">www.banca.it</a>`, `<meta http-equiv=refresh content="0;url='//[::1'">`,
		"http://0x7f.1/ HTTPS://Ⱥbc.example/x, ftp://x", `<a href=" java` + "\n" + `script:x">https://`, `<a href="data:;,x">a.b.c</a><base href=\\x\y>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		look(t, text("text/html", body))
		look(t, text("text/plain", body))
	})
}
