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

func makeRecording(t *testing.T) *recording {
	rnd := seed(t)
	dir, err := os.MkdirTemp(suite.dir, "recorded-")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, template(t), filepath.Join(dir, "site"))
	alfa, beta := s.nodes[0], s.nodes[1]
	rec := &recording{site: s, node: alfa, base: filepath.Join(dir, "base")}
	if err := copyTree(alfa.store(), rec.base); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "calls")
	alfa.wrap = record(t, file)
	beta.up(t)
	alfa.up(t)
	l := newLoad(t, s, rnd, 60*time.Millisecond)
	for _, k := range l.keepers {
		k.history = true
	}
	l.begin(rnd)
	for end := time.Now().Add(90 * time.Second); l.books.count()[accepted] < recordedMessages(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v messages in 90 s", l.books.count())
		}
	}
	l.end()
	// Not a clean end: the last checkpoint is part of what is tried as well, but
	// the recording shall end with the store in use.
	s.kill()
	rec.books, rec.keepers = l.books.entries(), slices.DeleteFunc(l.keepers, func(k *keeper) bool { return k.n != alfa })
	rec.books = slices.DeleteFunc(rec.books, func(e sending) bool { return e.at != alfa })
	if rec.calls, err = readCalls(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return rec
}

// recordedMessages is how many messages are accepted during a recording, by
// both providers.
func recordedMessages() int { return 400 }

// images is CRASH_IMAGES, or what a test among others may take.
func images(t *testing.T) int {
	text := os.Getenv("CRASH_IMAGES")
	if text == "" {
		return 40
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
	slices.Sort(cuts)
	v, err := newVolume(rec.base)
	if err != nil {
		t.Fatal(err)
	}
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
