// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// flat writes what it sees as text: "dn@line{" "name@line=value;" "}".
type flat struct{ strings.Builder }

func (f *flat) begin(line int, dn string) error {
	fmt.Fprintf(f, "%s@%d{", dn, line)
	return nil
}

func (f *flat) attr(line int, name string, value []byte) error {
	fmt.Fprintf(f, "%s@%d=%s;", name, line, value)
	return nil
}

func (f *flat) end() error {
	f.WriteString("}")
	return nil
}

func TestReadLDIFSyntax(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"version, two entries": {"version: 1\n\ndn: o=a\nx: 1\ny:2\n\n\ndn: o=b\nx:\n", "o=a@3{x@4=1;y@5=2;}o=b@8{x@9=;}"},
		"no version":           {"dn: o=a\nx: 1\n", "o=a@1{x@2=1;}"},
		"CRLF":                 {"version: 1\r\n\r\ndn: o=a\r\nx: 1\r\n 2\r\n", "o=a@3{x@4=12;}"},
		"no final line end":    {"dn: o=a\nx: 1", "o=a@1{x@2=1;}"},
		"folded":               {"dn: o=\n a\nx:\n  one\n  \n two\n", "o=a@1{x@3=one two;}"},
		"folded name":          {"dn: o=a\nlong\n Name: v\n", "o=a@1{longname@2=v;}"},
		"comments":             {"# c\n# folded\n  comment\ndn: o=a\n#x: 1\n y\nz: 1\n", "o=a@4{z@7=1;}"},
		"base64":               {"dn:: bz1h\nx:: \n aGVs\n bG8=\ny::aGk=\n", "o=a@1{x@2=hello;y@5=hi;}"},
		"base64 empty":         {"dn: o=a\nx::\n", "o=a@1{x@2=;}"},
		"options and case":     {"DN: o=a\nproviderCertificate;BINARY:: AAE=\n2.5.4.3;lang-it: v\n", "o=a@1{providercertificate@2=\x00\x01;2.5.4.3@3=v;}"},
		"byte order mark":      {"\xef\xbb\xbfversion: 1\ndn: o=a\nx: 1\n", "o=a@2{x@3=1;}"},
		"no blank line":        {"dn: o=a\nx: 1\ndn: o=b\nx: 2\n", "o=a@1{x@2=1;}o=b@3{x@4=2;}"},
		"blank lines at ends":  {"\n\n\ndn: o=a\nx: 1\n\n\n\n", "o=a@4{x@5=1;}"},
		"spaces":               {"dn:   o=a\nx: a  b \n", "o=a@1{x@2=a  b ;}"},
		"version as attribute": {"dn: o=a\nversion: 7\n", "o=a@1{version@2=7;}"},
		"empty":                {"", ""},
		"only comments":        {"# nothing\n\n# here", ""},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			var f flat
			if err := readLDIF(r, defaultLDIFLimits(), &f); err != nil || f.String() != c.want {
				t.Errorf("%s: %q, %v; want %q", name, f.String(), err, c.want)
			}
		}
	}
}

