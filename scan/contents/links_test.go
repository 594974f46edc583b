// SPDX-License-Identifier: EUPL-1.2

package contents_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/rfc822"
	"pecd/scan/contents"
)

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(kind, body string) []byte {
	return fmt.Appendf(nil, "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
		kind, base64.StdEncoding.EncodeToString([]byte(body)))
}

// TestS4_063_Links: what a link leads to is read as browsers read it.
func TestS4_063_Links(t *testing.T) {
	list := filepath.Join(t.TempDir(), "domini")
	put(t, list, []byte("# elenco\ncattivo.example # frode\n\nBRUTTO.example.\n"))
	domains, err := contents.OpenDomainList(list, clock.System{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const html, plain = "text/html", "text/plain"
	for _, c := range []struct{ kind, body, want string }{
		{html, `<a href="https://www.comune.example/pratica?id=1#x">La pratica</a>`, ""},
		{html, `<a href="https://www.banca.it/login">https://www.banca.it</a>`, ""},
		{html, `<a href="https://servizi.banca.it/login">www.banca.it</a>`, ""},
		{html, `<a href="https://banca.it.evil.com/login">https://www.banca.it</a>`, "Mismatch"},
		{html, `<a href="https://evil.com/">www.<b>banca</b>.it</a>`, "Mismatch"},
		{html, `<a href="https://evil.com/">banca.it</a>`, "Mismatch"},
		{html, `<a href="https://evil.com/"> entra in https://www.banca.it/area subito`, "Mismatch"},
		{html, `<a href="https://evil.com/">www&#46;banca&period;it</a>`, "Mismatch"},
		{html, `<a href="https://comune.example/a.zip">documenti.zip</a>`, ""},
		{html, `<a href="https://comune.example/">clicca qui</a>`, ""},
		{html, `<a href="https://comune.example/">Rossi S.p.A.</a>`, ""},
		{html, `<a href="mailto:info@comune.example">info@comune.example</a>`, ""},
		{html, `<a href="mailto:info@altro.example">www.banca.it</a>`, ""},
		{html, `<a href="cid:x"></a><a href="#y">z</a><a href="tel:+39">t</a>`, ""},
		{html, `<a href="http://192.0.2.7/x">qui</a>`, "IpAddress"},
		{html, `<a href="http://3221225991/">qui</a><a href="http://0xc0.2.7/">q</a><a href="http://[2001:db8::1]:80/">q</a>`, "IpAddress"},
		{html, `<a href="http://192.0.2.%37">qui</a>`, "IpAddress"},
		{html, `<a href="http://1.2.3.4.example/">qui</a>`, ""},
		{html, `<a href="https://www.banca.it@evil.example/">qui</a>`, "Credentials"},
		{html, "<a href=\" ht\ntps:\\\\www.banca.it\\@evil.example\">qui</a>", ""},
		{html, `<a href="https://аррӏе.com/">qui</a>`, "Lookalike"},
		{html, `<a href="https://xn--80ak6aa92e.com/">qui</a>`, "Lookalike"},
		{html, `<a href="https://bаnca.it/">qui</a>`, "Lookalike"}, // Cyrillic а
		{html, `<a href="https://xn--99999999/">qui</a>`, "Lookalike"},
		{html, `<a href="https://città.it/">qui</a><a href="https://xn--citt-3na.it/">q</a>`, ""},
		{html, `<a href="https://пример.рф/">qui</a>`, ""},
		{html, `<a href="https://www。banca。it/">www.banca.it</a>`, ""},
		{html, `<a href="JaVa&#115;cript:alert(1)">qui</a>`, "Scheme"},
		{html, `<a href="data:text/html,x">qui</a>`, "Scheme"},
		{html, `<a href="data:image/png;base64,xx">qui</a>`, ""},
		{html, `<a href="file://server/x">qui</a>`, "Scheme"},
		{html, `<a href="\\server\share\x">qui</a>`, "Scheme"},
		{html, `<a href="ms-word:ofe|u|https://x.example/a.docx">qui</a>`, "Scheme"},
		{html, `<form action="javascript:x()"><button formaction="https://ok.example/">x</button></form>`, "Scheme"},
		{html, `<meta http-equiv=Refresh content="0; URL='http://192.0.2.1/'">`, "IpAddress"},
		{html, `<iframe src="//192.0.2.1/x"></iframe>`, "IpAddress"},
		{html, `<svg><a xlink:href="http://192.0.2.1/">x</a></svg>`, "IpAddress"},
		{html, `<img src="http://192.0.2.1/x.png">`, ""},
		{html, `<a href="https://x.example/fattura.pdf.EXE?scarica=1">qui</a>`, "Executable"},
		{html, `<a href="https://x.example/a%2ejs">qui</a>`, "Executable"},
		{html, `<a href="https://x.example/script.js.html">qui</a>`, ""},
		{html, `<a href="https://sotto.cattivo.example:8443/">qui</a>`, "Listed"},
		{html, `<a href="https://noncattivo.example/">qui</a>`, ""},
		{html, `<base href="https://brutto.example/"><a href="x">qui</a>`, "Listed"},
		{plain, "Vedi http://192.0.2.7/x, grazie", "IpAddress"},
		{plain, "Vedi HTTPS://Cattivo.example", "Listed"},
		{plain, "Vedi https://www.comune.example/atti.", ""},
		{plain, "Vedi https://x.example/a.exe).", "Executable"},
		{plain, "Nessun indirizzo: www.x.example", ""},
		{plain, "http://" + strings.Repeat("a", 63) + ".example/", ""},
		{plain, "http://" + strings.Repeat("a", 64) + ".example/", "Lookalike"}, // no name is that long
		{plain, "http://" + strings.Repeat("a.", 127) + "it/", "Lookalike"},
		{plain, "http://" + strings.Repeat("ﷺ", 1300) + "/", "Lookalike"},
		{plain, "http://" + strings.Repeat("\u00ad", 1500) + "cattivo.example/", "Listed"},
		{plain, "<html><body><a href='http://192.0.2.7'>x</a>", "IpAddress"},
		{"text/html; name=x", "<a href='http://192.0.2.7'>x</a>", "IpAddress"},
	} {
		var got []string
		for _, f := range inspect(t, text(c.kind, c.body), contents.Config{Domains: domains}) {
			got = append(got, strings.TrimPrefix(f, "link Link."))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.body, got, c.want)
		}
	}
	// HTML as an attachment, and in another character set.
	if got := inspect(t, attached("avviso.html", []byte(`<a href="http://192.0.2.7/">x</a>`)), contents.Config{}); len(got) != 1 {
		t.Errorf("attached: %q", got)
	}
	raw := []byte("From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	var le []byte
	for _, b := range []byte(`<a href="http://192.0.2.7/">x</a>`) {
		le = append(le, b, 0)
	}
	if got := inspect(t, append(raw, base64.StdEncoding.EncodeToString(le)...), contents.Config{}); len(got) != 1 {
		t.Errorf("UTF-16: %q", got)
	}
}

// TestLinkBounds: more than is looked at is said not to have been looked at.
func TestLinkBounds(t *testing.T) {
	for name, body := range map[string]string{
		"links": strings.Repeat(`<a href="https://ok.example/">x</a>`, 5001),
		"text":  strings.Repeat("<p>testo</p>", 1<<20/12+1),
		"tag":   `<a title="` + strings.Repeat("x", 300<<10) + `">`,
	} {
		got := inspect(t, text("text/html", body), contents.Config{Text: 1 << 20})
		if len(got) != 1 || got[0] != "opaque Contents.Bounds" && got[0] != "opaque Html.Bounds" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestDomainList: the file is read again when it has changed, and its loss changes
// nothing.
func TestDomainList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "domini")
	clk := clock.NewManual(time.Unix(1e9, 0))
	log := slog.New(slog.DiscardHandler)
	if _, err := contents.OpenDomainList(path, clk, log); err == nil {
		t.Error("a list that is not there")
	}
	put(t, path, []byte("uno.example\ncittà.example\n"))
	l, err := contents.OpenDomainList(path, clk, log)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"a.uno.example": true, "due.example": false, "xn--citt-3na.example": true, "città.example": true, "example": false} {
		if l.Has(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	put(t, path, []byte("due.example\nuno.example.org\n"))
	if !l.Has("uno.example") {
		t.Error("read again at once")
	}
	clk.Advance(11 * time.Second)
	if l.Has("uno.example") || !l.Has("due.example") {
		t.Error("not read again")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	clk.Advance(11 * time.Second)
	if !l.Has("due.example") {
		t.Error("forgotten with its file")
	}
}

// TestManyLinks: beyond the bound a text is not read on; the last of those within it
// is found.
func TestManyLinks(t *testing.T) {
	raw := []byte("From: a@x.example\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("http://a ", 4999) + "ftp://192.0.2.7 x://y " + strings.Repeat("http://a ", 500_000))
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write(raw)
	r := &furthest{r: bytes.NewReader(raw)}
	in := contents.New(contents.Config{Clock: clock.System{}}).Begin(scratch)
	if err := in.Message(context.Background(), r, s.Finish()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(in.Findings()); got != "[{link Link.IpAddress } {opaque Contents.Bounds }]" {
		t.Error(got)
	}
	if r.end > 100_000 {
		t.Errorf("%d of %d octets were read", r.end, len(raw))
	}
}

// furthest remembers how far was read.
type furthest struct {
	r   io.ReaderAt
	end int64
}

func (f *furthest) ReadAt(p []byte, off int64) (int, error) {
	f.end = max(f.end, off+int64(len(p)))
	return f.r.ReadAt(p, off)
}
