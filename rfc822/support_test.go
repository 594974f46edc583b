// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// scan writes data in pieces of the given sizes, over and over, or at once.
func scan(data []byte, lim Limits, sizes ...int) *Message {
	s := NewScanner(lim)
	if len(sizes) == 0 {
		sizes = []int{len(data) + 1}
	}
	for i := 0; len(data) > 0; i++ {
		n := min(max(sizes[i%len(sizes)], 1), len(data))
		s.Write(data[:n])
		data = data[n:]
	}
	return s.Finish()
}

func scanString(data string) *Message { return scan([]byte(data), Limits{}) }

// crlf turns LF into CRLF.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// dump writes everything a scan has found, for comparing.
func dump(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "size=%d 8bit=%v nul=%v cr=%v lf=%v longest=%d crlf=%v\n",
		m.Size, m.Has8Bit, m.HasNUL, m.BareCR, m.BareLF, m.LongestLine, m.EndsWithCRLF)
	for _, d := range m.Defects {
		fmt.Fprintf(&b, "defect %d @%d %v %s\n", d.Kind, d.Offset, d.Attached, d.Text)
	}
	var walk func(p *Part, indent string)
	walk = func(p *Part, indent string) {
		fmt.Fprintf(&b, "%s%d-%d-%d lines %d+%d %s %v %s %s %v 8=%v trunc=%v raw=%q\n", indent,
			p.Offset, p.BodyOffset, p.End, p.HeaderLines, p.BodyLines, p.MediaType, p.Params, p.Encoding,
			p.Disposition, p.DispositionParams, p.Has8Bit, p.Truncated, p.Header.Raw())
		if p.Message != nil {
			walk(p.Message, indent+" m ")
		}
		for _, c := range p.Children {
			walk(c, indent+" c ")
		}
	}
	walk(m.Root, "")
	return b.String()
}

// outline writes the tree as type and body text, to state it briefly.
func outline(data []byte, p *Part) string {
	var b strings.Builder
	b.WriteString(p.MediaType)
	if p.Truncated {
		b.WriteString("!")
	}
	switch {
	case p.Message != nil:
		b.WriteString("<" + outline(data, p.Message) + ">")
	case p.IsMultipart() && p.Children != nil:
		var kids []string
		for _, c := range p.Children {
			kids = append(kids, outline(data, c))
		}
		b.WriteString("[" + strings.Join(kids, " ") + "]")
	default:
		fmt.Fprintf(&b, "(%q)", data[p.BodyOffset:p.End])
	}
	return b.String()
}

func above127(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x80 })
}

func countLines(b []byte) int64 {
	n := int64(bytes.Count(b, []byte("\n")))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

// checkMessage states what is true of every scan of data.
func checkMessage(t testing.TB, data []byte, m *Message) {
	t.Helper()
	limited := false
	for _, d := range m.Defects {
		limited = limited || d.Kind.IsLimit()
		if d.Offset < 0 || d.Offset > m.Size {
			t.Fatalf("defect outside the message: %+v", d)
		}
	}
	crlfs := bytes.Count(data, []byte("\r\n"))
	longest := 0
	lines := bytes.Split(data, []byte("\n"))
	for i, l := range lines {
		if i < len(lines)-1 {
			l = bytes.TrimSuffix(l, []byte("\r"))
		}
		longest = max(longest, len(l))
	}
	if m.Size != int64(len(data)) || m.LongestLine != longest || m.Has8Bit != above127(data) ||
		m.HasNUL != bytes.Contains(data, []byte{0}) ||
		m.BareCR != (bytes.Count(data, []byte("\r")) > crlfs) ||
		m.BareLF != (bytes.Count(data, []byte("\n")) > crlfs) ||
		m.EndsWithCRLF != bytes.HasSuffix(data, []byte("\r\n")) {
		t.Fatalf("wrong facts about %q:\n%s", data, dump(m))
	}
	if m.Root.Offset != 0 || m.Root.End != m.Size {
		t.Fatalf("root %d-%d of %d", m.Root.Offset, m.Root.End, m.Size)
	}
	m.Root.Walk(func(p *Part) bool {
		if p.Offset > p.BodyOffset || p.BodyOffset > p.End || p.End > m.Size {
			t.Fatalf("offsets %d %d %d", p.Offset, p.BodyOffset, p.End)
		}
		header, body := data[p.Offset:p.BodyOffset], data[p.BodyOffset:p.End]
		if !limited && !bytes.Equal(p.Header.Raw(), header) {
			t.Fatalf("header %q, want %q", p.Header.Raw(), header)
		}
		checkHeader(t, p.Header)
		if p.HeaderLines != countLines(header) || p.BodyLines != countLines(body) {
			t.Fatalf("lines %d+%d, want %d+%d in %q %q", p.HeaderLines, p.BodyLines,
				countLines(header), countLines(body), header, body)
		}
		if p.Has8Bit != above127(body) {
			t.Fatalf("Has8Bit %v of %q", p.Has8Bit, body)
		}
		at := p.BodyOffset
		kids := p.Children
		if p.Message != nil {
			kids = append([]*Part{p.Message}, kids...)
		}
		for _, c := range kids {
			if c.Offset < at || c.End > p.End {
				t.Fatalf("part %d-%d outside %d-%d", c.Offset, c.End, at, p.End)
			}
			at = c.End
		}
		if p.MediaType == "" || p.Encoding == "" || strings.ContainsAny(p.FileName(), "\r\n\x00") {
			t.Fatalf("part %+v", p)
		}
		return true
	})
}

func checkHeader(t testing.TB, h Header) {
	t.Helper()
	var joined []byte
	for i, f := range h.Fields() {
		joined = append(joined, f.Raw...)
		v := f.Value()
		if strings.ContainsAny(v, "\r\n") || strings.ContainsAny(DecodeText(v), "\r\n\x00") {
			t.Fatalf("value %q", v)
		}
		if f.Name == "" {
			if v != "" {
				t.Fatalf("value %q without a name", v)
			}
			continue
		}
		if i > 50 {
			continue // looking all up takes time
		}
		if !h.Has(f.Name) || !h.Has(strings.ToUpper(f.Name)) || len(h.Values(f.Name)) == 0 ||
			h.Get(f.Name) != h.Values(strings.ToLower(f.Name))[0] {
			t.Fatalf("field %q not found", f.Name)
		}
	}
	rest, ok := bytes.CutPrefix(h.Raw(), joined)
	if !ok || len(rest) > 0 && !isBlank(rest) {
		t.Fatalf("fields %q are not the block %q", joined, h.Raw())
	}
}
