// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// orderDir names the store of a child whose system calls are recorded.
const orderDir = "PECD_TEST_ORDER_DIR"

// orderChild opens a new store, commits one message with a file of its own, and
// says when that begins and when it is acknowledged.
func orderChild(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	m := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "a@x.it"}}
	if err := s.Commit(ctx, new(storage.Step).Add(m)); err != nil {
		return err
	}
	f, err := s.Folder(ctx, m.ID, "INBOX")
	if err != nil {
		return err
	}
	fmt.Println("BEGIN")
	b, a, sp := large(s, f, noise(300_000))
	if err := s.Commit(ctx, new(storage.Step).Add(b, a)); err != nil {
		return err
	}
	fmt.Println("250")
	if err := sp.Close(); err != nil {
		return err
	}
	return s.Close()
}

// call is a system call that succeeded. begin and end order it against the
// others: it was under way between the two.
type call struct {
	name, path, to string // to: the new name of a rename
	text           string
	begin, end     int
}

var (
	callLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)`)
	quoted   = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	ofFile   = regexp.MustCompile(`^\w+\(\d+<([^>]*)>`)
)

// trace runs the child with dir and returns the calls it made.
func trace(t *testing.T, dir string) []call {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("the order of syncs is read off the system calls, which needs strace: apt-get install strace")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "calls")
	// With ?, a name the machine's kernel does not have is left out.
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-y", "-s", "256", "-o", out, "-e",
		"trace=fsync,fdatasync,?sync_file_range,?rename,?renameat,?renameat2,?mkdir,mkdirat,write,pwrite64,?writev,?pwritev,?ftruncate", self)
	cmd.Env = append(os.Environ(), orderDir+"="+dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, said)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := parseCalls(string(data))
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// parseCalls reads what strace wrote. A call during which another thread made
// one is on two lines.
func parseCalls(data string) ([]call, error) {
	var calls []call
	open := make(map[string]call) // by thread
	for i, line := range strings.Split(strings.TrimSpace(data), "\n") {
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue // "+++ exited", "--- SIGURG"
		}
		thread, name := m[1], m[2]
		rest := strings.TrimLeft(strings.TrimPrefix(line, thread), " ")
		c := call{name: name, text: rest, begin: i, end: i}
		if strings.HasPrefix(rest, "<... ") {
			c = open[thread]
			if c.name != name {
				return nil, fmt.Errorf("line %d: no begin of %q", i+1, line)
			}
			delete(open, thread)
			c.text, c.end = strings.TrimSuffix(c.text, " <unfinished ...>")+rest, i
		} else if strings.HasSuffix(rest, "<unfinished ...>") {
			open[thread] = c
			continue
		}
		if eq := strings.LastIndex(c.text, " = "); eq < 0 || strings.HasPrefix(c.text[eq:], " = -") {
			continue // failed
		}
		names := quoted.FindAllStringSubmatch(c.text, -1)
		switch {
		case strings.HasPrefix(name, "rename") && len(names) == 2:
			c.path, c.to = names[0][1], names[1][1]
		case strings.HasPrefix(name, "mkdir") && len(names) == 1:
			c.path = names[0][1]
		default:
			if m := ofFile.FindStringSubmatch(c.text); m != nil {
				c.path = m[1]
			}
		}
		calls = append(calls, c)
	}
	return calls, nil
}

func isSync(c call) bool  { return c.name == "fsync" || c.name == "fdatasync" }
func isWrite(c call) bool { return strings.Contains(c.name, "write") || c.name == "ftruncate" }

// TestSyncOrder: bytes before names, names before the rows that refer to them,
// all of it before the answer. Seen in the system calls of a process: what
// kill -9 does not show, because it leaves the page cache as it is.
func TestSyncOrder(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "a", "b", "store")
	calls := trace(t, dir)

	// one returns the only call from begin on that fits.
	one := func(what string, from int, fits func(call) bool) call {
		t.Helper()
		var found []call
		for _, c := range calls {
			if c.begin > from && fits(c) {
				found = append(found, c)
			}
		}
		if len(found) != 1 {
			t.Fatalf("%s: %d calls, want one: %v", what, len(found), found)
		}
		return found[0]
	}
	// synced returns the first sync of path that began after the call was over.
	synced := func(after call, path string) call {
		t.Helper()
		i := slices.IndexFunc(calls, func(c call) bool { return c.begin > after.end && isSync(c) && c.path == path })
		if i < 0 {
			t.Fatalf("no sync of %s after %s", path, after.text)
		}
		return calls[i]
	}
	// before fails unless a was over when b began.
	before := func(a, b call) {
		t.Helper()
		if a.end >= b.begin {
			t.Errorf("%s\n\tis not before\n%s", a.text, b.text)
		}
	}
	say := func(text string) func(call) bool {
		return func(c call) bool { return isWrite(c) && strings.Contains(c.text, `"`+text+`\n"`) }
	}
	begin := one("begin", -1, say("BEGIN"))
	answer := one("answer", begin.end, say("250"))

	// A new store: every directory's name is synced before the first answer.
	for d := dir; d != base; d = filepath.Dir(d) {
		made := one("mkdir "+d, -1, func(c call) bool { return strings.HasPrefix(c.name, "mkdir") && c.path == d })
		before(synced(made, filepath.Dir(d)), begin)
	}

	rename := one("rename", begin.end, func(c call) bool { return c.to != "" })
	name := filepath.Base(rename.to)
	blobDir := filepath.Join(dir, "blobs", name[:2])
	if rename.path != filepath.Join(dir, "spool", name) || filepath.Dir(rename.to) != blobDir {
		t.Fatalf("renamed %s to %s", rename.path, rename.to)
	}
	made := one("mkdir "+blobDir, begin.end, func(c call) bool { return strings.HasPrefix(c.name, "mkdir") && c.path == blobDir })

	var bytes, log []call
	for _, c := range calls {
		switch {
		case !isWrite(c) || c.begin < begin.end:
		case c.path == rename.path || c.path == rename.to:
			bytes = append(bytes, c)
		case c.path == filepath.Join(dir, "pecd.db-wal") && c.begin < answer.end:
			log = append(log, c)
		}
	}
	if len(bytes) == 0 || len(log) == 0 {
		t.Fatalf("%d writes of the file, %d of the log", len(bytes), len(log))
	}
	fileSync := synced(bytes[len(bytes)-1], rename.path) // by its old name: before the rename
	dirSync := synced(rename, blobDir)
	logSync := synced(log[len(log)-1], filepath.Join(dir, "pecd.db-wal"))
	before(fileSync, rename)
	before(dirSync, log[0])
	before(synced(made, filepath.Dir(blobDir)), log[0])
	before(logSync, answer)
}
