// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// resign alters the content of a sealed file and signs it again, as somebody who
// has the provider's key could; with row also the seal's sum is made to fit.
func (e *env) resign(name string, row bool, alter func(string) string) {
	e.Helper()
	path := filepath.Join(e.folder(), name)
	b := read(e, path)
	content := alter(string(b[:len(b)-ed25519.SignatureSize]))
	var out bytes.Buffer
	if err := e.signer.SignOpaque(e.Context(), &out, strings.NewReader(content), int64(len(content)), e.clk.Now()); err != nil {
		e.Fatal(err)
	}
	write(e, path, out.Bytes())
	if row {
		e.tamper(fmt.Sprintf("UPDATE seals SET sum = x'%x' WHERE file = '%s'", sha256.Sum256(out.Bytes()), name))
	}
}

// restamp has a file stamped anew at an instant.
func (e *env) restamp(name string, at string) {
	e.Helper()
	back := e.clk.Now()
	e.clk.Advance(e.at(at).Sub(back))
	response, _, err := e.tsa.Stamp(e.Context(), sha256.Sum256(read(e, filepath.Join(e.folder(), name))))
	e.clk.Advance(back.Sub(e.clk.Now()))
	if err != nil {
		e.Fatal(err)
	}
	write(e, filepath.Join(e.folder(), StampName(name)), response)
}

