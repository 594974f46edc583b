// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStress has clients send random commands on the same two folders. Each
// keeps a model of the folder by what it is told and complains about every
// response that cannot be true; at checkpoints all stand still and must know the
// folder as it is; who comes back with QRESYNC must know it at once.
// STRESS_TIME is its length (8s), STRESS_SEED repeats the choices of a run.
func TestStress(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("STRESS_TIME"))
	if err != nil {
		length = 8 * time.Second
	}
	seed, err := strconv.ParseUint(os.Getenv("STRESS_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("STRESS_SEED=%d", seed)
	f := newFixture(t)
	f.deliverSome(20)
	w := &stress{f: f, subjects: map[string]string{}}
	clients := make([]*stressClient, 8)
	var wg sync.WaitGroup
	for i := range clients {
		c := &stressClient{w: w, name: fmt.Sprint("k", i), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		c.model.complain = c.complain
		clients[i] = c
		wg.Go(c.run)
	}
	for end := time.Now().Add(length); time.Now().Before(end) && !w.over.Load(); {
		time.Sleep(min(time.Second, time.Until(end)))
		w.still.Lock()
		w.checkpoint(clients)
		w.still.Unlock()
	}
	w.over.Store(true)
	wg.Wait()
	t.Logf("%d commands, %d resynchronisations, %d checkpoints", w.commands.Load(), w.resyncs.Load(), w.checkpoints)
	if w.resyncs.Load() == 0 || w.checkpoints == 0 {
		t.Error("nothing was checked")
	}
}

// stress is what the clients share.
type stress struct {
	f                 *fixture
	still             sync.RWMutex // held for writing while all clients stand still
	over              atomic.Bool
	commands, resyncs atomic.Int64
	checkpoints       int

	mu       sync.Mutex
	subjects map[string]string // folder and UID: the subject, as first seen
}

// checkpoint holds what each client knows, once it has asked, against what a new
// one is told.
func (w *stress) checkpoint(clients []*stressClient) {
	for _, folder := range []string{"INBOX", "Bozze"} {
		fresh := &stressClient{w: w, name: "fresh", random: rand.New(rand.NewPCG(1, 1))}
		fresh.model.complain = fresh.complain
		if !fresh.connect() {
			continue
		}
		fresh.open(folder, false)
		for _, c := range clients {
			if c.conn == nil || c.folder != folder || w.over.Load() {
				continue
			}
			c.command("NOOP")
			c.learn()
			c.equal("checkpoint", c.model.seq, fresh.model.seq)
			if c.resyncs && c.random.IntN(2) == 0 {
				c.open(folder, true)
			}
		}
		fresh.conn.Close()
	}
	w.checkpoints++
}

// stressClient is one client and its connection.
type stressClient struct {
	w       *stress
	name    string
	random  *rand.Rand
	conn    net.Conn
	r       *bufio.Reader
	tag     int
	folder  string
	model   model
	resyncs bool // the connection has QRESYNC
	recent  []string
}

func (c *stressClient) complain(format string, args ...any) {
	if !c.w.over.Swap(true) {
		c.w.f.t.Errorf("%s in %s: %s\n%s", c.name, c.folder, fmt.Sprintf(format, args...), strings.Join(c.recent, "\n"))
	}
}

func (c *stressClient) note(line string) {
	if c.recent = append(c.recent, line); len(c.recent) > 60 {
		c.recent = c.recent[1:]
	}
}

func (c *stressClient) run() {
	for !c.w.over.Load() {
		c.w.still.RLock()
		if c.conn == nil && c.connect() {
			c.open([]string{"INBOX", "INBOX", "Bozze"}[c.random.IntN(3)], false)
		}
		if c.conn != nil {
			c.act()
		}
		c.w.still.RUnlock()
	}
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *stressClient) connect() bool {
	conn, err := tls.Dial("tcp", c.w.f.tls.Addr().String(), c.w.f.client)
	if err != nil {
		c.complain("connecting: %v", err)
		return false
	}
	c.conn, c.r, c.folder = conn, bufio.NewReaderSize(conn, 64<<10), ""
	c.model = model{complain: c.complain, early: map[uint32]bool{}, went: map[uint32]bool{}}
	c.r.ReadString('\n')
	c.command("LOGIN %s %q", testUser, testPassword)
	c.resyncs = false
	switch c.random.IntN(3) {
	case 0:
		c.command("ENABLE CONDSTORE")
	case 1:
		c.command("ENABLE QRESYNC")
		c.resyncs, c.model.qresync = true, true
	}
	return true
}

// open opens a folder, with what it knew of it where that is wanted, and learns
// what there is.
func (c *stressClient) open(folder string, resync bool) {
	known := c.model
	c.model = model{complain: c.complain, qresync: known.qresync, early: map[uint32]bool{}, went: map[uint32]bool{}}
	c.folder = folder
	if !resync {
		c.command("SELECT %q", folder)
		c.learn()
		return
	}
	// What the server tells about is applied to what the client knows, and that
	// is all: new messages are told with their flags as well.
	old := known.seq
	params := fmt.Sprintf("%d %d", known.validity, known.top())
	if len(old) > 0 && c.random.IntN(2) == 0 {
		n := 1 + c.random.IntN(len(old))
		params += fmt.Sprintf(" (%d %d)", n, old[n-1].uid)
	}
	lines, result := c.send("SELECT %q (QRESYNC (%s))", folder, params)
	gone, changed := map[uint32]bool{}, map[uint32]held{}
	for _, l := range lines {
		if v := vanished.FindStringSubmatch(l); v != nil {
			if v[1] == "" {
				c.complain("VANISHED without EARLIER in the answer to SELECT")
			}
			for _, uid := range numbersOf(v[2]) {
				gone[uid] = true
			}
		} else if f := numbered.FindStringSubmatch(l); f != nil && f[2] == "FETCH" {
			uid, _ := strconv.ParseUint(uidIn.FindStringSubmatch(f[3])[1], 10, 32)
			modseq, _ := strconv.ParseUint(modseqIn.FindStringSubmatch(f[3])[1], 10, 64)
			changed[uint32(uid)] = held{uint32(uid), sortedFlags(flagsIn.FindStringSubmatch(f[3])[1]), modseq}
		} else {
			c.model.take(l)
		}
	}
	if !strings.HasPrefix(result, "OK") {
		c.complain("%s", result)
	}
	var now []held
	for _, h := range old {
		if n, ok := changed[h.uid]; ok {
			h = n
			delete(changed, h.uid)
		}
		if !gone[h.uid] {
			now = append(now, h)
		}
	}
	for _, h := range changed {
		now = append(now, h)
	}
	slices.SortFunc(now, func(a, b held) int { return int(a.uid) - int(b.uid) })
	highest := c.model.highest
	c.learn()
	c.upTo("QRESYNC", now, highest)
	c.w.resyncs.Add(1)
}

// upTo compares what the client worked out with what it was then told: the same
// messages but for those that went since, and the same flags where these have not
// changed since.
func (c *stressClient) upTo(when string, got []held, highest uint64) {
	want := slices.Clone(c.model.seq)
	got = slices.DeleteFunc(got, func(h held) bool { return c.model.went[h.uid] })
	for i := range want {
		if want[i].modseq > highest && i < len(got) && got[i].uid == want[i].uid {
			got[i] = want[i]
		}
	}
	if len(want) > len(got) && want[len(got)].modseq > highest { // arrived since
		want = want[:len(got)]
	}
	c.equal(when, got, want)
}

// equal complains about the first difference.
func (c *stressClient) equal(when string, got, want []held) {
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				c.complain("%s, at %d:\nknows %v\nis    %v", when, i+1, got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
				return
			}
		}
	}
}

