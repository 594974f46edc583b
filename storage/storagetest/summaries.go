// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"errors"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// summaries lists a folder with its summaries, as "uid=summary", "-" for none,
// and checks the rest of each row against Messages.
func (e *env) summaries(f storage.Folder) string {
	e.Helper()
	want := e.list(f)
	var out []string
	err := e.Summaries(e.ctx, f.ID, 1, 0, func(m storage.Message, summary []byte) error {
		if n := len(out); n >= len(want) || fmt.Sprint(want[n]) != fmt.Sprint(m) {
			e.Fatalf("row %d is %+v, not as Messages has it", n, m)
		}
		text := string(summary)
		if summary == nil {
			text = "-"
		}
		out = append(out, fmt.Sprintf("%d=%s", m.UID, text))
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	equal(e, "rows", len(out), len(want))
	return strings.Join(out, " ")
}

func testSummaries(e *env) {
	in := e.box("a@x.it")
	put := func(body, summary string) storage.BodyID {
		b, a := text(in, body)
		if summary != "" {
			b.Summary = []byte(summary)
		}
		e.ok(b, a)
		return b.ID
	}
	one, two, three := put("one", "sum 1"), put("two", ""), put("three", "sum 3")
	equal(e, "summaries", e.summaries(in), "1=sum 1 2=- 3=sum 3")

	before := e.now(in)
	e.ok(&storage.PutSummary{Body: two, Summary: []byte("sum 2")}, &storage.PutSummary{Body: one, Summary: []byte("other")})
	equal(e, "after PutSummary", e.summaries(in), "1=other 2=sum 2 3=sum 3")
	equal(e, "folder", e.now(in), before)

	sub := e.folder(in.Mailbox, "Sub")
	e.ok(&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID}, &storage.Expunge{Folder: in.ID, UIDs: []uint32{1, 3}})
	equal(e, "of a copy", e.summaries(sub), "1=other")
	equal(e, "left", e.summaries(in), "2=sum 2")
	e.ok(&storage.PutSummary{Body: three, Summary: []byte("of a body that is gone")})
	equal(e, "left", e.summaries(in), "2=sum 2")
	e.again()
	equal(e, "opened again", e.summaries(in), "2=sum 2")

	e.fails(fault.Invalid, &storage.PutSummary{Body: two})
	e.fails(fault.Invalid, &storage.PutSummary{Body: two, Summary: make([]byte, storage.MaxSummary+1)})
	b, a := text(in, "x")
	b.Summary = make([]byte, storage.MaxSummary+1)
	e.fails(fault.Invalid, b, a)
	b.Summary = b.Summary[1:]
	e.ok(b, a)
}

// testSummariesMany has more octets of summaries than anybody should hold at once.
func testSummariesMany(e *env) {
	in := e.box("a@x.it")
	const n, size = 700, 5000
	step := new(storage.Step)
	for i := range n {
		b, a := text(in, fmt.Sprint(i))
		b.Summary = []byte(strings.Repeat(string(rune('a'+i%26)), size+i))
		step.Add(b, a)
	}
	e.ok(step.Ops...)
	uid := uint32(0)
	check := func(m storage.Message, summary []byte) error {
		if uid++; m.UID != uid {
			return fmt.Errorf("UID %d after %d", m.UID, uid-1)
		}
		i := int(uid - 1)
		if want := strings.Repeat(string(rune('a'+i%26)), size+i); string(summary) != want {
			return fmt.Errorf("UID %d has a summary of %d octets, not its own", uid, len(summary))
		}
		return nil
	}
	if err := e.Summaries(e.ctx, in.ID, 1, 0, check); err != nil || uid != n {
		e.Fatalf("%d rows, %v", uid, err)
	}
	uid = 9
	if err := e.Summaries(e.ctx, in.ID, 10, 12, check); err != nil || uid != 12 {
		e.Fatalf("to UID %d, %v", uid, err)
	}
	stop := errors.New("stop")
	if err := e.Summaries(e.ctx, in.ID, 1, 0, func(storage.Message, []byte) error { return stop }); !errors.Is(err, stop) {
		e.Fatal(err)
	}
	e.wants(fault.NotFound, e.Summaries(e.ctx, in.ID+9, 1, 0, check))
}

func testFlagsList(e *env) {
	in := e.box("a@x.it")
	const n = 9000 // more than anybody reads at once
	step := new(storage.Step)
	for i := range n {
		var flags []string
		if i%2 == 1 {
			flags = append(flags, `\Seen`)
		}
		if i%1000 == 999 {
			flags = append(flags, fmt.Sprintf("k%d", i))
		}
		b, a := text(in, "x", flags...)
		step.Add(b, a)
	}
	e.ok(step.Ops...)
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{3}})
	want := e.list(in)
	got := 0
	check := func(uid uint32, flags []string) error {
		if m := want[got]; m.UID != uid || fmt.Sprint(m.Flags) != fmt.Sprint(flags) {
			return fmt.Errorf("row %d: %d %v, not %d %v", got, uid, flags, m.UID, m.Flags)
		}
		got++
		return nil
	}
	if err := e.Store.Flags(e.ctx, in.ID, 1, 0, check); err != nil || got != n-1 {
		e.Fatalf("%d rows, %v", got, err)
	}
	got = 1
	if err := e.Store.Flags(e.ctx, in.ID, 2, 4, check); err != nil || got != 3 {
		e.Fatalf("to row %d, %v", got, err)
	}
	e.wants(fault.NotFound, e.Store.Flags(e.ctx, in.ID+9, 1, 0, check))
}
