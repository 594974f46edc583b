// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// damaged is a log of four sealed days and an open one, five events a day:
// 1-5, 6-11, 12-17, 18-23, and 24-29.
func damaged(t testing.TB) *env {
	e := newEnv(t, 2026, 11, 20)
	for range 4 {
		e.day(5)
	}
	e.some(5)
	e.wantDays("1 2026-11-20 1-5", "2 2026-11-21 6-11", "3 2026-11-22 12-17", "4 2026-11-23 18-23")
	return e
}

const (
	day2 = "000002-2026-11-21.log.p7m"
	day3 = "000003-2026-11-22.log.p7m"
)

// edit is SQL that replaces the first "Oggetto" of a record.
func edit(seq int) string {
	return fmt.Sprintf("UPDATE records SET data = CAST(replace(data, 'Oggetto', 'oggetto') AS BLOB) WHERE seq = %d", seq)
}

// rehash computes all hashes from a record on again, as somebody who hides
// an alteration would.
func (e *env) rehash(from int64) {
	e.Helper()
	var statements []string
	var head [32]byte
	err := e.store.Records(e.Context(), 1, func(r storage.Record) error {
		if r.Seq < from {
			head = r.Hash
			return nil
		}
		head = ledger.Link(head, r.Seq, r.Data)
		statements = append(statements, fmt.Sprintf("UPDATE records SET hash = x'%s' WHERE seq = %d", hex.EncodeToString(head[:]), r.Seq))
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	e.tamper(statements...)
}

// flip changes one octet of a file of the folder, counted from the end where negative.
func (e *env) flip(name string, at int) {
	e.Helper()
	path := filepath.Join(e.folder(), name)
	b := read(e, path)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	write(e, path, b)
}

// inFile is the place of a text in a file.
func (e *env) inFile(name, text string) int {
	e.Helper()
	at := bytes.Index(read(e, filepath.Join(e.folder(), name)), []byte(text))
	if at < 0 {
		e.Fatalf("%s has no %q", name, text)
	}
	return at
}

// TestVerifyNamesWhatWasAltered: every alteration is found, and told of where it
// is and nowhere else.
func TestVerifyNamesWhatWasAltered(t *testing.T) {
	remove := func(e *env, name string) {
		if err := os.Remove(filepath.Join(e.folder(), name)); err != nil {
			e.Fatal(err)
		}
	}
	whole := damaged(t)
	whole.wantClean()
	if err := whole.store.Close(); err != nil {
		t.Fatal(err)
	}
	const ends, sealedOnly, chainBreaks = "the last record has another hash", "is not what was sealed", "the chain breaks"
	for _, c := range []struct {
		name   string
		damage func(*env)
		want   []string // what each problem begins with and contains, parted by "|"
		folder []string
	}{
		{"one octet of a sealed event", func(e *env) { e.tamper(edit(8)) }, []string{"record 8 (|" + sealedOnly + "|" + chainBreaks}, nil},
		{"the last event of a day", func(e *env) { e.tamper(edit(11)) }, []string{"record 11 (|" + chainBreaks}, nil},
		{"the first event of all", func(e *env) { e.tamper(edit(1)) }, []string{"record 1 (|" + chainBreaks}, nil},
		{"an event that is not sealed yet", func(e *env) { e.tamper(edit(26)) }, []string{"record 26 (|" + chainBreaks}, nil},
		{"two events, told of both", func(e *env) { e.tamper(edit(8), edit(20)) }, []string{"record 8 (|" + sealedOnly, "record 20 (|" + sealedOnly}, nil},
		{"two neighbours", func(e *env) { e.tamper(edit(8), edit(9)) }, []string{"record 8 (|" + sealedOnly, "record 9 (|" + sealedOnly}, nil},
		{"an event with its hash", func(e *env) {
			e.tamper(edit(8))
			var head, next [32]byte
			e.store.Records(t.Context(), 7, func(r storage.Record) error {
				if r.Seq == 7 {
					head = r.Hash
				}
				if r.Seq == 8 {
					next = ledger.Link(head, 8, r.Data)
				}
				return nil
			})
			e.tamper(fmt.Sprintf("UPDATE records SET hash = x'%x' WHERE seq = 8", next))
		}, []string{"record 8 (|" + sealedOnly}, nil},
		{"an event, all later hashes computed again", func(e *env) {
			e.tamper(edit(8))
			e.rehash(8)
		}, []string{"record 8 (|" + sealedOnly, "seal 2 (|" + ends}, nil},
		{"the same, with the file removed", func(e *env) {
			e.tamper(edit(8))
			e.rehash(8)
			remove(e, day2)
		}, []string{"seal 2 (|the file is missing|" + ends},
			[]string{"seal 3 (|follows number 1", "file \"000002-2026-11-21.log.tsr\"|without its file"}},
		{"the same, with the seals' rows rewritten", func(e *env) {
			e.tamper(edit(8))
			e.rehash(8)
			e.tamper("UPDATE seals SET head = (SELECT hash FROM records WHERE seq = last) WHERE number >= 2",
				"UPDATE seals SET before = (SELECT hash FROM records WHERE seq = first - 1) WHERE number >= 3")
		}, []string{"record 8 (|" + sealedOnly, "seal 2 (|not the one in the signed file", "seal 3 (|not the one in the signed file", "seal 4 (|not the one in the signed file"}, nil},
		{"one hash", func(e *env) { e.tamper("UPDATE records SET hash = zeroblob(32) WHERE seq = 8") }, []string{"record 8 (|" + chainBreaks}, nil},
		{"a hash that is not sealed yet", func(e *env) { e.tamper("UPDATE records SET hash = zeroblob(32) WHERE seq = 26") }, []string{"record 26 (|" + chainBreaks}, nil},
		{"two events changed about", func(e *env) {
			e.tamper("CREATE TABLE t AS SELECT seq, data FROM records WHERE seq IN (8, 9)",
				"UPDATE records SET data = (SELECT t.data FROM t WHERE t.seq = 17 - records.seq) WHERE seq IN (8, 9)", "DROP TABLE t")
		}, []string{"record 8 (|" + sealedOnly, "record 9 (|" + sealedOnly}, nil},
		{"an event removed", func(e *env) { e.tamper("DELETE FROM records WHERE seq = 8") }, []string{"record 8 (|missing, but it was sealed"}, nil},
		{"the last of a day removed", func(e *env) { e.tamper("DELETE FROM records WHERE seq = 11") }, []string{"record 11 (|missing, but it was sealed"}, nil},
		{"one of the open day removed", func(e *env) { e.tamper("DELETE FROM records WHERE seq = 26") }, []string{"record 26|missing"}, nil},
		{"a day removed", func(e *env) { e.tamper("DELETE FROM records WHERE seq BETWEEN 6 AND 11") },
			[]string{"record 6 (|it was sealed", "record 7 (", "record 8 (", "record 9 (", "record 10 (", "record 11 ("}, nil},
		{"an event inserted", func(e *env) {
			e.tamper("UPDATE records SET seq = -seq WHERE seq > 8", "UPDATE records SET seq = 1 - seq WHERE seq < 0",
				"INSERT INTO records (seq, at, event, id, mailbox, data, hash) SELECT 9, at, event, id, mailbox, data, hash FROM records WHERE seq = 8")
			e.rehash(9)
		}, []string{"record 9 (|" + sealedOnly, "record 10 (", "record 11 (", "seal 2 (", "record 12 (", "record 13 (", "record 14 (", "record 15 (",
			"record 16 (", "record 17 (", "record 18 (", "record 19 (", "record 20 (", "record 21 (", "record 22 (", "record 23 ("}, nil},
		{"the column of the instant", func(e *env) { e.tamper("UPDATE records SET at = at + 3600000000000 WHERE seq = 8") }, []string{"record 8 (|columns"}, nil},
		{"the column of the identifier", func(e *env) { e.tamper("UPDATE records SET id = 'other' WHERE seq = 8") }, []string{"record 8 (|columns"}, nil},
		{"the column of the mailbox", func(e *env) { e.tamper("UPDATE records SET mailbox = 'other' WHERE seq = 8") }, []string{"record 8 (|columns"}, nil},
		{"the column of the kind", func(e *env) { e.tamper("UPDATE records SET event = 'access' WHERE seq = 8") }, []string{"record 8 (|columns"}, nil},
		{"an event made unreadable", func(e *env) { e.tamper("UPDATE records SET data = x'00' WHERE seq = 8") }, []string{"record 8 (\"submission.accepted\"|unreadable"}, nil},

		{"one octet of a line of a file", func(e *env) { e.flip(day2, e.inFile(day2, "prova")) },
			[]string{"seal 2 (|time stamp does not hold|signature does not hold|another sum"}, []string{"seal 2 ("}},
		{"one octet of the signature", func(e *env) { e.flip(day2, -1) }, []string{"seal 2 (|bad signature|another sum"}, []string{"seal 2 (|bad signature"}},
		{"a file cut off", func(e *env) {
			write(e, filepath.Join(e.folder(), day2), read(e, filepath.Join(e.folder(), day2))[:300])
		}, []string{"seal 2 (|another sum"}, []string{"seal 2 ("}},
		{"a file emptied", func(e *env) { write(e, filepath.Join(e.folder(), day2), nil) }, []string{"seal 2 (|another sum"}, []string{"seal 2 ("}},
		{"a file removed", func(e *env) { remove(e, day2) }, []string{"seal 2 (|missing"},
			[]string{"seal 3 (|follows number 1", "file \"000002-2026-11-21.log.tsr\"|without its file"}},
		{"a file in another's place", func(e *env) {
			copyFile(e, filepath.Join(e.folder(), day3), filepath.Join(e.folder(), day2))
		}, []string{"seal 2 (|another file's"}, []string{"seal 2 (|another file's", "seal 3 ("}},
		{"a file and its stamp in another's place", func(e *env) {
			copyFile(e, filepath.Join(e.folder(), day3), filepath.Join(e.folder(), day2))
			copyFile(e, filepath.Join(e.folder(), StampName(day3)), filepath.Join(e.folder(), StampName(day2)))
		}, []string{"seal 2 (|another file's|another sum"}, []string{"seal 2 (|another file's", "seal 3 ("}},
		{"a stamp of another file", func(e *env) {
			copyFile(e, filepath.Join(e.folder(), StampName(day3)), filepath.Join(e.folder(), StampName(day2)))
		}, []string{"seal 2 (|the stamp is of something else|is not the one kept"}, []string{"seal 2 (|the stamp is of something else"}},
		{"a stamp of another file in the row, too", func(e *env) {
			copyFile(e, filepath.Join(e.folder(), StampName(day3)), filepath.Join(e.folder(), StampName(day2)))
			e.tamper("UPDATE seals SET stamp = (SELECT stamp FROM seals WHERE number = 3) WHERE number = 2")
		}, []string{"seal 2 (|the stamp is of something else"}, []string{"seal 2 (|the stamp is of something else"}},
		{"the row's stamp", func(e *env) { e.tamper("UPDATE seals SET stamp = x'00' WHERE number = 2") }, []string{"seal 2 (|is not the one kept|that is kept does not hold"}, nil},
		{"a stamp removed", func(e *env) { remove(e, StampName(day2)) }, []string{"seal 2 (|file of the time stamp is missing"}, nil},

		{"a seal's sum", func(e *env) { e.tamper("UPDATE seals SET sum = zeroblob(32) WHERE number = 2") }, []string{"seal 2 (|another sum"}, nil},
		{"a seal's head", func(e *env) { e.tamper("UPDATE seals SET head = zeroblob(32) WHERE number = 2") },
			[]string{"seal 2 (|not the one in the signed file"}, nil},
		{"a seal's end", func(e *env) { e.tamper("UPDATE seals SET last = 10 WHERE number = 2") }, []string{"seal 2 (|not the one in the signed file"}, nil},
		{"a seal's end far off", func(e *env) { e.tamper("UPDATE seals SET last = 1000000 WHERE number = 2") }, []string{"seal 2 (|not the one in the signed file"}, nil},
		{"a seal's day", func(e *env) { e.tamper("UPDATE seals SET day = '2026-11-19' WHERE number = 2") }, []string{"seal 2 (|not the one in the signed file"}, nil},
		{"a seal's file", func(e *env) { e.tamper("UPDATE seals SET file = '../../etc/passwd' WHERE number = 2") },
			[]string{"seal 2 (|wrong file name"}, nil},
		{"a seal's day and file", func(e *env) { e.tamper("UPDATE seals SET day = 'x', file = 'x' WHERE number = 2") },
			[]string{"seal 2 (\"000002-x.log.p7m\"|wrong file name", "seal 2 (|record 12 tells of another file", "seal 3 (|name that of the seal before", "file \"" + day2 + "\"|no seal names it"}, nil},
		{"the last seal removed", func(e *env) { e.tamper("DELETE FROM seals WHERE number = 4") }, []string{"file \"000004-2026-11-23.log.p7m\"|no seal names it"}, nil},
		{"a seal called purged", func(e *env) { e.tamper("UPDATE seals SET purged = 1 WHERE number = 2") }, []string{"seal 2 (|purged before|records are left", "seal 2 (|purged without a record"}, nil},
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

func wantProblems(t *testing.T, found []Problem, want []string) {
	t.Helper()
	ok := len(found) == len(want)
	for i := 0; ok && i < len(want); i++ {
		_, text, _ := strings.Cut(" "+found[i].String(), " / ") // "registrazione / record 8"
		if found[i].Seq == 0 && found[i].Seal == 0 {
			text = found[i].String()
		}
		for n, part := range strings.Split(want[i], "|") {
			ok = ok && (n > 0 && strings.Contains(text, part) || n == 0 && strings.HasPrefix(text, part))
		}
	}
	if !ok {
		t.Errorf("found:\n%swant:\n%s", lines(found), strings.Join(want, "\n"))
	}
}

// wantFirst wants the lowest record of all problems in the summary.
func wantFirst(t *testing.T, found []Problem, sum Summary) {
	t.Helper()
	var first int64
	for _, p := range found {
		if p.Seq > 0 && (first == 0 || p.Seq < first) {
			first = p.Seq
		}
	}
	if (first == 0) != (sum.Altered == nil) || first > 0 && sum.Altered.Seq != first {
		t.Errorf("the first altered record is %d, the summary says %+v", first, sum.Altered)
	}
}

// TestAlteredEventIsNamed: number, kind, identificativo and instant, as they
// were sealed, whatever the store says now.
func TestAlteredEventIsNamed(t *testing.T) {
	e := damaged(t)
	var want ledger.Event
	e.store.Records(t.Context(), 8, func(r storage.Record) error {
		want, _ = ledger.Decode(r.Data)
		return errStop
	})
	e.tamper(`UPDATE records SET data = CAST(replace(replace(data, 'submission.accepted', 'access'), '"id":"', '"id":"x') AS BLOB), event = 'access', at = 5 WHERE seq = 8`)
	_, sum := e.verify()
	if p := sum.Altered; p == nil || p.Seq != 8 || p.Kind != want.Kind || p.ID != want.ID || !p.At.Equal(want.At) || p.Seal != 2 || p.File != day2 {
		t.Errorf("named %+v, want %+v", p, want)
	}
}

// TestSignedByAnother: a good signature of another provider proves nothing.
func TestSignedByAnother(t *testing.T) {
	e := damaged(t)
	e.signer.name = "Beta S.r.l."
	found, _ := e.verify()
	alone, _ := e.verifyFolder()
	if len(found) != 4 || len(alone) != 4 || !strings.Contains(found[0].What, "signed by somebody else") {
		t.Errorf("found:\n%s%s", lines(found), lines(alone))
	}
}

// TestVerifyOfForeignTexts: what a peer chose, and the encoding cleaned, is no
// alteration.
func TestVerifyOfForeignTexts(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.write(
		ledger.Event{Kind: ledger.EnvelopeReceived, ID: "a\r\nb\x00\xff\u2028", Mailbox: "Anna@Alfa.example"},
		ledger.Event{Kind: ledger.EnvelopeReceived, ID: strings.Repeat("è", 2000)},
		ledger.Event{Kind: ledger.EnvelopeReceived, At: e.clk.Now().Add(123456789)},
	)
	// Octets that are no event are kept and sealed, too, and told of.
	odd := &storage.AppendRecord{Record: storage.Record{At: e.clk.Now(), Event: "odd", Data: []byte("{\n}")}}
	if err := e.store.Commit(t.Context(), new(storage.Step).Add(odd)); err != nil {
		t.Fatal(err)
	}
	e.day(0)
	found, _ := e.verify()
	if len(found) != 1 || found[0].Seq != odd.Seq || found[0].Kind != "odd" {
		t.Errorf("found:\n%s", lines(found))
	}
	if alone, _ := e.verifyFolder(); len(alone) != 1 || alone[0].Seq != odd.Seq {
		t.Errorf("found in the folder:\n%s", lines(alone))
	}
}

// TestVerifyStops: with the error of report, and with its context.
func TestVerifyStops(t *testing.T) {
	e := damaged(t)
	e.tamper(edit(8), edit(9))
	e.flip(day3, 200)
	stop := errors.New("enough")
	told := 0
	_, err := Verify(t.Context(), e.verification(), func(Problem) error {
		told++
		return stop
	})
	if !errors.Is(err, stop) || told != 1 {
		t.Errorf("%v after %d", err, told)
	}
	if _, err := VerifyFolder(t.Context(), e.folder(), e.proof(), func(Problem) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := VerifyFolder(t.Context(), filepath.Join(e.dir, "none"), e.proof(), nil); !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
}

// TestVerifyPartOfAFolder: an inspector may have some of the files only.
func TestVerifyPartOfAFolder(t *testing.T) {
	e := damaged(t)
	for _, n := range e.names() {
		if strings.HasPrefix(n, "000001-") || strings.HasPrefix(n, "000004-") {
			os.Remove(filepath.Join(e.folder(), n))
		}
	}
	found, sum := e.verifyFolder()
	if len(found) > 0 || sum.First != 6 || sum.Last != 17 || sum.Records != 12 || sum.Seals != 2 {
		t.Errorf("%+v\n%s", sum, lines(found))
	}
}
