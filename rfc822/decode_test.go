// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

// TestRFC2045_6_8_Base64Reader: well-formed text, and what tolerant readers make
// of the rest.
func TestRFC2045_6_8_Base64Reader(t *testing.T) {
	for _, c := range []struct {
		in, want string
		foreign  bool
	}{
		{"", "", false},
		{"Y2lhbw==", "ciao", false},
		{"Y2lh\r\n bw=\t=\r\n", "ciao", false},
		{"Y2lhbw", "ciao", false},
		{"Y2lhb25l", "ciaone", false},
		{"Y!2*lh\x00\xffbw==", "ciao", true},
		{"Y2lhbw==Y2lhbw==", "ciaociao", false},
		{"Y2lhbw=Y2lhbw", "ciaociao", false},
		{"Y2lhY", "cia", false},
		{"=", "", false},
		{"----\r\n", "", true},
		{"+/+/", "\xfb\xff\xbf", false},
	} {
		for name, wrap := range pieces {
			b := NewBase64Reader(wrap(strings.NewReader(c.in)))
			got, err := io.ReadAll(b)
			if err != nil || string(got) != c.want || b.Foreign() != c.foreign {
				t.Errorf("%s, %q: %q, %v, foreign %v", name, c.in, got, err, b.Foreign())
			}
		}
	}
}

// pieces are the ways a reader may give its octets out.
var pieces = map[string]func(io.Reader) io.Reader{
	"at once": func(r io.Reader) io.Reader { return r }, "one by one": iotest.OneByteReader, "error with data": iotest.DataErrReader,
}

// TestRFC2045_6_7_QuotedPrintableReader: as above.
func TestRFC2045_6_7_QuotedPrintableReader(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"citt=C3=A0\r\n", "città\r\n"},
		{"citt=c3=a0", "città"},
		{"ci=\r\nao", "ciao"},
		{"ci= \t \r\nao", "ciao"},
		{"ci=\nao", "ciao"},
		{"ci=", "ci"},
		{"ci= ", "ci"},
		{"a=ZZb=4", "a=ZZb=4"},
		{"a==3D", "a=="},
		{"a=" + strings.Repeat(" ", 100) + "\r\nb", "a=" + strings.Repeat(" ", 100) + "\r\nb"},
		{"a  \r\nb", "a  \r\nb"},
	} {
		for name, wrap := range pieces {
			got, err := io.ReadAll(NewQuotedPrintableReader(wrap(strings.NewReader(c.in))))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %q: %q, %v", name, c.in, got, err)
			}
		}
	}
}

// TestRFC2045_6_7_3_Trimming: white space at the end of a line goes, encoded or
// before a soft line break it stays.
func TestRFC2045_6_7_3_Trimming(t *testing.T) {
	long := strings.Repeat(" ", 1000)
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"a b", "a b"}, {"a  \r\nb", "a\r\nb"}, {"a \t\nb \t", "a\nb"}, {"  \r\n \r\n", "\r\n\r\n"}, {"a =20\r\n", "a  \r\n"},
		{"a =\r\n b", "a  b"}, {"a\t= \t\r\n=62", "a\tb"}, {"a \rb", "a \rb"}, {" \t a", " \t a"},
		{"a" + long + " \r\nb", "a\r\nb"}, {"a" + long + "  \r\nb", "a" + long + "  \r\nb"}, {"a" + long + long + long + "b", "a" + long + long + long + "b"},
		{strings.Repeat("x", decodeBuffer-2) + " \r\ny", strings.Repeat("x", decodeBuffer-2) + "\r\ny"},
	} {
		for name, wrap := range pieces {
			got, err := io.ReadAll(NewTrimmingQuotedPrintableReader(wrap(strings.NewReader(c.in))))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %.40q: %.40q, want %.40q, %v", name, c.in, got, c.want, err)
			}
		}
	}
	// A text of white space alone must not be looked through again and again.
	if n, err := io.Copy(io.Discard, NewTrimmingQuotedPrintableReader(strings.NewReader(strings.Repeat(" ", 64<<20)+"x"))); err != nil || n < 63<<20 {
		t.Error(n, err)
	}
}

// TestDecodersPassErrors: a failure of the reader is none of the text's end.
func TestDecodersPassErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, decode := range map[string]func(io.Reader) io.Reader{
		"base64":           func(r io.Reader) io.Reader { return NewBase64Reader(r) },
		"quoted-printable": NewQuotedPrintableReader,
		"trimming":         NewTrimmingQuotedPrintableReader,
	} {
		in := io.MultiReader(strings.NewReader("Y2lhbw"), iotest.ErrReader(broken))
		if _, err := io.ReadAll(decode(in)); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecoders: what well-formed text stands for comes back whole, and nothing
// grows by decoding.
func FuzzDecoders(f *testing.F) {
	f.Add([]byte("ciao=\r\n=3D"), uint16(1))
	f.Add([]byte("\x00\xff==Y2lh"), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		lines := base64.StdEncoding.EncodeToString(data)
		for i := int(size%76) + 1; i < len(lines); i += 78 {
			lines = lines[:i] + "\r\n" + lines[i:]
		}
		b := NewBase64Reader(strings.NewReader(lines))
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, data) || b.Foreign() {
			t.Fatalf("base64: %q, %v", got, err)
		}
		var quoted bytes.Buffer
		w := quotedprintable.NewWriter(&quoted)
		w.Binary = true
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{NewQuotedPrintableReader(bytes.NewReader(quoted.Bytes())), NewTrimmingQuotedPrintableReader(&quoted)} {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("quoted-printable: %q, %v", got, err)
			}
		}
		for name, r := range map[string]io.Reader{
			"base64": NewBase64Reader(bytes.NewReader(data)), "quoted-printable": NewQuotedPrintableReader(bytes.NewReader(data)),
			"trimming": NewTrimmingQuotedPrintableReader(bytes.NewReader(data)),
		} {
			if got, err := io.ReadAll(r); err != nil || len(got) > len(data) {
				t.Fatalf("%s: %d octets of %d, %v", name, len(got), len(data), err)
			}
		}
	})
}
