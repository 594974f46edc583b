// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		"", "A: b\r\n\r\nx",
		mixed + "--b\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\nhi\n--b--\n",
		mixed + "--b\nContent-Type: multipart/alternative; boundary=\"b-1\"\n\n--b-1\n\none\n--b\n\n--b--\n",
		"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nhi\n--b--\n",
		"Content-Type: multipart/mixed; boundary*0=b;\n boundary*1*=%63\n\n--bc\n\none\n--bc--\n",
	} {
		f.Add([]byte(crlf(s)), uint16(3))
		f.Add([]byte(s), uint16(1))
	}
	f.Add(nest(70), uint16(50))
	// Enclosed messages that are a header alone, or nothing.
	f.Add([]byte(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nhi\n--b")), uint16(89))
	f.Add([]byte(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n\n--b--\n")), uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		m := scan(data, Limits{})
		checkMessage(t, data, m)
		checkSummary(t, data, m)
		want := dump(m)
		size := int(cut%64) + 1
		for _, sizes := range [][]int{{1}, {size}, {int(cut), len(data) + 1}} {
			if got := dump(scan(data, Limits{}, sizes...)); got != want {
				t.Fatalf("in pieces of %v:\n%s\nat once:\n%s", sizes, got, want)
			}
		}
		small := Limits{HeaderBytes: 40, HeaderFields: 3, Depth: 2, Parts: 4, TotalHeaderBytes: 100}
		m = scan(data, small)
		checkMessage(t, data, m)
		if got := dump(scan(data, small, size)); got != dump(m) {
			t.Fatalf("small limits, in pieces of %d:\n%s\nat once:\n%s", size, got, dump(m))
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("Subject: =?utf-8?Q?citt=C3=A0?=\r\n =?iso-8859-1?B?4A==?=\r\nContent-Type: a/b; name*=utf-8''%e2%82%ac; x=\"y\"\r\n\r\n"))
	f.Add([]byte(" x\r\nFrom x\r\n: y\nA : b\r\n\tc\r\r\n"))
	f.Add([]byte("A: =?a?q?=?= =?utf-16?B?/v8A?= =?x?q?_?="))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := ParseHeader(raw, Limits{})
		checkHeader(t, h)
		if !bytes.HasPrefix(raw, h.Raw()) {
			t.Fatalf("%q is no beginning of %q", h.Raw(), raw)
		}
		if err != nil && len(raw) <= defaultHeaderBytes && bytes.Count(raw, []byte("\n")) < defaultHeaderFields {
			t.Fatal(err)
		}
		for _, field := range h.Fields() {
			parseParams(field.Value())
			text := DecodeText(field.Value())
			if strings.ContainsFunc(text, isControl) || len(text) > 4*len(field.Raw)+4 {
				t.Fatalf("%q decodes to %q", field.Value(), text)
			}
			checkEncoded(t, "Subject", text)
		}
	})
}

func FuzzAddressList(f *testing.F) {
	for _, s := range []string{
		"a@b", "A B <a@b>, \"c, d\" <c@d>; e@f", "G: a@b, c@d;, e@f", "undisclosed-recipients:;", "Rossi, Mario <a@b>",
		"=?UTF-8?Q?Citt=C3=A0,_di?= <x@y>", "\"a b\"@c", "<@r:a@b>", "a@b (c (d) e)", "\"a", "<a@b", "(a@b", "a@[1.2.3.4]", "\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		list, err := ParseAddressList(v)
		if len(list) > maxAddresses || (err == nil) != (len(list) > 0) && err != ErrTooManyAddresses {
			t.Fatalf("%d addresses, %v", len(list), err)
		}
		for _, a := range list {
			if strings.ContainsAny(a.Address+a.Name, "\r\n\x00") || !strings.Contains(a.Address, "@") {
				t.Fatalf("%q holds %q", v, a)
			}
			if !ValidAddress(a.Address) {
				continue
			}
			back, err := ParseAddressList(a.Address)
			if err != nil || len(back) != 1 || back[0].Address != a.Address {
				t.Fatalf("%q read back as %v, %v", a.Address, back, err)
			}
		}
		if one, err := ParseMailbox(v); err == nil && len(list) != 1 {
			t.Fatalf("%q of %v", one, list)
		}
	})
}
