// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"strings"
	"testing"
)

func TestDecodeText(t *testing.T) {
	for v, want := range map[string]string{
		"":                                         "",
		"plain":                                    "plain",
		"=?utf-8?Q?citt=C3=A0_x?=":                 "città x",
		"=?UTF-8?b?Y2l0dMOg?=":                     "città",
		"=?iso-8859-1?q?citt=E0?=":                 "città",
		"=?windows-1252?Q?=80?=":                   "€",
		"=?iso-8859-1*it?Q?=E0?=":                  "à",
		"a =?utf-8?Q?b?= =?utf-8?Q?c?= d":          "a bc d",
		"=?utf-8?Q?a?=  x  =?utf-8?Q?b?=":          "a  x  b",
		"=?utf-8?Q?a?= \t =?iso-8859-15?Q?=A4?=":   "a€",
		"=?utf-8?B?w6DD?= =?utf-8?B?qA==?=":        "àè", // a character split between words
		"=?utf-8?Q?=C3?= =?UTF-8?Q?=A8?=":          "è",
		"(=?utf-8?Q?a?=)":                          "(a)",
		"=?utf-8?Q?a b?=":                          "a b",
		"=?utf-8?B?YQ?=":                           "a", // without padding
		"=?utf-8?B?!!!?=":                          "=?utf-8?B?!!!?=",
		"=?utf-8?X?a?=":                            "=?utf-8?X?a?=",
		"=?utf-8?Q?a":                              "=?utf-8?Q?a",
		"=?utf-8?Q?a?b?=":                          "=?utf-8?Q?a?b?=",
		"=??Q?a?=":                                 "=??Q?a?=",
		"=? =?utf-8?Q?a?=":                         "=? a",
		"=?x-unknown?Q?a=E0?=":                     "a\uFFFD",
		"=?utf-8?Q?a=0D=0ABcc:_x=00=1B?=":          "a  Bcc: x\uFFFD\uFFFD",
		"a\tb\x7f\u0085":                           "a b\uFFFD\uFFFD",
		"\xe0":                                     "\uFFFD",
		"città":                                    "città",
		"=?utf-8?Q?=ZZ=?=":                         "=ZZ=",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":       "日本",
		"POSTA =?UTF-8?Q?CERTIFICATA:_=E2=82=AC?=": "POSTA CERTIFICATA: €",
	} {
		if got := DecodeText(v); got != want {
			t.Errorf("%q: %q, want %q", v, got, want)
		}
	}
}

// A text full of beginnings of encoded words must not take quadratic time.
func TestDecodeTextIsLinear(t *testing.T) {
	for _, s := range []string{"=?a?Q?", "=?a?B?!", "=?", "=?utf-8?B?", "=?a?B?!?= "} {
		v := strings.Repeat(s, 512<<10/len(s))
		if got := DecodeText(v); len(got) == 0 {
			t.Errorf("%q", s)
		}
	}
}

