// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, tt := range []struct {
		in, addr, rest string
		ok             bool
	}{
		{"<>", "", "", true},
		{"<> SIZE=1", "", " SIZE=1", true},
		{"<a@b.example>", "a@b.example", "", true},
		{"<a@b.example> BODY=7BIT", "a@b.example", " BODY=7BIT", true},
		{"<a@b.example>BODY=7BIT", "", "", false},
		{"<A.b+c=d@B.Example>", "A.b+c=d@B.Example", "", true},
		{`<"a b"@c>`, `"a b"@c`, "", true},
		{`<"ab"@c>`, `ab@c`, "", true},
		{`<"a\"b"@c>`, `"a\"b"@c`, "", true},
		{`<"a\b c"@c>`, `"ab c"@c`, "", true},
		{`<"a@b"@c>`, `"a@b"@c`, "", true},
		{`<"a>b"@c>`, `"a>b"@c`, "", true},
		{`<""@c>`, "", "", false},
		{`<"a@c>`, "", "", false},
		{`<"a\`, "", "", false},
		{"<a@b@c>", "", "", false},
		{"<a..b@c>", "", "", false},
		{"<.a@c>", "", "", false},
		{"<a.@c>", "", "", false},
		{"<a@>", "", "", false},
		{"<@c>", "", "", false},
		{"<a>", "", "", false},
		{"<a b@c>", "", "", false},
		{"<a@-c>", "", "", false},
		{"<a@c-.d>", "", "", false},
		{"<a@c..d>", "", "", false},
		{"<a@c", "", "", false},
		{"a@c", "", "", false},
		{"<a@c>>", "", "", false},
		{"<<a@c>>", "", "", false},
		{"<a@[192.0.2.1]>", "a@[192.0.2.1]", "", true},
		{"<a@[192.0.2]>", "", "", false},
		{"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "", true},
		{"<a@[IPv6:192.0.2.1]>", "", "", false},
		{"<a@[x]>", "", "", false},
		{"<@r1,@r2:a@c>", "a@c", "", true},
		{"<@r1>", "", "", false},
		{"<@r1:>", "", "", false},
		{"<Postmaster>", "postmaster", "", true},
		{"<" + strings.Repeat("a", 250) + "@cc>", strings.Repeat("a", 250) + "@cc", "", true},
		{"<" + strings.Repeat("a", 252) + "@cc>", "", "", false},
		{"<a@b\x00>", "", "", false},
		{"", "", "", false},
	} {
		addr, rest, ok := parsePath(tt.in)
		if ok != tt.ok || ok && (addr != tt.addr || rest != tt.rest) {
			t.Errorf("%s: %q %q %v", tt.in, addr, rest, ok)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b> X", `<"a\" b"@[1.2.3.4]>`, "<@a:b@c>", "<postmaster>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, rest, ok := parsePath(s)
		if !ok {
			return
		}
		if len(addr) > maxAddress || !printable(addr) {
			t.Fatalf("%q -> %q", s, addr)
		}
		// What came out goes through unchanged, and ends where it should.
		again, rest2, ok := parsePath("<" + addr + ">" + rest)
		if !ok || again != addr || rest2 != rest {
			t.Fatalf("%q -> %q %q -> %q %q %v", s, addr, rest, again, rest2, ok)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 no\r\n", "250\n", "250-" + strings.Repeat("x", 3000) + "\r\n", "999 x\r\n", "250-a\r\n550 b\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(b), 2*maxReplyLine))
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || len(r.lines) == 0 || len(r.lines) > maxReplyLines {
			t.Fatalf("%q -> %+v", b, r)
		}
		if s := r.String(); !printable(s) || len(s) > maxReplyKept {
			t.Fatalf("%q -> %q", b, s)
		}
		if r.enhanced[0] != 0 && r.enhanced[0] != r.code/100 {
			t.Fatalf("%q -> %+v", b, r)
		}
	})
}

func TestReply_String(t *testing.T) {
	r, err := readReply(bufio.NewReaderSize(strings.NewReader("550-5.7.1 uno\r\n550-5.7.1\tdue\r\n550 5.7.1 tre \r\n"), 2*maxReplyLine))
	if err != nil || r.String() != "550 5.7.1 uno due tre" || r.enhanced != [3]int{5, 7, 1} {
		t.Errorf("%q %v %v", r.String(), r.enhanced, err)
	}
}

// The dot writer over any cut of its input.
func FuzzDotWriter(f *testing.F) {
	for _, s := range []string{"", ".", ".\r\n", "a\r\n.b\r\n..", "a\n", "\r", "a\r\r\n", "\r\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, message []byte, chunk uint8) {
		var out bytes.Buffer
		w := newDotWriter(func(p []byte) error { out.Write(p); return nil })
		var err error
		for rest := message; len(rest) > 0 && err == nil; {
			n := min(len(rest), 1+int(chunk))
			_, err = w.Write(rest[:n])
			rest = rest[n:]
		}
		if err == nil {
			err = w.Close()
		}
		stripped := bytes.ReplaceAll(message, []byte("\r\n"), nil)
		if bare := bytes.ContainsAny(stripped, "\r\n"); bare != (err != nil) {
			t.Fatalf("%q: %v", message, err)
		}
		if err != nil {
			return
		}
		got, tainted, used, ended := reference(out.Bytes())
		if len(message) > 0 && !bytes.HasSuffix(message, []byte("\r\n")) {
			message = append(bytes.Clone(message), "\r\n"...)
		}
		if tainted || !ended || used != out.Len() || !bytes.Equal(got, message) {
			t.Fatalf("%q on the wire: %q", message, out.Bytes())
		}
	})
}

func TestWireText(t *testing.T) {
	for in, want := range map[string]string{
		"perché no":               "perche' no",
		"riga\r\n250 altra":       "riga  250 altra",
		" “x” – É\x00\x7f日 ":      `"x" - E'???`,
		strings.Repeat("è", 1000): strings.Repeat("e'", 240),
	} {
		if got := wireText(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
