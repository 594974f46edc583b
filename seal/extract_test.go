// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

const mario, anna, carla = "mario@alfa.example", "anna@alfa.example", "carla@alfa.example"

// traffic is a log with two messages, a login and a record nobody can read,
// sealed but for the last day.
//
//	1 accepted A, 2 taken A, 3 delivered A to anna, 4 failed A for carla
//	5 access, 6 unreadable; 7 ledger.sealed; 8 arrived B, 9 delivered B to anna
func traffic(t *testing.T) *env {
	e := newEnv(t, 2026, 11, 20)
	both := []ledger.Recipient{{Address: anna, Type: ledger.Certified}, {Address: carla, Type: ledger.Certified}}
	a := ledger.Event{ID: "A@alfa.example", MsgID: "<a@client>", Side: ledger.Own, Sender: mario, Subject: `=HYPERLINK("x"), Città`, Recipients: both, Provider: provider}
	kind := func(ev ledger.Event, k ledger.Kind, mailbox string, recipients ...ledger.Recipient) ledger.Event {
		ev.Kind, ev.Mailbox = k, mailbox
		if recipients != nil {
			ev.Recipients = recipients
		}
		return ev
	}
	accepted := kind(a, ledger.SubmissionAccepted, mario)
	accepted.Related, accepted.Peer = []string{"<acc@alfa.example>"}, "192.0.2.1"
	full := kind(a, ledger.DeliveryFailed, "", both[1])
	full.Detail = "casella piena"
	e.write(accepted, kind(a, ledger.TakenInCharge, mario), kind(a, ledger.Delivered, anna, both[0]), full)
	e.write(ledger.Event{Kind: ledger.Access, Mailbox: anna, User: "anna"})
	odd := &storage.AppendRecord{Record: storage.Record{At: e.clk.Now(), Event: "access", Data: []byte("?")}}
	if err := e.store.Commit(t.Context(), new(storage.Step).Add(odd)); err != nil {
		t.Fatal(err)
	}
	e.moveTo("2026-11-21 00:10:00")
	e.turn(true)
	b := ledger.Event{ID: "B@beta.example", Side: ledger.Foreign, Sender: "x@beta.example", Subject: "+39 06", Recipients: both, Peer: "192.0.2.7", Certified: 2}
	e.write(kind(b, ledger.EnvelopeReceived, ""), kind(b, ledger.Delivered, anna, both[0]))
	return e
}

func TestSearch(t *testing.T) {
	e := traffic(t)
	day2 := e.at("2026-11-21 00:00:00")
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"all", Query{}, "[1 2 3 4 5 7 8 9]"},
		{"identificativo", Query{ID: "<A@alfa.example>"}, "[1 2 3 4]"},
		{"message-id", Query{MessageID: "a@client"}, "[1 2 3 4]"},
		{"related message", Query{MessageID: "<acc@alfa.example>"}, "[1]"},
		{"mailbox", Query{Mailbox: "Anna@alfa.example"}, "[3 5 9]"},
		{"sender", Query{Sender: "MARIO@alfa.example"}, "[1 2 3 4]"},
		{"recipient", Query{Recipient: carla}, "[1 2 4 8]"},
		{"address", Query{Address: anna}, "[1 2 3 5 8 9]"},
		{"from", Query{From: day2}, "[7 8 9]"},
		{"to", Query{To: day2, Kind: ledger.Delivered}, "[3]"},
		{"kind", Query{Kind: ledger.Delivered}, "[3 9]"},
		{"subject", Query{Subject: "CITTÀ"}, "[1 2 3 4]"},
		{"several", Query{Subject: "città", Kind: ledger.Delivered, Recipient: anna}, "[3]"},
		{"nothing", Query{ID: "A"}, "[]"},
	} {
		got := []int64{}
		err := Search(t.Context(), e.store, c.q, func(r storage.Record, _ ledger.Event) error {
			got = append(got, r.Seq)
			return nil
		})
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
		if err != nil && !strings.Contains(fault.TextOf(err), "the first is 6") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Search(t.Context(), e.store, Query{}, func(storage.Record, ledger.Event) error { return nil }); !fault.Is(err, fault.Internal) {
		t.Errorf("the unreadable record is passed over in silence: %v", err)
	}
	if err := Search(t.Context(), e.store, Query{}, func(storage.Record, ledger.Event) error { return errTest }); !errors.Is(err, errTest) {
		t.Error(err)
	}
}

