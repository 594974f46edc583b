// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseAddressList(t *testing.T) {
	for v, want := range map[string][]Address{
		"a@b":                                   {{"", "a@b"}},
		"A.B@C":                                 {{"", "A.B@C"}},
		"Mario Rossi <m@x>, \"R, M\" <n@x>":     {{"Mario Rossi", "m@x"}, {"R, M", "n@x"}},
		"a@b; c@d":                              {{"", "a@b"}, {"", "c@d"}},
		"G: a@b, c@d;, e@f":                     {{"", "a@b"}, {"", "c@d"}, {"", "e@f"}},
		"=?UTF-8?Q?Citt=C3=A0?= <x@y>":          {{"Città", "x@y"}},
		"=?UTF-8?Q?Citt=C3=A0,_di?= <x@y>":      {{"Città, di", "x@y"}},
		"=?x-unknown?Q?a?= <x@y>":               {{"a", "x@y"}},
		"Rossi, Mario <x@y>, z@w":               {{"Rossi, Mario", "x@y"}, {"", "z@w"}},
		"Citt\xe0 <x@y>":                        {{"Citt\uFFFD", "x@y"}},
		"a@b (comment, with c@d)":               {{"comment, with c@d", "a@b"}},
		"\"a b\"@c":                             {{"", "\"a b\"@c"}},
		"\"a@b\"@c":                             {{"", "\"a@b\"@c"}},
		"a@b,":                                  {{"", "a@b"}},
		",a@b":                                  {{"", "a@b"}},
		"\"a@b\"":                               {{"", "a@b"}},
		"a@b c@d":                               {{"", "a@b"}},
		"Ditta S.r.l. <a@b>":                    {{"Ditta S.r.l.", "a@b"}},
		"x@y: z@w":                              {{"", "x@y"}, {"", "z@w"}},
		"<a@b":                                  {{"", "a@b"}},
		"\"<x@y>\" <a@b>":                       {{"<x@y>", "a@b"}},
		"=?utf-8?Q?a=0D=0ABcc=3A_x=40y?= <a@b>": {{"a  Bcc: x@y", "a@b"}},
	} {
		got, err := ParseAddressList(v)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %q %v, want %q", v, got, err, want)
		}
	}
	for _, v := range []string{"", " \t", "Mario", "undisclosed-recipients:;", "<>", "(a@b)"} {
		if got, err := ParseAddressList(v); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%q: %q %v", v, got, err)
		}
	}
	for _, sep := range []string{", ", "; "} {
		got, err := ParseAddressList(strings.Repeat("a@b"+sep, 5001) + "a@b")
		if len(got) != 5000 || !errors.Is(err, ErrTooManyAddresses) {
			t.Errorf("%d addresses, %v", len(got), err)
		}
	}
}

func TestParseMailbox(t *testing.T) {
	for v, want := range map[string]string{
		"a@b": "a@b", "A <a@b>": "a@b", "Rossi, Mario <a@b>": "a@b", "\"x@y\" <a@b>": "a@b", "a@b (c@d)": "a@b",
		"a@b, c@d": "", "a@b c@d": "", "\"a <a@x>, b@y": "", "x@y <a@b>": "", "": "", "Mario": "",
	} {
		got, err := ParseMailbox(v)
		if got.Address != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", v, got, err, want)
		}
	}
}

func TestValidAddress(t *testing.T) {
	for _, a := range []string{
		"a@b", "mario.rossi@pec.example", "a+b_c-d/e=f!#$%&'*?^`{|}~@x.it", "\"a b\"@x.it", "\"a\\\"b\"@x.it",
		strings.Repeat("a", 64) + "@x", "a@" + strings.Repeat("b", 63) + ".it", "A@B-c.D", "1@2",
	} {
		if !ValidAddress(a) {
			t.Errorf("%q refused", a)
		}
	}
	for _, a := range []string{
		"", "a", "@b", "a@", "a@b@c", ".a@b", "a.@b", "a..b@c", "a b@c", "a@b c", "a@-b", "a@b-", "a@b..c", "a@b.", "a@.b",
		"à@b", "a@è", "a@[1.2.3.4]", "<a@b>", "a@b\r\n", "a\x00@b", "\"a@b", "\"\"@b", "\"a\"b\"@c", "\"a\\\"@b", "a,b@c", "a@b_c",
		strings.Repeat("a", 65) + "@x", "a@" + strings.Repeat("b", 64) + ".it", "a@" + strings.Repeat("b.", 126) + "b", "\"\r\n\"@b",
	} {
		if ValidAddress(a) {
			t.Errorf("%q accepted", a)
		}
	}
}

func TestFoldCase(t *testing.T) {
	for a, want := range map[string]string{"": "", "a@b": "a@b", "Mario.R@PEC.it": "mario.r@pec.it", "\u212A@b": "\u212A@b"} {
		if got := FoldCase(a); got != want {
			t.Errorf("%q: %q", a, got)
		}
	}
}