// TestResigned: whoever has the provider's key can sign a day anew. The stamp
// cannot be made, the next file names the true one, and the records are compared
// all the same (ADR 0006, consequences).
func TestResigned(t *testing.T) {
	whole := damaged(t)
	if err := whole.store.Close(); err != nil {
		t.Fatal(err)
	}
	cutLine := func(n int) func(string) string { // 0 is the header
		return func(content string) string {
			all := strings.SplitAfter(content, "\n")
			return strings.Join(append(all[:n:n], all[n+1:]...), "")
		}
	}
	replace := func(old, new string) func(string) string {
		return func(content string) string { return strings.Replace(content, old, new, 1) }
	}
	const noStamp, notNamed = "time stamp does not hold", "does not name that of the seal before"
	const anotherSum = "record 12 tells of another file or sum"
	const notNamedAlone, lastRecord = "the file before is not the one it names", "the last record is not that of the header"
	for _, c := range []struct {
		name   string
		damage func(*env)
		want   []string
		folder []string
	}{
		{"an event altered in the file", func(e *env) { e.resign(day2, false, replace("Oggetto", "oggetto")) },
			[]string{"seal 2 (|" + noStamp + "|another sum|record|7"}, []string{"record 7 (", "seal 2 (|" + noStamp, "seal 3 (|" + notNamedAlone}},
		{"the same, and the row", func(e *env) { e.resign(day2, true, replace("Oggetto", "oggetto")) },
			[]string{"seal 2 (|" + noStamp + "|from there on", "seal 2 (|" + anotherSum, "seal 3 (|" + notNamed}, []string{"record 7 (", "seal 2 (|" + noStamp, "seal 3 (|" + notNamedAlone}},
		{"a line taken out", func(e *env) { e.resign(day2, false, cutLine(3)) },
			[]string{"seal 2 (|" + noStamp + "|from there on"}, []string{"record 9 (|missing", "seal 2 (", "seal 3 ("}},
		{"a line taken out, and the row", func(e *env) { e.resign(day2, true, cutLine(3)) },
			[]string{"seal 2 (|" + noStamp + "|from there on", "seal 2 (|" + anotherSum, "seal 3 (|" + notNamed}, []string{"record 9 (|missing", "seal 2 (", "seal 3 ("}},
		{"the last line taken out", func(e *env) { e.resign(day2, false, cutLine(6)) },
			[]string{"seal 2 (|ends with another record"}, []string{"seal 2 (|" + lastRecord, "seal 3 ("}},
		{"a line taken out, and stamped anew", func(e *env) {
			e.resign(day2, true, cutLine(3))
			e.restamp(day2, "2026-11-22 01:00:00")
		}, []string{"seal 2 (|not the one kept|that is kept does not hold|from there on", "seal 2 (|" + anotherSum, "seal 3 (|" + notNamed}, []string{"record 9 (|missing", "seal 3 ("}},
		{"the same, with the stamp kept", func(e *env) {
			e.resign(day2, true, cutLine(3))
			e.restamp(day2, "2026-11-22 01:00:00")
			e.tamper(fmt.Sprintf("UPDATE seals SET stamp = x'%x' WHERE number = 2", read(e, filepath.Join(e.folder(), StampName(day2)))))
		}, []string{"record 8 (|is not in the sealed file", "seal 2 (|" + anotherSum, "seal 3 (|" + notNamed}, []string{"record 9 (|missing", "seal 3 ("}},
		{"a line that is none", func(e *env) { e.resign(day2, false, replace(`{"seq":8`, `{ "seq":8`)) },
			[]string{"seal 2 (|unreadable line"}, []string{"seal 2 (|unreadable line", "seal 3 ("}},
		{"a line twice", func(e *env) { e.resign(day2, false, replace(`{"seq":8`, `{"seq":7`)) },
			[]string{"seal 2 (|unreadable line"}, []string{"seal 2 (|unreadable line", "seal 3 ("}},
		{"no header", func(e *env) { e.resign(day2, false, cutLine(0)) },
			[]string{"seal 2 (|unknown format"}, []string{"seal 2 (|unknown format"}},
		{"a header that is none", func(e *env) { e.resign(day2, false, replace("{", "[")) },
			[]string{"seal 2 (|unreadable header"}, []string{"seal 2 (|unreadable header"}},
		{"a header without end", func(e *env) {
			e.resign(day2, false, func(string) string { return strings.Repeat("x", 2*maxHeader) })
		}, []string{"seal 2 (|unreadable header"}, []string{"seal 2 (|unreadable header"}},
		{"nothing inside", func(e *env) { e.resign(day2, false, func(string) string { return "" }) },
			[]string{"seal 2 (|unreadable header"}, []string{"seal 2 (|unreadable header"}},
		{"another provider in the header", func(e *env) { e.resign(day2, false, replace("Alfa", "Beta")) },
			[]string{"seal 2 (|signed by somebody else"}, []string{"seal 2 (|signed by somebody else"}},
		{"a range that cannot be", func(e *env) { e.resign(day2, false, replace(`"last":11`, `"last":4`)) },
			[]string{"seal 2 (|impossible range|not the one in the signed file"}, []string{"seal 2 (|impossible range", "seal 3 ("}},
		{"a zone that is none", func(e *env) { e.resign(day2, false, replace("Europe/Rome", "../etc/passwd")) },
			[]string{"seal 2 (|zone unreadable"}, []string{"seal 2 (|zone unreadable", "seal 3 ("}},
		{"a stamp of before the day's end", func(e *env) { e.restamp(day2, "2026-11-21 23:59:00") },
			[]string{"seal 2 (|is of before the day's end|not the one kept"}, []string{"seal 2 (|is of before the day's end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := whole.clone(t)
			c.damage(e)
			found, sum := e.verify()
			wantProblems(t, found, c.want)
			wantFirst(t, found, sum)
			alone, sum := e.verifyFolder()
			wantProblems(t, alone, c.folder)
			wantFirst(t, alone, sum)
		})
	}
}

// TestNoDayOfTheCalendar: a name that only looks like a day's.
func TestNoDayOfTheCalendar(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.day(1)
	write(t, filepath.Join(e.folder(), "000002-2026-13-45.log.p7m"), []byte("x"))
	if alone, _ := e.verifyFolder(); len(alone) != 1 || !strings.Contains(alone[0].What, "no day of the calendar") {
		t.Errorf("found:\n%s", lines(alone))
	}
	if found, _ := e.verify(); len(found) != 1 || !strings.Contains(found[0].What, "no seal names it") {
		t.Errorf("found:\n%s", lines(found))
	}
}