// extractOf makes an extract and checks what every manifest says.
func (e *env) extractOf(req Request) (string, Manifest) {
	e.Helper()
	req.Actor, req.Provider = "admin", provider
	var out bytes.Buffer
	before, err := e.store.LogState(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	m, err := Extract(e.Context(), e.store, e.clk, req, &out)
	if err != nil {
		e.Fatal(err)
	}
	if m.Sum != Hash(sha256.Sum256(out.Bytes())) || m.Bytes != int64(out.Len()) || m.LogLast != before.Last || m.LogHead != Hash(before.Head) {
		e.Errorf("manifest %+v of %d octets", m, out.Len())
	}
	// That it was made is in the log, by whom and for whom, and not in the extract.
	var asked []ledger.Event
	err = e.store.Records(e.Context(), before.Last+1, func(r storage.Record) error {
		ev, err := ledger.Decode(r.Data)
		asked = append(asked, ev)
		return err
	})
	if err != nil || len(asked) != 1 || asked[0].Kind != ledger.LedgerExtracted || asked[0].Actor != "admin" || asked[0].Mailbox != req.Holder {
		e.Errorf("in the log: %+v, %v", asked, err)
	}
	return out.String(), m
}

// TestExtractForAuthority: everything of a time, and with the sealed files it
// can be proven octet by octet.
func TestExtractForAuthority(t *testing.T) {
	e := traffic(t)
	out, m := e.extractOf(Request{Form: JSONLines})
	var head [32]byte
	n := int64(0)
	err := eachLine(strings.NewReader(out), func(b []byte) error {
		l, err := parseLine(b)
		if err != nil {
			return err
		}
		n++
		if head = ledger.Link(head, l.seq, l.data); l.seq != n || Hash(head) != l.hash {
			return fmt.Errorf("line %d does not prove itself", n)
		}
		return nil
	})
	if err != nil || n != 9 || Hash(head) != m.LogHead {
		t.Errorf("%d lines, %v", n, err)
	}
	s := e.seals()[0]
	if m.Records != 9 || m.First != 1 || m.Last != 9 || m.Unsealed != 3 || m.Parts != 0 || m.Unreadable != 1 || m.Holder != "" ||
		len(m.Seals) != 1 || m.Seals[0].Sum != Hash(s.Sum) || m.Seals[0].Head != Hash(s.Head) || m.Seals[0].File != s.File || !m.Seals[0].Stamped.Equal(s.StampedAt) {
		t.Errorf("%+v", m)
	}
	if !strings.Contains(string(read(t, e.folder()+"/"+s.File)), strings.Join(strings.SplitAfter(out, "\n")[:6], "")) {
		t.Error("the lines are not those of the sealed file")
	}

	out, m = e.extractOf(Request{Form: JSONLines, From: e.at("2026-11-21 00:00:00"), To: e.at("2026-11-22 00:00:00")})
	if n := strings.Count(out, "\n"); n != 4 || m.Records != 4 || m.First != 7 || len(m.Seals) != 0 || m.Unsealed != 4 || m.From == nil {
		t.Errorf("%d lines, %+v", n, m) // the extract before is in the log, too
	}
}

// TestExtractForHolder_6_3: all of what she sent, her part of what she received,
// nothing else (pec-rules §6.3).
func TestExtractForHolder_6_3(t *testing.T) {
	e := traffic(t)
	out, m := e.extractOf(Request{Form: JSONLines, Holder: anna})
	if m.Records != 4 || m.Parts != 4 || m.First != 2 || m.Last != 9 || m.Unsealed != 2 || len(m.Seals) != 1 {
		t.Errorf("%+v", m)
	}
	for _, no := range []string{carla, "192.0.2", "rcpt_pec", "piena", "access", `"event"`} {
		if strings.Contains(out, no) {
			t.Errorf("%q in\n%s", no, out)
		}
	}
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		var part struct {
			Seq  int64
			Hash Hash
			Part json.RawMessage
		}
		if err := json.Unmarshal([]byte(l), &part); err != nil {
			t.Fatal(err)
		}
		ev, err := ledger.Decode(part.Part)
		if err != nil || len(ev.Recipients) != 1 || ev.Recipients[0].Address != anna {
			t.Errorf("%s: %v", l, err)
		}
	}
	out, m = e.extractOf(Request{Form: JSONLines, Holder: mario})
	if m.Records != 4 || m.Parts != 0 || m.Last != 4 || !strings.Contains(out, "casella piena") || !strings.Contains(out, "192.0.2.1") {
		t.Errorf("%+v\n%s", m, out)
	}
	if out, m = e.extractOf(Request{Form: JSONLines, Holder: "nobody@alfa.example"}); out != "" || m.Records != 0 || m.First != 0 {
		t.Errorf("%+v\n%s", m, out)
	}
}

