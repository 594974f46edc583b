// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recording is what a node did to its store and what its clients were told.
type recording struct {
	site    *site
	node    *node
	base    string // the store before the first call
	calls   []call
	books   []sending
	keepers []*keeper
}

var recorder struct {
	once sync.Once
	rec  *recording
}

// recordLoad records the real daemon under mixed load, once for all tests.
func recordLoad(t *testing.T) *recording {
	t.Helper()
	recorder.once.Do(func() { recorder.rec = makeRecording(t) })
	if recorder.rec == nil {
		t.Fatal("nothing was recorded")
	}
	return recorder.rec
}

// messages is how many messages both providers accept during a recording.
const messages = 400

func makeRecording(t *testing.T) *recording {
	dir, err := os.MkdirTemp(suite.dir, "recorded-")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, template(t), filepath.Join(dir, "site"))
	return s.record(t, seed(t), messages)
}

// record records alfa under load, and kills both providers in the end: the
// last checkpoint of a clean end is no part of it.
func (s *site) record(t *testing.T, rnd *rand.Rand, messages int) *recording {
	alfa, beta := s.nodes[0], s.nodes[1]
	rec := &recording{site: s, node: alfa, base: filepath.Join(s.dir, "base")}
	if err := copyTree(alfa.store(), rec.base); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "calls")
	alfa.wrap = record(t, file)
	if beta.proc == nil || !beta.proc.alive() {
		beta.up(t)
	}
	alfa.up(t)
	l := s.work(t, rnd, messages)
	rec.books, rec.keepers = l.books.entries(), slices.DeleteFunc(l.keepers, func(k *keeper) bool { return k.n != alfa })
	rec.books = slices.DeleteFunc(rec.books, func(e sending) bool { return e.at != alfa })
	var err error
	if rec.calls, err = readCalls(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return rec
}

// work loads a site until so many messages are accepted, and kills it.
func (s *site) work(t *testing.T, rnd *rand.Rand, messages int) *load {
	l := newLoad(t, s, rnd, 60*time.Millisecond)
	for _, k := range l.keepers {
		k.history = true
	}
	l.begin(rnd)
	for end := time.Now().Add(2 * time.Minute); l.books.count()[accepted] < messages; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v messages in two minutes", l.books.count())
		}
	}
	l.end()
	s.kill()
	return l
}

// images is CRASH_IMAGES, or what a test among others may take.
func images(t *testing.T) int {
	text := os.Getenv("CRASH_IMAGES")
	if text == "" {
		return 25
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("CRASH_IMAGES: %v", err)
	}
	return n
}

// TestReplay builds the directories that a crash of the machine at random
// points of a recording could have left. Each of them opens, verifies, and has
// everything that was acknowledged before the crash.
func TestReplay(t *testing.T) {
	rec := recordLoad(t)
	rnd := seed(t)
	count := images(t)
	told := answered(rec.books)
	cuts := make([]int, 0, count)
	syncs := rec.where(func(c *call) bool { return c.syncs() && strings.HasPrefix(c.path, rec.node.store()) })
	for range count / 2 {
		cuts = append(cuts, rnd.IntN(len(rec.calls)))
		// Just before a sync is over most is at risk.
		cuts = append(cuts, syncs[rnd.IntN(len(syncs))])
	}
	before := 0
	rec.crash(t, cuts, nil, func(cut crashed) {
		l := losses(rnd)
		if problems := cut.judge(t, l, rnd); problems != nil {
			t.Errorf("crash before call %d, %v:\n\t%s", cut.index, l, strings.Join(problems, "\n\t"))
		}
		n, _ := slices.BinarySearchFunc(told, cut.at, func(e sending, at time.Time) int { return e.ended.Compare(at) })
		before += n
	})
	t.Logf("%d calls recorded, %d of them syncs; %d images of crashes, with %d acknowledged messages in the mean", len(rec.calls), len(syncs), len(cuts), before/len(cuts))
	if before == 0 {
		t.Error("nothing was acknowledged before any crash")
	}
}

