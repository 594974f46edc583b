// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
	"pecd/scan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client returns a client of clamd at the addresses.
func client(t testing.TB, cfg scan.ClamdConfig, addrs ...string) *scan.Clamd {
	t.Helper()
	cfg.Addresses = addrs
	c, err := scan.NewClamd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// look returns the name of what e finds in message.
func look(t testing.TB, e scan.Engine, message []byte) string {
	t.Helper()
	f, err := e.Scan(context.Background(), bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return f.Name
}

// failed checks an error of an engine: Temporary, ASCII for SMTP, with all words.
func failed(t testing.TB, err error, words ...string) {
	t.Helper()
	if !fault.Is(err, fault.Temporary) || fault.CodesOf(err).SMTP != 451 {
		t.Errorf("not a temporary failure: %v", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	for _, r := range fault.TextOf(err) + err.Error() {
		if r < 0x20 || r > 0x7e {
			t.Errorf("%q in %q", r, err.Error())
		}
	}
}

// desk is a scanner with what it reports to.
type desk struct {
	*scan.Scanner
	board *alarm.Board
	log   *bytes.Buffer
}

func newDesk(cfg scan.ScannerConfig) desk {
	d := desk{log: &bytes.Buffer{}}
	cfg.Logger = slog.New(slog.NewTextHandler(d.log, nil))
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	d.board = alarm.NewBoard(cfg.Clock, cfg.Logger)
	cfg.Board = d.board
	d.Scanner = scan.NewScanner(cfg)
	return d
}

// raised returns the text of an alarm, "" where it is not raised.
func (d desk) raised(name string) string {
	for _, a := range d.board.Raised() {
		if a.Name == name {
			return a.Text
		}
	}
	return ""
}

// envelope is a transport envelope around an original, as other providers see
// it (RFC 6109 §3.1.5, §4.3): nobody checks its signature here.
func envelope(original []byte) []byte {
	return []byte("From: \"Per conto di: a@x.example\" <posta-certificata@x.example>\r\nTo: b@y.example\r\n" +
		"Subject: POSTA CERTIFICATA: prova\r\nX-Trasporto: posta-certificata\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\"; micalg=sha-256; boundary=\"=_S\"\r\n\r\n" +
		"--=_S\r\nContent-Type: multipart/mixed; boundary=\"=_M\"\r\n\r\n" +
		"--=_M\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nMessaggio di posta certificata\r\n" +
		"--=_M\r\nContent-Type: application/xml; name=\"daticert.xml\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte("<postacert/>")) + "\r\n" +
		"--=_M\r\nContent-Type: message/rfc822; name=\"postacert.eml\"\r\n" +
		"Content-Disposition: attachment; filename=\"postacert.eml\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" +
		string(original) + "\r\n--=_M--\r\n\r\n" +
		"--=_S\r\nContent-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--=_S--\r\n")
}

// fresh is text that no clamd has seen.
func fresh() string { return "testo " + rand.Text() }

// bigMessage is a message of n octets with one attachment.
func bigMessage(n int64) io.Reader {
	const head = "From: a@x.example\r\nSubject: grande\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	line := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("grande "), 9)[:57]) + "\r\n"
	return io.LimitReader(io.MultiReader(strings.NewReader(head), &repeated{block: []byte(strings.Repeat(line, 1000))}), n)
}

// repeated is a block without end.
type repeated struct {
	block []byte
	pos   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.pos:])
	r.pos = (r.pos + n) % len(r.block)
	return n, nil
}