// TestExtractAsCSV: read back by a reader of RFC 4180; no cell is a formula.
func TestExtractAsCSV(t *testing.T) {
	e := traffic(t)
	out, m := e.extractOf(Request{Form: CSV})
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 10 || m.Records != 9 || strings.Count(out, "\r\n") != 10 || strings.Count(out, "\n") != 10 {
		t.Fatalf("%d rows, %v\n%s", len(rows), err, out)
	}
	cell := func(row int, name string) string {
		for i, n := range rows[0] {
			if n == name {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %q", name)
		return ""
	}
	for _, c := range []struct {
		row        int
		name, want string
	}{
		{1, "seq", "1"}, {1, "at", "2026-11-20T11:00:00.000Z"}, {1, "kind", "submission.accepted"}, {1, "id", "A@alfa.example"},
		{1, "subject", `'=HYPERLINK("x"), Città`}, {1, "recipients", anna + "(certificato) " + carla + "(certificato)"},
		{1, "related", "<acc@alfa.example>"}, {1, "next", ""}, {1, "bytes", ""}, {6, "kind", "access"}, {6, "detail", "registrazione illeggibile / unreadable record"},
		{8, "subject", "'+39 06"}, {8, "rcpt_pec", "2"}, {8, "peer", "192.0.2.7"},
	} {
		if got := cell(c.row, c.name); got != c.want {
			t.Errorf("row %d, %s: %q, want %q", c.row, c.name, got, c.want)
		}
	}
	for i, row := range rows[1:] {
		if len(row) != len(columnNames) {
			t.Errorf("row %d has %d cells", i, len(row))
		}
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("row %d: %q", i, cell)
			}
		}
	}
}

// TestRowHasEveryField: a field added to the events is not forgotten here.
func TestRowHasEveryField(t *testing.T) {
	e := ledger.Event{
		At: time.Unix(1, 0), Kind: "1", ID: "2", MsgID: "3", Side: "4", Sender: "5", Recipients: []ledger.Recipient{{Address: "6"}}, Subject: "7",
		Provider: "8", Related: []string{"9"}, Size: 10, Channel: "11", Receipt: "12", ReceiptType: "13", Class: "14", Origin: "15",
		Error: "16", Detail: "17", Virus: "18", Certified: 19, Ordinary: 20, Attempt: 21, Next: time.Unix(22, 0), Peer: "23", Mailbox: "24",
		Domain: "25", User: "26", Actor: "27", Protocol: "28", From: "29", To: "30", Messages: 31, Program: "32",
		Folder: "33", UIDValidity: 34, UIDs: "35", Count: 36, ToValidity: 37, ToUIDs: "38", ProgramID: 39, Threat: "40", Direction: "41", Action: "42",
	}
	var fields map[string]any
	if err := json.Unmarshal(e.Encode(), &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "v")
	cells := row(storage.Record{Seq: 1}, e)
	if len(fields)+2 != len(cells) { // number and hash besides
		t.Errorf("%d fields, %d cells", len(fields), len(cells))
	}
	for i, c := range cells {
		name := columnNames[i]
		if _, ok := fields[name]; (!ok || c == "") && name != "seq" && name != "hash" {
			t.Errorf("column %q is no field, or empty: %q", name, c)
		}
	}
}

func TestExtractRefuses(t *testing.T) {
	e := traffic(t)
	for _, req := range []Request{{Form: CSV}, {Form: "xml", Actor: "a"}} {
		if _, err := Extract(t.Context(), e.store, e.clk, req, new(bytes.Buffer)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	e.faulty.before = onOp[*storage.AppendRecord]
	var out bytes.Buffer
	if _, err := Extract(t.Context(), e.faulty, e.clk, Request{Form: CSV, Actor: "a"}, &out); err == nil || out.Len() > 0 {
		t.Errorf("%v: %d octets went out without a record of it", err, out.Len())
	}
}

func TestManifestEncodes(t *testing.T) {
	e := traffic(t)
	_, m := e.extractOf(Request{Form: CSV, Holder: mario})
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var again Manifest
	if err := json.Unmarshal(b, &again); err != nil || again.Sum != m.Sum || len(again.Seals) != 1 || again.Seals[0].Head != m.Seals[0].Head {
		t.Errorf("%v\n%s", err, b)
	}
}