// TestReplayAfterFailedSync: a sync of the log has failed, the kernel has dropped
// what it could not write and shows it all the same, and the process ended
// before it wrote anything else. The next one finds a commit in the log that is
// not on the disk. What it acknowledges is there after a crash nevertheless.
func TestReplayAfterFailedSync(t *testing.T) {
	rnd := seed(t)
	s := newSite(t, template(t), filepath.Join(t.TempDir(), "site"))
	// Nothing is deleted: that follows a sync that did not fail.
	s.nodes[0].up(t)
	s.nodes[0].submitLocally(t, rnd, 12)
	s.kill()
	rec := s.record(t, rnd, 20)
	told := answered(rec.books)
	if len(told) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	later := rec.where(func(c *call) bool { return c.at.After(told[0].ended) })
	cuts := []int{len(rec.calls) - 1}
	for range 8 {
		cuts = append(cuts, later[rnd.IntN(len(later))], rnd.IntN(len(rec.calls)))
	}
	v, err := newVolume(rec.base)
	if err != nil {
		t.Fatal(err)
	}
	log := v.now["pecd.db-wal"]
	if log == nil || len(log.data) < 100_000 {
		t.Fatal("the first process left no log")
	}
	log.data = log.data[:len(log.data)*2/3]
	rec.crashOn(t, v, cuts, nil, func(cut crashed) {
		l := losses(rnd)
		if problems := cut.judge(t, l, rnd); problems != nil {
			t.Errorf("crash before call %d, %v:\n\t%s", cut.index, l, strings.Join(problems, "\n\t"))
		}
	})
}

// submitLocally has mailboxes of the node write to each other.
func (n *node) submitLocally(t *testing.T, rnd *rand.Rand, count int) {
	t.Helper()
	c, err := n.openSubmission(n.box(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := newBooks()
	for i := range count {
		id := fmt.Sprintf("<locale.%d@client.example>", i)
		e := &sending{id: id, from: n.box(1), at: n, subject: "Locale", to: []recipient{{n.box(2), certified, n}}}
		if err := b.send(c, e, e.letter(rnd, "", 20_000)); err != nil || e.told != accepted {
			t.Fatalf("%s: told %d, %v", id, e.told, err)
		}
	}
}

// where returns the indexes of calls.
func (rec *recording) where(fits func(*call) bool) (out []int) {
	for i := range rec.calls {
		if fits(&rec.calls[i]) {
			out = append(out, i)
		}
	}
	return out
}

// crashed is a recording played up to a call, which is not begun or not over.
type crashed struct {
	*recording
	volume *volume
	index  int
	at     time.Time
}

// crash plays the recording and stops before each of the cuts. Calls that skip
// names have no effect.
func (rec *recording) crash(t *testing.T, cuts []int, skip map[int]bool, fn func(crashed)) {
	t.Helper()
	v, err := newVolume(rec.base)
	if err != nil {
		t.Fatal(err)
	}
	rec.crashOn(t, v, cuts, skip, fn)
}

// crashOn is crash of another volume than the one the recording began with.
func (rec *recording) crashOn(t *testing.T, v *volume, cuts []int, skip map[int]bool, fn func(crashed)) {
	t.Helper()
	slices.Sort(cuts)
	v.root = rec.node.store()
	for i := range rec.calls {
		c := &rec.calls[i]
		for len(cuts) > 0 && cuts[0] == i {
			cuts = cuts[1:]
			// A call is listed when it is over: what was told before it began was told before.
			fn(crashed{rec, v, i, c.at})
		}
		if skip[i] {
			continue
		}
		if err := v.play(c); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

// judge builds one image and says what is wrong with it.
func (c crashed) judge(t *testing.T, l loss, rnd *rand.Rand) (problems []string) {
	t.Helper()
	dir := filepath.Join(c.site.dir, "alfa", "image")
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.volume.image(dir, l, rnd); err != nil {
		t.Fatal(err)
	}
	n := *c.node
	n.config = filepath.Join(c.site.dir, "alfa-image.toml")
	b, err := os.ReadFile(c.node.config)
	if err == nil {
		err = os.WriteFile(n.config, []byte(strings.Replace(string(b), "alfa/store", "alfa/image", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--json"}, {"ledger", "verify"}} {
		if code, out := n.command(t, args...); code != 0 {
			problems = append(problems, fmt.Sprintf("pecd %v: exit %d\n%.3000s", args, code, out))
		}
	}
	h, err := readHoldings(dir)
	if err != nil {
		return append(problems, err.Error())
	}
	return append(problems, h.lacks(c.books, c.keepers, c.at)...)
}
