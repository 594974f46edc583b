// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPreview(t *testing.T) {
	for _, c := range []struct{ media, charset, in, want string }{
		{"text/plain", "", "  Buongiorno,\r\n\r\n\tin allegato\u00a0la fattura.  \r\n", "Buongiorno, in allegato la fattura."},
		{"text/plain", "iso-8859-1", "citt\xe0", "città"},
		{"text/plain", "utf-8", "a\xffb\x00c\u202ed\u200be\u00adf\u034fg\ufeff", "abcdefg"},
		{"text/plain", "x-none", "abc", "abc"},
		{"text/plain", "", "<b>", "<b>"},
		{"text/plain", "", strings.Repeat("è ", 300), strings.TrimSpace(strings.Repeat("è ", 100))},
		{"text/plain", "", "", ""}, {"text/plain", "", " \r\n\u200b", ""},
		{"text/html", "", "<html><head><title>t</title><style>p{}</style></head><body><p>Uno<b>due</b>&nbsp;tre</p><p>quattro<br>cinque</p><script>x()</script>sei", "Unodue tre quattro cinque sei"},
		{"text/html", "", "<!-- c -->a &lt;b&gt; &egrave; &#x202e;", "a <b> è"},
		{"text/html", "", "<head><meta charset=x><body>senza fine", "senza fine"},
		{"text/html", "windows-1252", "<p>\x80 5", "€ 5"},
		{"text/html", "", "<style>a{}", ""}, {"text/html", "", "<p title=\"" + strings.Repeat("x", previewElement) + "\">y", ""},
		{"text/html", "", strings.Repeat("<p>", 100_000) + "far away", ""},
	} {
		p := &Part{MediaType: c.media}
		if c.charset != "" {
			p.Params = map[string]string{"charset": c.charset}
		}
		if got := p.Preview(strings.NewReader(c.in)); got != c.want {
			t.Errorf("%s %.60q: %q, want %q", c.media, c.in, got, c.want)
		}
	}
}

func TestPreviewParts(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"Subject: x\n\ny", "text/plain"},
		{mixed + "--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nx\n--b\nContent-Type: text/html\n\ny\n--b\n\nz\n--b--\n", "text/html text/plain"},
		{mixed + "--b\nContent-Type: message/rfc822\n\nSubject: in\n\nx\n--b--\n", ""},
		{mixed + "--b\nContent-Type: application/pdf\n\nx\n--b--\n", ""},
		{mixed + strings.Repeat("--b\n\nx\n", 9) + "--b--\n", "text/plain text/plain text/plain text/plain"},
	} {
		var got []string
		for _, p := range PreviewParts(scan([]byte(crlf(c.message)), Limits{}).Root) {
			got = append(got, p.MediaType)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, want %q", c.message, got, c.want)
		}
	}
}

// TestSummaryWithPreview: a preview changes nothing else of a summary, with and
// without a tree, and a program that does not know of it finds a version that is
// not its own.
func TestSummaryWithPreview(t *testing.T) {
	data := []byte(crlf(mixed + "--b\n\nx\n--b--\n"))
	m := scan(data, Limits{})
	header, ok := HeaderSummary(data)
	if !ok {
		t.Fatal("no header")
	}
	for _, b := range [][]byte{m.Summary(), header} {
		want, err := ReadSummary(b, m.Size)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := want.Preview(); ok {
			t.Error("a preview from nowhere")
		}
		for _, text := range []string{"uno", "", strings.Repeat("è", 200)} {
			if b, err = WithPreview(b, m.Size, text); err != nil {
				t.Fatal(err)
			}
			got, err := ReadSummary(b, m.Size)
			if err != nil || b[0] == summaryVersion {
				t.Fatal(b[0], err)
			}
			if p, ok := got.Preview(); !ok || p != text {
				t.Errorf("%q %v, want %q", p, ok, text)
			}
			if !bytes.Equal(got.Header.Raw(), want.Header.Raw()) || got.Clean != want.Clean || got.BodyOffset != want.BodyOffset || !bytes.Equal(got.tree, want.tree) {
				t.Errorf("%+v, want %+v", got, want)
			}
			if got.HasTree() {
				tree, err := got.Tree()
				if err != nil || keptDump(tree.Root) != keptDump(m.Root) {
					t.Error(err)
				}
			}
		}
		b[len(b)/2] ^= 1
		if _, err := WithPreview(b, m.Size, ""); !errors.Is(err, ErrSummary) {
			t.Error(err)
		}
	}
}

func FuzzPreview(f *testing.F) {
	for _, s := range []string{"Buongiorno", "<p>a<b>b</b>&amp;<script>", "<!--", "<head><title>", "\xff\u202e", strings.Repeat("<a ", 50)} {
		f.Add([]byte(s), "utf-8")
		f.Add([]byte(s), "utf-16")
	}
	f.Fuzz(func(t *testing.T, data []byte, charset string) {
		for _, media := range []string{"text/plain", "text/html"} {
			p := &Part{MediaType: media, Params: map[string]string{"charset": charset}}
			text := p.Preview(bytes.NewReader(data))
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > previewChars || strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
				t.Fatalf("%q of %q", text, data)
			}
		}
	})
}
