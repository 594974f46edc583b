// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keptDump writes what a summary must tell of a tree.
func keptDump(root *Part) string {
	var b strings.Builder
	var walk func(p *Part, message bool, indent string)
	walk = func(p *Part, message bool, indent string) {
		var kept []byte
		for _, f := range p.Header.Fields() {
			if keptField([]byte(f.Name), message) {
				kept = append(kept, f.Raw...)
			}
		}
		kept = append(kept, p.Header.blank()...)
		fmt.Fprintf(&b, "%s%d-%d-%d lines %d+%d %s %v %s %s %v 8=%v trunc=%v kept=%q\n", indent,
			p.Offset, p.BodyOffset, p.End, p.HeaderLines, p.BodyLines, p.MediaType, p.Params, p.Encoding,
			p.Disposition, p.DispositionParams, p.Has8Bit, p.Truncated, kept)
		if p.Message != nil {
			walk(p.Message, true, indent+" m ")
		}
		for _, c := range p.Children {
			walk(c, false, indent+" c ")
		}
	}
	walk(root, true, "")
	return b.String()
}

// checkSummary compares a scan with its summary read back.
func checkSummary(t testing.TB, data []byte, m *Message) {
	t.Helper()
	b := m.Summary()
	s, err := ReadSummary(b, m.Size)
	if err != nil {
		t.Fatalf("%v: summary %q of %q", err, b, data)
	}
	tree, err := s.Tree()
	if err != nil {
		t.Fatalf("%v: tree of %q", err, data)
	}
	if got, want := keptDump(tree.Root), keptDump(m.Root); got != want {
		t.Fatalf("by the summary:\n%s\nby the scan:\n%s\nof %q", got, want, data)
	}
	if s.BodyOffset != m.Root.BodyOffset || tree.Size != m.Size {
		t.Fatalf("header ends at %d, not %d", s.BodyOffset, m.Root.BodyOffset)
	}
	if s.Clean {
		for _, f := range m.Root.Header.Fields() {
			if KeptField(f.Name) && fmt.Sprint(s.Header.Values(f.Name)) != fmt.Sprint(m.Root.Header.Values(f.Name)) {
				t.Fatalf("field %q of %q", f.Name, data)
			}
		}
	}
	if b, ok := HeaderSummary(data); ok {
		h, err := ReadSummary(b, m.Size)
		if err != nil || h.HasTree() || h.BodyOffset != s.BodyOffset || !bytes.Equal(h.Header.Raw(), s.Header.Raw()) {
			t.Fatalf("%v: summary of the header of %q: %+v, not %+v", err, data, h, s)
		}
	}
}

// TestSummarySamples takes the messages of providers, where they are at hand.
func TestSummarySamples(t *testing.T) {
	files, _ := filepath.Glob("../../shared/samples/pec/*.eml")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		checkSummary(t, data, scan(data, Limits{}))
	}
	t.Logf("%d messages", len(files))
}