// learn asks for what the client has not been told, and tells whether there was
// anything.
func (c *stressClient) learn() (asked bool) {
	for ; !c.w.over.Load(); asked = true {
		from := slices.IndexFunc(c.model.seq, func(h held) bool { return h.uid == 0 || h.modseq == 0 })
		if from < 0 {
			break
		}
		if someGone(c.fixed("FETCH %d:%d (UID FLAGS MODSEQ)", from+1, len(c.model.seq))) {
			c.command("NOOP") // now it may be told
		}
	}
	return asked
}

// someGone tells whether an answer says that messages are gone of which the
// client has not been told.
func someGone(result string) bool { return strings.Contains(result, "[EXPUNGEISSUED]") }

// command sends a command that may not be refused.
func (c *stressClient) command(format string, args ...any) (result string) {
	lines, result := c.send(format, args...)
	for _, l := range lines {
		c.model.take(l)
	}
	c.model.take(result)
	clear(c.model.early)
	if !strings.HasPrefix(result, "OK") && !strings.HasPrefix(result, "NO [EXPUNGEISSUED]") && !strings.HasPrefix(result, "NO [MODIFIED") {
		c.complain("%s", result)
	}
	return result
}

// send sends a command and reads up to its tagged response.
func (c *stressClient) send(format string, args ...any) (untagged []string, result string) {
	c.tag++
	c.w.commands.Add(1)
	tag := fmt.Sprintf("%s.%d", c.name, c.tag)
	line := tag + " " + fmt.Sprintf(format, args...)
	c.note("C: " + line)
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return nil, err.Error()
	}
	for {
		l, err := c.response()
		if err != nil {
			return untagged, err.Error()
		}
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			return untagged, rest
		}
		if !strings.HasPrefix(l, "* ") {
			return untagged, "not for " + tag + ": " + l
		}
		untagged = append(untagged, l)
	}
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// response reads a line with its literals.
func (c *stressClient) response() (string, error) {
	var all strings.Builder
	for {
		l, err := c.r.ReadString('\n')
		if err != nil {
			return "", errors.Join(errors.New("reading"), err)
		}
		all.WriteString(l)
		m := literalEnd.FindStringSubmatch(l)
		if m == nil {
			break
		}
		n, _ := strconv.Atoi(m[1])
		for range n {
			b, err := c.r.ReadByte()
			if err != nil {
				return "", err
			}
			all.WriteByte(b)
		}
	}
	line := strings.TrimSuffix(all.String(), "\r\n")
	c.note("S: " + line)
	return line, nil
}
