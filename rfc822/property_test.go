// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// builder writes a MIME tree and notes where the parts come to lie.
type builder struct {
	t          *rapid.T
	buf        bytes.Buffer
	boundaries []string // of the multiparts around
	n          int
}

func (b *builder) write(s string) { b.buf.WriteString(s) }
func (b *builder) at() int64      { return int64(b.buf.Len()) }

// part writes a part and returns what a scan is to find. End is set by the
// caller of a part that has a boundary after it.
func (b *builder) part(depth int) *Part {
	p := &Part{Offset: b.at(), MediaType: "text/plain", Encoding: "7bit"}
	kind := rapid.SampledFrom([]string{"leaf", "leaf", "multipart", "message"}).Draw(b.t, "kind")
	if depth >= 6 {
		kind = "leaf"
	}
	for range rapid.IntRange(0, 3).Draw(b.t, "fields") {
		b.write(rapid.SampledFrom([]string{"X-A: b\r\n", "Subject: long\r\n folded\r\n", "X-8: \xe0\r\n", "--: x\r\n"}).Draw(b.t, "field"))
	}
	switch kind {
	case "leaf":
		if rapid.Bool().Draw(b.t, "typed") {
			p.MediaType = "application/pdf"
			b.write("Content-Type: application/pdf; name=x.pdf\r\n")
		}
		b.blank(p)
		b.write(b.text("body"))
	case "message":
		p.MediaType = "message/rfc822"
		b.write("content-type: Message/RFC822\r\n")
		b.blank(p)
		p.Message = b.part(depth + 1)
	case "multipart":
		b.n++
		boundary := rapid.SampledFrom([]string{"=_%d", "b%d", "%d--", "%d-", "x%d y", strings.Repeat("z", 60) + "%d"}).Draw(b.t, "boundary")
		boundary = fmt.Sprintf(boundary, b.n)
		if len(b.boundaries) > 0 && rapid.Bool().Draw(b.t, "extend") {
			boundary = b.boundaries[len(b.boundaries)-1] + "-" + boundary
		}
		p.MediaType = "multipart/mixed"
		b.write("Content-Type: multipart/mixed;\r\n\tboundary=\"" + boundary + "\"\r\n")
		b.blank(p)
		b.boundaries = append(b.boundaries, boundary)
		first := true
		if rapid.Bool().Draw(b.t, "preamble") {
			b.write(b.text("preamble") + "\r\n")
		}
		for range rapid.IntRange(1, 3).Draw(b.t, "children") {
			b.write("--" + boundary + rapid.SampledFrom([]string{"", " ", "\t "}).Draw(b.t, "blanks") + "\r\n")
			first = false
			c := b.part(depth + 1)
			p.Children = append(p.Children, c)
			b.end(c, b.at())
			b.write("\r\n")
		}
		if !first {
			b.write("--" + boundary + "--")
		}
		b.boundaries = b.boundaries[:len(b.boundaries)-1]
		if rapid.Bool().Draw(b.t, "epilogue") {
			b.write("\r\n" + b.text("epilogue"))
		}
	}
	return p
}

func (b *builder) blank(p *Part) {
	b.write("\r\n")
	p.BodyOffset = b.at()
}

// end sets the end of a part and of what ends with it.
func (b *builder) end(p *Part, at int64) {
	p.End = at
	if p.Message != nil {
		b.end(p.Message, at)
	}
}

// text returns lines none of which is a boundary in use; it may end within one.
func (b *builder) text(label string) string {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{
		"", "text", "--", "--x", "-- ", "\xe0\xff", "From: x", "a\rb", "\x00",
		strings.Repeat("y", 2000), "--" + strings.Repeat("w", 1100), "Content-Type: text/html",
	}), 0, 5).Draw(b.t, label)
	return strings.Join(lines, "\r\n")
}

func compare(t *rapid.T, data []byte, got, want *Part) {
	if got == nil || want == nil {
		if got != want {
			t.Fatalf("got %v, want %v in %q", got, want, data)
		}
		return
	}
	if got.Offset != want.Offset || got.BodyOffset != want.BodyOffset || got.End != want.End ||
		got.MediaType != want.MediaType || len(got.Children) != len(want.Children) || got.Truncated {
		t.Fatalf("got %d-%d-%d %s with %d parts, want %d-%d-%d %s with %d in %q",
			got.Offset, got.BodyOffset, got.End, got.MediaType, len(got.Children),
			want.Offset, want.BodyOffset, want.End, want.MediaType, len(want.Children), data)
	}
	compare(t, data, got.Message, want.Message)
	for i := range got.Children {
		compare(t, data, got.Children[i], want.Children[i])
	}
}

func TestGeneratedTreesAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &builder{t: t}
		want := b.part(0)
		if rapid.Bool().Draw(t, "final") {
			b.write("\r\n")
		}
		b.end(want, b.at())
		data := b.buf.Bytes()
		m := scan(data, Limits{})
		compare(t, data, m.Root, want)
		sizes := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 8).Draw(t, "sizes")
		if got := dump(scan(data, Limits{}, sizes...)); got != dump(m) {
			t.Fatalf("in pieces of %v:\n%s\nat once:\n%s", sizes, got, dump(m))
		}
	})
}

func TestEncodeTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-zàè€=?_]{1,80} {1,30}){0,6}[a-z]{0,200}`)).Draw(t, "text")
		name := rapid.SampledFrom([]string{"Subject", "X-Riferimento-Message-ID", strings.Repeat("N", 70)}).Draw(t, "name")
		checkEncoded(t, name, text)
	})
}

func checkEncoded(t interface{ Fatalf(string, ...any) }, name, text string) {
	field := EncodeText(name, text)
	h, err := ParseHeader(field, Limits{})
	if err != nil || h.Len() != 1 || len(h.Defects()) > 0 {
		t.Fatalf("%q gives %q", text, field)
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(field, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > 76 || len(bytes.TrimSpace(line)) == 0 || bytes.ContainsAny(line, "\r\n\x00") || above127(line) {
			t.Fatalf("line %q of %q", line, field)
		}
	}
	want := strings.Trim(noControls(text), " ")
	if got := DecodeText(h.Get(name)); got != want {
		t.Fatalf("%q came back as %q by %q", want, got, field)
	}
}
