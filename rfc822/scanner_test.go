// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const mixed = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"

func TestStructure(t *testing.T) {
	tests := []struct {
		name, message, want string
		defects             []DefectKind
	}{
		{name: "empty", message: "", want: `text/plain("")`},
		{name: "header alone", message: "A: b\n", want: `text/plain("")`},
		{name: "header without its line end", message: "A: b", want: `text/plain("")`},
		{name: "blank line first", message: "\nA: b\n", want: `text/plain("A: b\r\n")`},
		{name: "plain", message: "A: b\n\nhello\n", want: `text/plain("hello\r\n")`},
		{name: "no final line end", message: "A: b\n\nhello", want: `text/plain("hello")`},
		{name: "multipart", message: mixed + "pre\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n\n--b--\npost\n",
			want: `multipart/mixed[text/plain("one") text/html("two\r\n")]`},
		{name: "boundary at once", message: mixed + "--b\n\none\n--b--", want: `multipart/mixed[text/plain("one")]`},
		{name: "white space after boundary", message: mixed + "--b \t\n\none\n--b-- \n", want: `multipart/mixed[text/plain("one")]`},
		{name: "empty body shares the line end", message: mixed + "--b\nA: b\n\n--b--\n", want: `multipart/mixed[text/plain("")]`},
		{name: "no header no body", message: mixed + "--b\n--b\n\n--b\n\n\n--b--\n",
			want: `multipart/mixed[text/plain("") text/plain("") text/plain("")]`},
		{name: "header ended by boundary", message: mixed + "--b\nA: b\n--b--\n", want: `multipart/mixed[text/plain("")]`},
		{name: "nothing after the close", message: mixed + "--b\n\none\n--b--\n--b\n\nno\n", want: `multipart/mixed[text/plain("one")]`},
		{name: "inner boundary extends the outer",
			message: mixed + "--b\nContent-Type: multipart/alternative; boundary=\"b-1\"\n\n--b-1\n\none\n--b-1\n\ntwo\n--b-1--\n--b\n\nthree\n--b--\n",
			want:    `multipart/mixed[multipart/alternative[text/plain("one") text/plain("two")] text/plain("three")]`},
		{name: "outer boundary extends the inner",
			message: strings.ReplaceAll(mixed, "=b", "=b-1") + "--b-1\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b--\n--b-1--\n",
			want:    `multipart/mixed[multipart/alternative[text/plain("one")]]`},
		{name: "inner boundary looks like the outer close",
			message: mixed + "--b\nContent-Type: multipart/alternative; boundary=\"b--\"\n\n--b--\n\none\n--b----\n--b--\n",
			want:    `multipart/mixed[multipart/alternative!("")]`, defects: []DefectKind{DefectUnclosed, DefectEmpty}},
		{name: "same boundary twice: the outer one is meant",
			message: mixed + "--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
			want:    `multipart/mixed[multipart/alternative!("") text/plain("one")]`, defects: []DefectKind{DefectUnclosed, DefectEmpty}},
		{name: "lines that only look like boundaries", message: mixed + "--b\n\n--bb\n --b\n-- b\n--\n--b -\n--b--x\n--b---\n--b--\n",
			want: `multipart/mixed[text/plain("--bb\r\n --b\r\n-- b\r\n--\r\n--b -\r\n--b--x\r\n--b---")]`},
		{name: "unclosed", message: mixed + "--b\n\none\n--b\n\ntwo\n", want: `multipart/mixed![text/plain("one") text/plain("two\r\n")]`,
			defects: []DefectKind{DefectUnclosed}},
		{name: "inner unclosed",
			message: mixed + "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n",
			want:    `multipart/mixed[multipart/alternative![text/plain("one")] text/plain("two")]`, defects: []DefectKind{DefectUnclosed}},
		{name: "never opened", message: mixed + "nothing\n", want: `multipart/mixed!("nothing\r\n")`,
			defects: []DefectKind{DefectUnclosed, DefectEmpty}},
		{name: "empty multipart", message: mixed + "--b--\n", want: `multipart/mixed("--b--\r\n")`, defects: []DefectKind{DefectEmpty}},
		{name: "multipart without a body", message: strings.TrimSuffix(mixed, "\n"), want: `multipart/mixed!("")`,
			defects: []DefectKind{DefectUnclosed, DefectEmpty}},
		{name: "no boundary", message: "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n",
			want: `multipart/mixed("--b\r\n\r\none\r\n--b--\r\n")`, defects: []DefectKind{DefectNoBoundary}},
		{name: "boundary of blanks", message: "Content-Type: multipart/mixed; boundary=\"  \"\n\n--\n", want: `multipart/mixed("--\r\n")`,
			defects: []DefectKind{DefectNoBoundary}},
		{name: "boundary too long", message: "Content-Type: multipart/mixed; boundary=" + strings.Repeat("x", 600) + "\n\nx\n",
			want: `multipart/mixed("x\r\n")`, defects: []DefectKind{DefectNoBoundary}},
		{name: "attached message", message: mixed + "--b\nContent-Type: message/rfc822\n\nSubject: x\n\nhi\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\naGk=\n--b--\n",
			want: `multipart/mixed[message/rfc822<text/plain("hi")> message/rfc822("aGk=")]`},
		{name: "attached message unclosed inside",
			message: mixed + "--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhi\n--b--\n",
			want:    `multipart/mixed[message/rfc822<multipart/mixed![text/plain("hi")]>]`, defects: []DefectKind{DefectUnclosed}},
		{name: "attached message without anything", message: mixed + "--b\nContent-Type: message/rfc822\n\n--b--\n",
			want: `multipart/mixed[message/rfc822<text/plain("")>]`},
		{name: "attached message without a body of its part", message: mixed + "--b\nContent-Type: message/rfc822\n--b--\n",
			want: `multipart/mixed[message/rfc822("")]`},
		{name: "digest", message: "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nhi\n--b\nContent-Type: text/plain\n\nno\n--b--\n",
			want: `multipart/digest[message/rfc822<text/plain("hi")> text/plain("no")]`},
		{name: "digest in a digest's message", message: "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\nContent-Type: message/rfc822\n\n\nhi\n--b--\n",
			want: `multipart/digest[message/rfc822<message/rfc822<text/plain("hi")>>]`},
		{name: "malformed lines", message: "From x@y Mon\nSubject : x\nno field\n cont\n\nhi\n", want: `text/plain("hi\r\n")`,
			defects: []DefectKind{DefectHeaderLine, DefectHeaderLine, DefectHeaderLine}},
		{name: "unreadable type", message: "Content-Type: text\n\nhi\n", want: `text/plain("hi\r\n")`, defects: []DefectKind{DefectContentType}},
		{name: "boundary by RFC 2231", message: "Content-Type: multipart/mixed; boundary*0=\"b\"; boundary*1=c\n\n--bc\n\none\n--bc--\n",
			want: `multipart/mixed[text/plain("one")]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, data := range []string{crlf(tt.message), tt.message} {
				m := scanString(data)
				checkMessage(t, []byte(data), m)
				want := tt.want
				if m.BareLF {
					want = strings.ReplaceAll(want, `\r\n`, `\n`)
				}
				if got := outline([]byte(data), m.Root); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				var kinds []DefectKind
				for _, d := range m.Defects {
					kinds = append(kinds, d.Kind)
				}
				if fmt.Sprint(kinds) != fmt.Sprint(tt.defects) {
					t.Errorf("defects %+v, want kinds %v", m.Defects, tt.defects)
				}
				for size := 1; size <= len(data) && size < 40; size++ {
					if got := dump(scan([]byte(data), Limits{}, size)); got != dump(m) {
						t.Fatalf("in pieces of %d:\n%s\nat once:\n%s", size, got, dump(m))
					}
				}
				for i := range data {
					if got := dump(scan([]byte(data), Limits{}, i, len(data))); got != dump(m) {
						t.Fatalf("cut at %d:\n%s\nat once:\n%s", i, got, dump(m))
					}
				}
			}
		})
	}
}

func TestOffsets(t *testing.T) {
	data := crlf("Subject: x\nContent-Type: multipart/signed; boundary=\"s\"\n\npre\n--s\nContent-Type: text/plain\n\none\ntwo\n\n--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nAAAA\n--s--\n")
	m := scanString(data)
	checkMessage(t, []byte(data), m)
	signed := m.Root.Children[0]
	if got, want := data[signed.Offset:signed.End], crlf("Content-Type: text/plain\n\none\ntwo\n"); got != want {
		t.Errorf("signed part %q, want %q", got, want)
	}
	if signed.BodyLines != 2 || signed.HeaderLines != 2 {
		t.Errorf("lines %d+%d", signed.HeaderLines, signed.BodyLines)
	}
	if got := m.Root.Children[1].FileName(); got != "smime.p7s" {
		t.Errorf("file name %q", got)
	}
}

func TestMessageFacts(t *testing.T) {
	tests := []struct {
		data string
		want Message
	}{
		{"a: b\r\n\r\nx\r\n", Message{LongestLine: 4, EndsWithCRLF: true}},
		{"a: b\r\n\r\nx\ry\r\n", Message{LongestLine: 4, EndsWithCRLF: true, BareCR: true}},
		{"a: b\r\n\r\nx\r\r\n", Message{LongestLine: 4, EndsWithCRLF: true, BareCR: true}},
		{"a: b\r\n\r\nx\r", Message{LongestLine: 4, BareCR: true}},
		{"a: b\n\nx\n", Message{LongestLine: 4, BareLF: true}},
		{"a: b\r\n\r\n\x00", Message{LongestLine: 4, HasNUL: true}},
		{"a: \xe0\r\n\r\n", Message{LongestLine: 4, Has8Bit: true, EndsWithCRLF: true}},
		{"\r\n" + strings.Repeat("x", 998) + "\r\n", Message{LongestLine: 998, EndsWithCRLF: true}},
		{"\r\n" + strings.Repeat("x", 100_000), Message{LongestLine: 100_000}},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			m := scan([]byte(tt.data), Limits{}, size)
			checkMessage(t, []byte(tt.data), m)
			got := Message{LongestLine: m.LongestLine, EndsWithCRLF: m.EndsWithCRLF, BareCR: m.BareCR,
				BareLF: m.BareLF, HasNUL: m.HasNUL, Has8Bit: m.Has8Bit}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%.30q in pieces of %d: %+v, want %+v", tt.data, size, got, tt.want)
			}
		}
	}
}

func TestManyHeaderLines(t *testing.T) {
	data := []byte(strings.Repeat("X-A: b\r\n", 10_000) + "\r\nhi\r\n")
	m := scan(data, Limits{}, 1000)
	checkMessage(t, data, m)
	if m.Find(DefectHeaderFields) == nil || m.Root.Header.Len() != 2000 || m.Root.HeaderLines != 10_001 {
		t.Errorf("%d fields, %d lines, defects %+v", m.Root.Header.Len(), m.Root.HeaderLines, m.Defects)
	}
	if got := string(data[m.Root.BodyOffset:]); got != "hi\r\n" {
		t.Errorf("body %q", got)
	}
}

func TestHeaderTooLarge(t *testing.T) {
	lim := Limits{HeaderBytes: 100}
	for _, data := range []string{
		"A: b\r\n" + strings.Repeat("X", 100) + ": y\r\nB: c\r\n\r\nhi\r\n",
		"A: b\r\n" + strings.Repeat("X", 100_000) + ": y\r\nB: c\r\n\r\nhi\r\n",
	} {
		want := ""
		for _, size := range []int{1 << 20, 1, 5, 64, 99, 100, 101} {
			m := scan([]byte(data), lim, size)
			checkMessage(t, []byte(data), m)
			if m.Find(DefectHeaderSize) == nil || string(m.Root.Header.Raw()) != "A: b\r\n" {
				t.Errorf("kept %q, defects %+v", m.Root.Header.Raw(), m.Defects)
			}
			if want == "" {
				want = dump(m)
			}
			if got := dump(m); got != want {
				t.Errorf("in pieces of %d:\n%s\nwant\n%s", size, got, want)
			}
		}
	}
}

// nest returns a message of depth levels of multipart around a text.
func nest(depth int) []byte {
	var b bytes.Buffer
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nhi")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "\r\n--b%d--", i)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func TestDepth(t *testing.T) {
	for _, tt := range []struct {
		depth, levels int
		defect        bool
	}{{60, 60, false}, {64, 64, false}, {65, 64, true}, {200, 64, true}} {
		data := nest(tt.depth)
		m := scan(data, Limits{}, 77)
		checkMessage(t, data, m)
		levels := 0
		for p := m.Root; len(p.Children) > 0; p = p.Children[0] {
			levels++
		}
		if levels != tt.levels || (m.Find(DefectDepth) != nil) != tt.defect || m.Root.Truncated {
			t.Errorf("depth %d: %d levels, defects %+v", tt.depth, levels, m.Defects)
		}
	}
	data := []byte(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 200) + "\r\nhi\r\n")
	m := scan(data, Limits{}, 100)
	checkMessage(t, data, m)
	if d := m.Find(DefectDepth); d == nil || !d.Attached {
		t.Errorf("defects %+v", m.Defects)
	}
}

func TestPartsLimit(t *testing.T) {
	many := mixed + strings.Repeat("--b\n\nx\n", 20_000) + "--b--\n"
	m := scan([]byte(crlf(many)), Limits{}, 1000)
	checkMessage(t, []byte(crlf(many)), m)
	n := 0
	m.Root.Walk(func(*Part) bool { n++; return true })
	if n != defaultParts+shallowParts || m.Find(DefectParts) == nil || m.Root.Truncated {
		t.Errorf("%d parts, defects %+v", n, m.Defects)
	}

	// An original full of parts does not hide the signature after it.
	envelope := "Content-Type: multipart/signed; boundary=s\n\n--s\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: message/rfc822\n\n" +
		many + "--m--\n--s\nContent-Type: application/pkcs7-signature\n\nAAAA\n--s--\n"
	m = scan([]byte(crlf(envelope)), Limits{}, 1000)
	checkMessage(t, []byte(crlf(envelope)), m)
	if len(m.Root.Children) != 2 || m.Root.Children[1].MediaType != "application/pkcs7-signature" {
		t.Errorf("signature not found: %d children", len(m.Root.Children))
	}
}

func TestTotalHeaderLimit(t *testing.T) {
	part := "--b\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 90)+"\n", 1000) + "\nx\n"
	original := mixed + strings.Repeat(part, 80) + "--b--\n"
	data := []byte(crlf("Content-Type: multipart/signed; boundary=s\n\n--s\nContent-Type: message/rfc822\n\n" + original +
		"--s\nContent-Type: application/pkcs7-signature\n\nAAAA\n--s--\n"))
	m := scan(data, Limits{}, 4096)
	checkMessage(t, data, m)
	total := 0
	m.Root.Walk(func(p *Part) bool { total += len(p.Header.Raw()); return true })
	if total > defaultTotalHeaderBytes+shallowHeaderBytes || m.Find(DefectHeaderSize) == nil {
		t.Errorf("%d octets of headers, defects %+v", total, m.Defects)
	}
	if len(m.Root.Children) != 2 || m.Root.Children[1].MediaType != "application/pkcs7-signature" {
		t.Error("signature not found")
	}

	// Very short lines are bounded by their number.
	part = "--b\n" + strings.Repeat("a:\n", 1999) + "\nx\n"
	data = []byte(crlf(mixed + strings.Repeat(part, 100) + "--b--\n"))
	m = scan(data, Limits{}, 4096)
	checkMessage(t, data, m)
	fields := 0
	m.Root.Walk(func(p *Part) bool { fields += p.Header.Len(); return true })
	if fields > totalHeaderFields+shallowFields || len(m.Root.Children) != 100 {
		t.Errorf("%d fields in %d parts", fields, len(m.Root.Children))
	}
}

func TestDefectsAreBounded(t *testing.T) {
	data := []byte(strings.Repeat("junk\r\n", 1900) + "Content-Type: multipart/mixed\r\n\r\n")
	m := scan(data, Limits{})
	if len(m.Defects) > 2*maxDefects || m.Find(DefectNoBoundary) == nil {
		t.Errorf("%d defects", len(m.Defects))
	}
}

func TestFinishTwice(t *testing.T) {
	s := NewScanner(DefaultLimits())
	s.Write([]byte("A: b\r\n\r\nx"))
	m := s.Finish()
	if n, err := s.Write([]byte("more")); n != 4 || err != nil {
		t.Errorf("Write after Finish: %d, %v", n, err)
	}
	if s.Finish() != m || m.Size != 9 {
		t.Errorf("second Finish differs: %+v", m)
	}
}