func TestReadLDIFHostile(t *testing.T) {
	lim := ldifLimits{bytes: 10000, line: 100, attrs: 5}
	for name, c := range map[string]struct{ in, want string }{
		"no colon":              {"dn: o=a\nx\n", "line 2: no attribute name"},
		"no name":               {"dn: o=a\n: v\n", "line 2: no attribute name"},
		"bad name":              {"dn: o=a\nx y: v\n", "line 2: malformed attribute name"},
		"only an option":        {"dn: o=a\n;binary: v\n", "line 2: malformed attribute name"},
		"long name":             {"dn: o=a\n" + strings.Repeat("x", 99) + "\n " + "y: 1\n", "line 2: line longer than 100"},
		"outside an entry":      {"x: 1\n", "line 1: attribute \"x\" outside an entry"},
		"after a blank line":    {"dn: o=a\nx: 1\n\ny: 1\n", "line 4: attribute \"y\" outside"},
		"version 2":             {"version: 2\n", "line 1: LDIF version"},
		"version twice":         {"version: 1\nversion: 1\n", "line 2: attribute \"version\" outside"},
		"bad base64":            {"dn: o=a\nx:: !!!\n", "line 2: value of x is no base64"},
		"base64 not padded":     {"dn: o=a\nx:: aGk\n", "line 2: value of x is no base64"},
		"URL":                   {"dn: o=a\nx:< file:///etc/passwd\n", "line 2: value of x by URL"},
		"change record":         {"dn: o=a\nchangetype: delete\n", "line 2: change records"},
		"control":               {"dn: o=a\ncontrol: 1.2.3\n", "line 2: change records"},
		"dash":                  {"dn: o=a\nx: 1\n-\n", "line 3: change records"},
		"continued nothing":     {" x: 1\n", "line 1: continuation"},
		"continued blank":       {"dn: o=a\n\n x\n", "line 3: continuation"},
		"NUL":                   {"dn: o=a\nx: a\x00b\n", "line 2: NUL"},
		"long line":             {"dn: o=a\nx: " + strings.Repeat("v", 200), "line 2: line longer than 100"},
		"long folded line":      {"dn: o=a\nx: 1\n" + strings.Repeat(" vvvvvvvvvv\n", 20), "line 2: line longer than 100"},
		"long comment":          {"#" + strings.Repeat("v", 200) + "\n", "line 1: line longer than 100"},
		"many attributes":       {"dn: o=a\n" + strings.Repeat("x: 1\n", 6), "line 7: entry with more than 5"},
		"long file":             {strings.Repeat("# 3456789\n", 1001), "line 1001: file longer than 10000"},
		"endless continuations": {"dn: o=a\nx: 1\n" + strings.Repeat(" \n", 6000), "file longer than 10000"},
	} {
		var f flat
		err := readLDIF(strings.NewReader(c.in), lim, &f)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	broken := errors.New("disk gone")
	if err := readLDIF(io.MultiReader(strings.NewReader("dn: o=a\nx: 1\n"), iotest.ErrReader(broken)), lim, &flat{}); !errors.Is(err, broken) {
		t.Errorf("read error: %v", err)
	}
}

func TestParseDN(t *testing.T) {
	for in, want := range map[string]string{
		"o=postacert":                                      "[{o postacert}]",
		"providerName=Alfa S.p.A.,o=postacert":             "[{providername Alfa S.p.A.} {o postacert}]",
		"ProviderName = Alfa\\, Beta & C. , O = postacert": "[{providername Alfa, Beta & C.} {o postacert}]",
		`a=x\2Cy\20\ ,o=p`:                                 "[{a x,y  } {o p}]",
		`a=\C3\A8,o=p`:                                     "[{a è} {o p}]",
		"a=,o=p":                                           "[{a } {o p}]",
		"":                                                 "",
		"a":                                                "",
		"=x":                                               "",
		"a=x,":                                             "",
		"a=x\\":                                            "",
		`a=\FF,o=p`:                                        "",
		"a=\xff":                                           "",
		strings.Repeat("a=x,", 16) + "o=p":                 "",
	} {
		got, err := parseDN(in)
		if want == "" {
			if err == nil {
				t.Errorf("%q: %v", in, got)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, v := range []string{"x", " x ", "#x", `a,b+c"d\e<f>g;h=i`, "è–", "a  b", " ", "nul\x00here"} {
		got, err := parseDN("a=" + escapeDN(v) + ",o=p")
		if err != nil || len(got) != 2 || got[0].value != v {
			t.Errorf("%q: %q, %v", v, got, err)
		}
	}
}

func FuzzReadLDIF(f *testing.F) {
	der := testCertificate(f, "posta-certificata@alfa.example")
	var file bytes.Buffer
	if err := WriteLDIF(&file, RootEntry{LDIFLocationURL: "https://igpec.example/igpec.ldif.p7m"}, []Provider{
		{Name: "Alfa, S.p.A. è", MailReceipt: "ricevute@alfa.example", Certificates: [][]byte{der}, Domains: []string{"alfa.example"}},
		{Name: "Alfa, S.p.A. è", Unit: "due", MailReceipt: "ricevute@due.example", Certificates: [][]byte{der}, Domains: []string{"due.example"}},
	}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("version: 1\n\ndn: o=postacert\nobjectClass: top\n# c\n folded\nx:: " + base64.StdEncoding.EncodeToString([]byte("v")) + "\n"))
	f.Add([]byte("dn:: bz1wb3N0YWNlcnQ=\r\nx:<file\r\n"))
	f.Add([]byte("dn: providerUnit=a,providerName=\\2C,o=postacert\nproviderCertificateHash: 00\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		x, err := ReadLDIF(bytes.NewReader(in))
		if err != nil {
			if !strings.Contains(err.Error(), "line ") && !strings.Contains(err.Error(), "no provider") {
				t.Fatalf("error without a line: %v", err)
			}
			return
		}
		// What was read can be written, and reads the same again.
		var out bytes.Buffer
		if err := WriteLDIF(&out, x.Root(), x.Providers()); err != nil {
			t.Fatal(err)
		}
		again, err := ReadLDIF(&out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out.Bytes())
		}
		if again.Len() != x.Len() || again.Domains() != x.Domains() {
			t.Fatalf("%d records %d domains became %d and %d", x.Len(), x.Domains(), again.Len(), again.Domains())
		}
		for _, p := range x.Providers() {
			for _, d := range p.Domains {
				if q, ok := again.ProviderOfDomain(strings.ToUpper(d)); !ok || q.MailReceipt != p.MailReceipt {
					t.Fatalf("domain %q lost", d)
				}
			}
		}
	})
}
