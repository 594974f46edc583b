// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// call is a system call that succeeded. begin and end order it against the
// others: it was under way between the two, which are lines of the recording.
type call struct {
	name       string
	path       string   // of its descriptor; for a call without one, the first name
	names      []string // its string arguments that are names
	data       []byte   // what it wrote
	args       string   // what follows the first string or descriptor, undecoded where it is data
	result     int64
	begin, end int
	at, done   time.Time // just before it began, and when it was over
}

// recorded are the calls that change files, and those that answer clients. With
// ?, a name that the machine's kernel does not have is left out.
const recorded = "trace=openat,?open,?creat,write,pwrite64,writev,pwritev,?pwritev2,ftruncate,fallocate,?rename,renameat,renameat2,?link,linkat," +
	"?unlink,unlinkat,?mkdir,mkdirat,?rmdir,fsync,fdatasync,sync_file_range,mmap,sendfile,splice,copy_file_range"

// strace returns the command words that run a program under strace.
func strace(t testing.TB, args ...string) []string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("system calls are recorded and made to fail by strace: apt-get install -y strace")
	}
	return append([]string{path, "-f", "-qq"}, args...)
}

// record are the words that record a program's calls into a file.
func record(t testing.TB, file string) []string {
	t.Helper()
	return strace(t, "--seccomp-bpf", "-y", "-xx", "-s", "67108864", "-ttt", "-T", "-o", file, "-e", recorded)
}

// readCalls reads a recording.
func readCalls(file string) ([]call, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var calls []call
	open := make(map[string]call) // by thread; what is under way
	texts := make(map[string]string)
	in := bufio.NewReaderSize(f, 1<<20)
	for n := 0; ; n++ {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return calls, nil // what follows the last line end was cut off
		}
		if err != nil {
			return nil, err
		}
		thread, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		stamp, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		if strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "+++") {
			continue
		}
		at, err := parseStamp(stamp)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		if strings.HasPrefix(rest, "<... ") {
			_, rest, _ = strings.Cut(rest, " resumed>")
			c, text := open[thread], texts[thread]+rest
			delete(open, thread)
			delete(texts, thread)
			c.end = n
			if calls, err = finish(calls, c, text); err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			continue
		}
		c := call{begin: n, end: n, at: at}
		if text, ok := strings.CutSuffix(rest, " <unfinished ...>"); ok {
			open[thread], texts[thread] = c, text
			continue
		}
		if calls, err = finish(calls, c, rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
}

func parseStamp(s string) (time.Time, error) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err1 := strconv.ParseInt(sec, 10, 64)
	us, err2 := strconv.ParseInt(frac, 10, 64)
	return time.Unix(n, us*1000), errors.Join(err1, err2)
}

// finish adds a call whose text is complete, unless it failed.
func finish(calls []call, c call, text string) ([]call, error) {
	eq := strings.LastIndex(text, " = ")
	if eq < 0 {
		return calls, nil // the process ended in it
	}
	result, _, _ := strings.Cut(text[eq+3:], " ")
	result, _, _ = strings.Cut(result, "<")
	if strings.HasPrefix(result, "-") || strings.HasPrefix(result, "?") {
		return calls, nil
	}
	took, err := strconv.ParseFloat(strings.TrimSuffix(text[strings.LastIndex(text, " <")+2:], ">"), 64)
	if err != nil {
		return nil, err
	}
	c.done = c.at.Add(time.Duration(took * float64(time.Second)))
	if c.result, err = strconv.ParseInt(result, 0, 64); err != nil {
		return nil, err
	}
	var args string
	c.name, args, _ = strings.Cut(strings.TrimSpace(text[:eq]), "(")
	args = strings.TrimSuffix(args, ")")
	if c.name == "mmap" {
		// The descriptor is not the first argument.
		if at := strings.Index(args, "<"); at >= 0 {
			c.path, err = decode(args[at+1:])
			c.args = args[:at]
			calls = append(calls, c)
		}
		return calls, err
	}
	if at := strings.Index(args, "<"); at >= 0 && at < strings.IndexByte(args+",", ',') {
		if c.path, err = decode(args[at+1:]); err != nil {
			return nil, err
		}
		_, c.args, _ = strings.Cut(args, ">")
	} else {
		c.args = args
	}
	if c.name == "openat" || c.name == "open" {
		// Resolved: the descriptor it returned names the file.
		if _, fd, ok := strings.Cut(text[eq:], "<"); ok {
			c.path, err = decode(fd)
		}
		_, c.args, _ = strings.Cut(c.args, "\", ")
		return append(calls, c), err
	}
	for i, s := range strings.Split(c.args, "\"") {
		if i%2 == 0 {
			if strings.HasPrefix(s, "...") {
				return nil, fmt.Errorf("%s: a string is cut short", c.name)
			}
			continue
		}
		text, err := decode(s)
		if err != nil {
			return nil, err
		}
		if strings.Contains(c.name, "write") {
			c.data = append(c.data, text...)
		} else {
			c.names = append(c.names, text)
		}
	}
	if at := strings.LastIndex(c.args, "\""); at >= 0 {
		c.args = c.args[at+1:]
	}
	return append(calls, c), nil
}

// decode reads hexadecimal octets, each written \xhh, up to the first that is none.
func decode(s string) (string, error) {
	var b strings.Builder
	for len(s) >= 4 && s[0] == '\\' {
		n, err := strconv.ParseUint(s[2:4], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(n))
		s = s[4:]
	}
	if strings.HasPrefix(s, "\\") {
		return "", fmt.Errorf("unreadable string %.20q", s)
	}
	return b.String(), nil
}

// number is the i-th number of args.
func (c *call) number(i int) int64 {
	fields := strings.FieldsFunc(c.args, func(r rune) bool { return r == ',' || r == ' ' })
	if i >= len(fields) {
		return -1
	}
	n, err := strconv.ParseInt(fields[i], 0, 64)
	if err != nil {
		return -1
	}
	return n
}

func (c *call) syncs() bool { return c.name == "fsync" || c.name == "fdatasync" }
