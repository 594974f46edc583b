// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"pecd/ledger"
	"pecd/storage"
)

// TestDayFileIsStable: the format, which inspectors read in years to come.
func TestDayFileIsStable(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.write(ledger.Event{Kind: ledger.Access, Mailbox: anna, User: `<anna> "è"`})
	e.day(0)
	e.day(0)
	zeros := strings.Repeat("0", 64)
	s := e.seals()
	head := func(n int) string { b, _ := Hash(s[n].Head).MarshalText(); return string(b) }
	sum, _ := Hash(s[0].Sum).MarshalText()
	for n, want := range []string{
		`{"format":1,"provider":"Alfa PEC S.p.A.","number":1,"day":"2026-11-20","first":1,"last":1,"before":"` + zeros + `","head":"` + head(0) + `","previous":null,"zone":"Europe/Rome"}
{"seq":1,"hash":"` + head(0) + `","event":{"v":1,"at":"2026-11-20T11:00:00.000Z","kind":"access","mailbox":"anna@alfa.example","user":"<anna> \"è\""}}
`,
		`{"format":1,"provider":"Alfa PEC S.p.A.","number":2,"day":"2026-11-21","first":2,"last":2,"before":"` + head(0) + `","head":"` + head(1) + `","previous":{"file":"000001-2026-11-20.log.p7m","sha256":"` + string(sum) + `"},"zone":"Europe/Rome"}
{"seq":2,"hash":"` + head(1) + `","event":{"v":1,"at":"2026-11-20T23:10:00.000Z","kind":"ledger.sealed","provider":"Alfa PEC S.p.A.","detail":"000001-2026-11-20.log.p7m, SHA-256 ` + string(sum) + `, registrazioni 1-1 / records"}}
`,
	} {
		file := read(t, e.folder()+"/"+s[n].File)
		if got := string(file[:len(file)-64]); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestLines(t *testing.T) {
	for _, data := range []string{`{}`, `{"a":"è"}`, `{"a":{"b":[1]}}`, ``, `x`, `{`, "{\n}", `[]`, `{}{}`, ` {}`, `{}}`, "{\"a\":\"\xff\"}", `"}`} {
		r := storage.Record{Seq: 17, Hash: [32]byte{1, 2}, Data: []byte(data)}
		b := appendLine(nil, r)
		if b[len(b)-1] != '\n' || bytes.Count(b, []byte("\n")) != 1 {
			t.Errorf("%q is no line: %q", data, b)
		}
		l, err := parseLine(b[:len(b)-1])
		if err != nil || l.seq != 17 || l.hash != Hash(r.Hash) || string(l.data) != data {
			t.Errorf("%q: read back as %+v, %v", data, l, err)
		}
	}
	h := strings.Repeat("ab", 32)
	for _, bad := range []string{
		``, `{}`, `{"seq":1}`, `{"seq":01,"hash":"` + h + `","event":{}}`, `{"seq":+1,"hash":"` + h + `","event":{}}`, `{"seq":0,"hash":"` + h + `","event":{}}`,
		`{"seq":1,"hash":"` + strings.ToUpper(h) + `","event":{}}`, `{"seq":1,"hash":"` + h[:62] + `","event":{}}`, `{"seq":1,"hash":"` + h + `", "event":{}}`,
		`{"seq":1,"hash":"` + h + `","event":{}} `, `{"seq":1,"hash":"` + h + `","event":{},"event":{}}`, `{"seq":1,"hash":"` + h + `","octets":"e30="}`,
		`{"seq":1,"hash":"` + h + `","octets":"?"}`, `{"seq":1,"hash":"` + h + `","event":1}`, `{"seq":99999999999999999999,"hash":"` + h + `","event":{}}`,
	} {
		if l, err := parseLine([]byte(bad)); err == nil {
			t.Errorf("%s read as %+v", bad, l)
		}
	}
}

func TestEachLine(t *testing.T) {
	read := func(r io.Reader) (n int, err error) {
		err = eachLine(r, func([]byte) error { n++; return nil })
		return n, err
	}
	long := strings.Repeat("x", 1<<20)
	if n, err := read(strings.NewReader("a\n\n" + long + "\n")); n != 3 || err != nil {
		t.Error(n, err)
	}
	for _, bad := range []io.Reader{strings.NewReader("a\nb"), io.LimitReader(endless{}, maxLine+2)} {
		if _, err := read(bad); err != errLine {
			t.Error(err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func TestNames(t *testing.T) {
	if n := sealedName(12, "2026-11-25"); n != "000012-2026-11-25.log.p7m" || StampName(n) != "000012-2026-11-25.log.tsr" {
		t.Error(n)
	}
	for name, want := range map[string]int64{
		"000012-2026-11-25.log.p7m": 12, "000012-2026-11-25.log.tsr": 12, "1234567-2026-11-25.log.p7m": 1234567,
		"0000012-2026-11-25.log.p7m": 0, "12-2026-11-25.log.p7m": 0, "../000012-2026-11-25.log.p7m": 0, "000012-2026-11-25.log.p7m.tmp": 0,
		".tmp-000012-2026-11-25.log.p7m": 0, "000012-2026-11-25.log": 0, "000012-../../../x.log.p7m": 0,
	} {
		if n, _, _, ok := parseName(name); n != want || ok != (want > 0) {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
	}
}

// FuzzParseLine: what is read can be written again, octet by octet.
func FuzzParseLine(f *testing.F) {
	f.Add(appendLine(nil, storage.Record{Seq: 1, Data: []byte(`{"a":1}`)}))
	f.Add(appendLine(nil, storage.Record{Seq: 1, Data: []byte("x")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.TrimSuffix(b, []byte("\n"))
		l, err := parseLine(b)
		if err != nil {
			return
		}
		if again := appendLine(nil, storage.Record{Seq: l.seq, Hash: l.hash, Data: l.data}); string(again) != string(b)+"\n" {
			t.Fatalf("%q\n%q", b, again)
		}
	})
}