func TestEncodeText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"Subject", "", "Subject:\r\n"},
		{"Subject", "plain", "Subject: plain\r\n"},
		{"Subject", "ACCETTAZIONE: città", "Subject: ACCETTAZIONE: =?UTF-8?Q?citt=C3=A0?=\r\n"},
		{"Subject", "CONSEGNA: è qui (2)", "Subject: CONSEGNA: =?UTF-8?B?w6g=?= qui (2)\r\n"},
		{"Subject", "a\r\nBcc: x", "Subject: a  Bcc: x\r\n"},
		{"Sub\r\nject:", "a", "Subject: a\r\n"},
		{"Subject", "a =?utf-8?Q?x?= b", "Subject: a =?UTF-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?= b\r\n"},
		{"Subject", "日本", "Subject: =?UTF-8?B?5pel5pys?=\r\n"},
		{"Subject", strings.Repeat("parola ", 12), "Subject: parola parola parola parola parola parola parola parola parola\r\n parola parola parola\r\n"},
		{"Subject", "\xff", "Subject: =?UTF-8?B?77+9?=\r\n"},
	}
	for _, tt := range tests {
		if got := string(EncodeText(tt.name, tt.text)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
	for _, text := range []string{
		strings.Repeat("x", 500), strings.Repeat("è", 300), strings.Repeat("日本 ", 100), strings.Repeat(" ", 100),
		"a" + strings.Repeat(" ", 100) + "b", strings.Repeat("=", 200), "a" + strings.Repeat(" ", 20) + strings.Repeat("x", 55),
		strings.Repeat("w ", 60) + "è" + strings.Repeat(" w", 60), "a" + strings.Repeat(" ", 20) + strings.Repeat("è", 55),
	} {
		checkEncoded(t, "Subject", text)
	}
}

func TestParseParams(t *testing.T) {
	tests := []struct {
		v, value string
		params   map[string]string
	}{
		{"text/plain", "text/plain", nil},
		{`Text/Plain; Charset="ISO-8859-1"; x=y`, "Text/Plain", map[string]string{"charset": "ISO-8859-1", "x": "y"}},
		{"multipart/signed; protocol=\"application/x-pkcs7-signature\"; micalg=sha1; boundary=\"----95\"", "multipart/signed",
			map[string]string{"protocol": "application/x-pkcs7-signature", "micalg": "sha1", "boundary": "----95"}},
		{`a/b (c;d) ; (x) n = "v" (y); m=1`, "a/b", map[string]string{"n": "v", "m": "1"}},
		{`a/b; name="C:\dir\"x\\y.pdf"`, "a/b", map[string]string{"name": `C:\dir"x\y.pdf`}},
		{`a/b; name=My File.pdf; x=a b`, "a/b", map[string]string{"name": "My File.pdf", "x": "a"}},
		{`attachment; filename*=UTF-8''citt%C3%A0.pdf; filename="x"`, "attachment", map[string]string{"filename": "città.pdf"}},
		{`attachment; filename*0*=iso-8859-1'it'citt%E0; filename*1=" 2.pdf"`, "attachment", map[string]string{"filename": "città 2.pdf"}},
		{`a; n*1=b; n*0=a; n*2=c; n*4=no`, "a", map[string]string{"n": "abc"}},
		{`a; n*1=b`, "a", map[string]string{}},
		{`a; n*=''%0D%0ABcc`, "a", map[string]string{"n": "  Bcc"}},
		{`a; n=1; n=2`, "a", map[string]string{"n": "1"}},
		{`a; n="unclosed; m=2`, "a", map[string]string{"n": "unclosed; m=2"}},
		{`a; n; =x; m="" ;; k="v"junk; l=1`, "a", map[string]string{"m": "", "k": "v", "l": "1"}},
		{`; n=1`, "", map[string]string{"n": "1"}},
		{`(`, "", nil},
		{``, "", nil},
	}
	for _, tt := range tests {
		value, params := parseParams(tt.v)
		if value != tt.value || len(params) != len(tt.params) {
			t.Errorf("%s: %q %q, want %q %q", tt.v, value, params, tt.value, tt.params)
		}
		for k, want := range tt.params {
			if got, ok := params[k]; !ok || got != want {
				t.Errorf("%s: %s=%q, want %q", tt.v, k, got, want)
			}
		}
	}
	if _, params := parseParams("a" + strings.Repeat("; n*0=x", 1000) + "; m=1"); len(params) > maxParams {
		t.Errorf("%d parameters", len(params))
	}
}

func TestFileName(t *testing.T) {
	for header, want := range map[string]string{
		"Content-Type: a/b; name=x.pdf":                                              "x.pdf",
		"Content-Type: a/b; name=x.pdf\nContent-Disposition: inline; filename=y.pdf": "y.pdf",
		"Content-Type: a/b; name=\"=?utf-8?Q?citt=C3=A0?=\"":                         "città",
		"Content-Disposition: attachment; filename=\"a\x1bb\"":                       "a\uFFFDb",
		"Content-Type: a/b": "",
	} {
		m := scanString(crlf(header + "\n\n"))
		if got := m.Root.FileName(); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if name, ok := scanString("Content-Type: a/b; name=\"\"\r\n\r\n").Root.Name(); name != "" || !ok {
		t.Errorf("empty name: %q %v", name, ok)
	}
}