func TestSummary(t *testing.T) {
	data := []byte(crlf("Received: x\nSubject: =?utf-8?q?citt=C3=A0?=\n folded\nFROM: a@b\nX-Ricevuta: accettazione\n" + mixed +
		"--b\nContent-Type: text/plain; charset=iso-8859-1\nX-Own: 1\n\nhi\n" +
		"--b\nContent-Type: message/rfc822\n\nSubject: inner\nReceived: y\n\nhello\n--b--\n"))
	m := scan(data, Limits{})
	checkSummary(t, data, m)
	s, err := ReadSummary(m.Summary(), m.Size)
	if err != nil || !s.Clean || !s.HasTree() {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := string(s.Header.Raw()); strings.Contains(got, "Received") || !strings.HasPrefix(got, "Subject: =?utf-8?q?citt=C3=A0?=\r\n folded\r\nFROM: a@b\r\n") {
		t.Fatalf("kept %q", got)
	}
	tree, err := s.Tree()
	if err != nil {
		t.Fatal(err)
	}
	inner := tree.Root.Children[1].Message
	if inner.Header.Get("Subject") != "inner" || tree.Root.Children[0].Params["charset"] != "iso-8859-1" {
		t.Fatal(keptDump(tree.Root))
	}
}

// TestSummaryLimits: what the scanner reads at most, its summary tells.
func TestSummaryLimits(t *testing.T) {
	checkSummary(t, nest(70), scan(nest(70), Limits{}))
	many := []byte(crlf(mixed + strings.Repeat("--b\n\nx\n", 11_000) + "--b--\n"))
	checkSummary(t, many, scan(many, Limits{}))
	malformed := []byte("Subject: x\r\nno field\r\n\r\n")
	if s, err := ReadSummary(scan(malformed, Limits{}).Summary(), int64(len(malformed))); err != nil || s.Clean {
		t.Fatalf("a malformed header is clean: %v", err)
	}
	if _, ok := HeaderSummary([]byte("Subject: x\r\n")); ok {
		t.Fatal("a header without end has a summary")
	}
}

// TestSummaryDamaged: whatever octet is altered or missing, the summary is not used.
func TestSummaryDamaged(t *testing.T) {
	data := []byte(crlf("Subject: x\n" + mixed + "--b\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\nhi\n--b--\n"))
	good := scan(data, Limits{}).Summary()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x21
		if _, err := ReadSummary(bad, int64(len(data))); !errors.Is(err, ErrSummary) {
			t.Fatalf("octet %d altered: %v", i, err)
		}
		if _, err := ReadSummary(good[:i], int64(len(data))); !errors.Is(err, ErrSummary) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// FuzzSummary gives the reader what has a good check sum and nothing else.
func FuzzSummary(f *testing.F) {
	for _, data := range [][]byte{[]byte("Subject: x\r\n\r\nhi"), nest(3),
		[]byte(crlf(mixed + "--b\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\nhi\n--b--\n"))} {
		b := scan(data, Limits{}).Summary()
		f.Add(b[1:len(b)-4], int64(len(data)))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		s, err := ReadSummary(endSummary(append([]byte{summaryVersion}, b...)), max(size, 0))
		if err != nil {
			return
		}
		tree, err := s.Tree()
		if err != nil {
			return
		}
		tree.Root.Walk(func(p *Part) bool {
			if p.Offset < 0 || p.BodyOffset < p.Offset || p.End < p.BodyOffset || p.End > size {
				t.Fatalf("part %d-%d-%d of %d", p.Offset, p.BodyOffset, p.End, size)
			}
			return true
		})
	})
}

// BenchmarkSummary measures what a receipt of 5 kB costs when it is stored, and
// when it is told from its summary.
func BenchmarkSummary(b *testing.B) {
	data := []byte(crlf("X-Ricevuta: avvenuta-consegna\nDate: Wed, 3 Jun 2026 12:15:05 +0200\nFrom: posta-certificata@alfa.example\n" +
		"To: anna@alfa.example\nSubject: CONSEGNA: prova\nX-TipoRicevuta: completa\nMessage-ID: <opec2941.20260603@alfa.example>\n" +
		"X-Riferimento-Message-ID: <1@alfa.example>\nReturn-Path: <>\nReceived: from x by y; Wed, 3 Jun 2026 12:15:05 +0200\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\n micalg=sha-256; boundary=\"s\"\n\n" +
		"--s\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: multipart/alternative; boundary=\"a\"\n\n--a\n" +
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("Ricevuta di avvenuta consegna\n", 10) +
		"--a\nContent-Type: text/html; charset=UTF-8\n\n" + strings.Repeat("<p>Ricevuta di avvenuta consegna</p>\n", 10) + "--a--\n" +
		"--b\nContent-Type: application/xml; name=\"daticert.xml\"\nContent-Disposition: inline; filename=\"daticert.xml\"\n" +
		"Content-Transfer-Encoding: base64\n\n" + strings.Repeat("PD94bWwgdmVyc2lvbj0iMS4wIiBlbmNvZGluZz0iVVRGLTgiPz4KPHBvc3RhY2VydCB0aXBvPSIK\n", 15) + "--b--\n" +
		"--s\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\nContent-Transfer-Encoding: base64\n" +
		"Content-Disposition: attachment; filename=\"smime.p7s\"\n\n" + strings.Repeat("MIIGAgYJKoZIhvcNAQcCoIIF8zCCBe8CAQExDzANBglghkgBZQMEAgEFADALBgkqhkiG9w0BBwGg\n", 25) + "--s--\n"))
	m := scan(data, Limits{})
	summary := m.Summary()
	b.Logf("message %d octets, summary %d", len(data), len(summary))
	run := func(name string, fn func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fn()
			}
		})
	}
	run("scan", func() { scan(data, Limits{}) })
	run("encode", func() { m.Summary() })
	run("header", func() { HeaderSummary(data) })
	run("read", func() {
		if _, err := ReadSummary(summary, m.Size); err != nil {
			b.Fatal(err)
		}
	})
	run("tree", func() {
		s, _ := ReadSummary(summary, m.Size)
		if _, err := s.Tree(); err != nil {
			b.Fatal(err)
		}
	})
}
