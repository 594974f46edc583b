// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/storage"
)

// The tests in this file hold the defects of imapserver that ADR 0004 lists
// against what a client sees of this server.

// ID before login: once answered by BAD and BYE.
func TestDefectIDBeforeLogin(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	for _, args := range []string{"NIL", `("name" "Thunderbird" "version" NIL)`, `("name" {3}`} {
		if strings.HasSuffix(args, "}") {
			s.send("x ID %s\r\n", args)
			s.expect(`^\+ `)
			s.send("abc)\r\n")
			s.until("x")
			continue
		}
		if l := s.ok("ID %s", args); !strings.HasPrefix(l[0], "* ID ") {
			t.Error(l)
		}
	}
	s.ok("LOGIN %s %q", testUser, testPassword)
}

// A message in a literal that the server refuses must never be executed, in
// whatever way it is refused.
func TestDefectLiteralsAsCommands(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.AppendLimit = 1000 })
	evil := "x CREATE rubata\r\ny DELETE Bozze\r\n"
	long := evil + strings.Repeat("riempitivo\r\n", 500)
	dirty := func() bool {
		s := f.open("")
		l := s.ok(`LIST "" rubata`)
		return len(l) > 0 || len(s.ok(`LIST "" Bozze`)) == 0
	}
	cases := []struct {
		name, command, literal string
		closes                 bool
	}{
		{"above LITERAL-", "a APPEND INBOX {%d+}", long, true},
		{"above the append limit", "a APPEND INBOX {%d+}", evil + strings.Repeat("z", 2000), false},
		{"no such folder", "a APPEND nessuna {%d+}", evil, false},
		{"bad date", `a APPEND INBOX "ieri" {%d+}`, evil, false},
		{"bad flag", `a APPEND INBOX (\Boh) {%d+}`, evil, false},
		{"unknown command", "a XYZZY {%d+}", evil, false},
		{"unknown extension", "a APPEND INBOX CATENATE {%d+}", evil, false},
		{"where none may stand", "a NOOP {%d+}", evil, false},
		{"in an atom", "a CREATE abc{%d+}", evil, false},
		{"own command", "a FETCH {%d+}", evil, false},
		{"search", "a SEARCH XYZZY {%d+}", evil, false},
		{"too long for a search", "a SEARCH TEXT {%d+}", long, true},
		{"after open quotes", "a CREATE \"abc {%d+}", evil, true},
		{"in a literal name", "a DELETE {%d+}", evil, false},
		{"many", "a LIST \"\" ({%d+}", evil + strings.Repeat(" ", 2000), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := f.open("INBOX")
			s.t = t
			s.send(c.command+"\r\n%s\r\n", len(c.literal), c.literal)
			if c.closes {
				s.closed()
			} else {
				if _, result := s.until("a"); !strings.HasPrefix(result, "BAD") && !strings.HasPrefix(result, "NO") {
					t.Errorf("answer %q", result)
				}
				if l := s.ok("NOOP"); len(l) > 0 {
					t.Errorf("out of step: %q", l)
				}
			}
			if dirty() {
				t.Fatal("octets of a literal were executed")
			}
		})
	}
}

// A synchronizing literal that is too large is refused before it is sent.
func TestDefectLargeLiteralRefused(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.AppendLimit = 10000 })
	s := f.open("INBOX")
	s.fails("NO [TOOBIG]", "APPEND INBOX {10001}")
	s.fails("BAD [TOOBIG]", "APPEND {5000}")
	s.fails("BAD [TOOBIG]", "CREATE {5000}")
	s.fails("BAD [TOOBIG]", "SEARCH TEXT {5000}")
	s.fails("BAD [TOOBIG]", "SEARCH TEXT {5000000000000}")
	s.send("a LIST {0}\r\n")
	s.expect(`^\+ `)
	s.send(" {5000}\r\n")
	s.expect(`^a BAD`)
	s.send("a SEARCH TEXT {2}\r\n")
	s.expect(`^\+ `)
	s.send("ab TEXT {5000}\r\n")
	s.expect(`^a BAD`)
	if l := s.ok("NOOP"); len(l) > 0 {
		t.Error(l)
	}
	s.send("a APPEND INBOX {10000}\r\n")
	s.expect(`^\+ `)
	s.send("%s\r\n", strings.Repeat("x", 10000))
	s.expect(`^\* 1 EXISTS`)
	s.expect(`^a OK \[APPENDUID`)
}

// A multipart without parts: once a panic that dropped the connection.
func TestDefectEmptyMultipart(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", "Content-Type: multipart/mixed; boundary=b\r\n\r\nnulla\r\n")
	s := f.open("INBOX")
	got := s.ok("FETCH 1 (BODYSTRUCTURE BODY BODY[1] BODY[1.MIME] BODY[1.1.HEADER])")
	want := `BODYSTRUCTURE (("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)`
	if !strings.Contains(strings.Join(got, "\n"), want) {
		t.Errorf("%q", got)
	}
	c := f.login(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Error(err)
	}
}

// A change between the last command and IDLE: once told with the next change
// only.
func TestDefectUpdateBeforeIDLE(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	f.deliver("INBOX", message("due"))
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	s.expect(`^\* 2 EXISTS$`)
	f.deliver("INBOX", message("tre"))
	s.expect(`^\* 3 EXISTS$`)
	s.send("done\r\n") // any case: once a syntax error
	s.expect(`^a OK`)
}

// countingListener counts the writes of the connections it accepts.
type countingListener struct {
	net.Listener
	writes *atomic.Int64
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.writes}, nil
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// One write for each line of output: 2,000 lines take a handful.
func TestDefectOneWritePerLine(t *testing.T) {
	f := newFixture(t)
	for range 20 {
		f.deliver("INBOX", message("x"))
	}
	var folders []storage.Op
	for i := range 400 {
		folders = append(folders, &storage.CreateFolder{Mailbox: f.mailbox, Name: fmt.Sprint("cartella ", i)})
	}
	f.commit(folders...)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int64
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(t.Context(), countingListener{inner, &writes}, true) }()
	t.Cleanup(func() { inner.Close(); <-done })
	old := f.tls
	f.tls = inner
	s := f.open("INBOX")
	f.tls = old
	before := writes.Load()
	lines := len(s.ok(`LIST "" *`)) // written by the library, line by line
	if n := writes.Load() - before; lines < 400 || n > 4 {
		t.Errorf("%d lines of the library in %d writes", lines, n)
	}
	before = writes.Load()
	for range 100 {
		s.send("p FETCH 1:* (FLAGS)\r\n")
	}
	for range 100 {
		s.until("p")
	}
	if n := writes.Load() - before; n > 110 {
		t.Errorf("2,000 lines in %d writes", n)
	}
}

// Five minutes for a literal of any size: the filter's deadline moves on as
// long as octets arrive, and only then.
func TestDefectLiteralDeadline(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *timing) {
		l.tick, l.progress, l.line = 20*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond
	})
	s := f.open("INBOX")
	s.send("a APPEND INBOX {12}\r\n")
	s.expect(`^\+ `)
	for range 12 { // longer in all than the limit
		time.Sleep(100 * time.Millisecond)
		s.send("x")
	}
	s.send("\r\n")
	s.expect(`^\* 1 EXISTS`)
	s.expect(`^a OK`)
	s.send("b APPEND INBOX {12}\r\n")
	s.expect(`^\+ `)
	s.send("xxx")
	s.expect(`^\* BYE`) // silence ends it
	s.closed()
	if n := f.folder("INBOX").Messages; n != 1 {
		t.Errorf("%d messages", n)
	}
}

// A client that does not read its output is cut.
func TestSlowReaderIsCut(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *timing) { l.tick, l.progress = 20*time.Millisecond, 300*time.Millisecond })
	f.deliver("INBOX", message("x")+strings.Repeat(strings.Repeat("y", 76)+"\r\n", 200000))
	s := f.open("INBOX")
	s.send("a FETCH 1 BODY[]\r\n")
	deadline := time.Now().Add(20 * time.Second)
	for {
		n := f.server.conns.Len()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection is still there")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestIdleClientTimesOut(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *timing) {
		l.tick, l.idle, l.login = 20*time.Millisecond, 300*time.Millisecond, time.Second
	})
	s := f.open("INBOX")
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	s.expect(`^\* BYE`)
	s.closed()
	s = f.script() // nobody logs in
	s.expect(`^\* BYE`)
	s.closed()
}

// An empty line before login: once the end of the connection.
func TestDefectEmptyLines(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	s.send("\r\n\r\n\n")
	s.ok("LOGIN %s %q", testUser, testPassword)
	s.send("\r\n")
	s.ok("SELECT INBOX")
}

// EXAMINE does not block writes in the library, and CLOSE expunges read-only.
func TestDefectReadOnlyFolder(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"), `\Deleted`)
	s := f.open("")
	untagged, result := s.command("EXAMINE INBOX")
	if !strings.Contains(result, "[READ-ONLY]") || !strings.Contains(strings.Join(untagged, ""), "[PERMANENTFLAGS ()]") {
		t.Errorf("%q %q", untagged, result)
	}
	for _, c := range []string{`STORE 1 FLAGS (\Seen)`, "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Bozze", "UID STORE 1 -FLAGS.SILENT (x)"} {
		s.fails("NO", "%s", c)
	}
	s.literal("FETCH 1 BODY[]")
	s.ok("CLOSE")
	if fo := f.folder("INBOX"); fo.Messages != 1 || fo.Unseen != 1 {
		t.Errorf("%+v", fo)
	}
	s.ok("SELECT INBOX")
	if l := s.ok("CLOSE"); len(l) > 0 { // no EXPUNGE is told by CLOSE
		t.Errorf("%q", l)
	}
	if n := f.folder("INBOX").Messages; n != 0 {
		t.Errorf("%d messages", n)
	}
}

// A line longer than the library's limit: its rest was taken for a command.
func TestDefectLongLine(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	s.fails("BAD [TOOBIG]", "UID FETCH %s1 (FLAGS)", strings.Repeat("1,", 40000))
	s.fails("BAD", "LIST \"\" \"%s\"", strings.Repeat("a", 60000))
	s.ok("NOOP")
	// A line without end is not read for ever. The write fails once the server
	// has had enough.
	_, _ = s.conn.Write([]byte("a FETCH 1 (" + strings.Repeat("FLAGS ", 400000)))
	_, _ = io.Copy(io.Discard, s.r)
	f.open("INBOX")
}

// Commands without a verb dropped the connection.
func TestDefectMalformedCommands(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	for _, line := range []string{"abc", "abc ", "abc  NOOP", "* NOOP", "+ NOOP", "a(b NOOP", "a UID", "a UID ", "é NOOP", "a \"NOOP\"", "a NOOP\x00", "a LOGIN \"x", "a XYZZY x\ry CREATE rubata", "a CREATE \"x\ry\""} {
		s.send("%s\r\n", line)
		s.expect(` BAD `)
	}
	s.ok("NOOP")
}

// SMALLER was lost when a date followed it.
func TestDefectSearchSmallerAndDate(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	if l := s.ok("SEARCH SMALLER 10 SINCE 1-Jan-2020"); l[0] != "* SEARCH" {
		t.Error(l)
	}
	s.fails("BAD", "SEARCH XYZZY")
}

// Folder names in modified UTF-7 must be read as such by a server that offers
// no IMAP4rev2, and as UTF-8 once that is enabled.
func TestDefectFolderNames(t *testing.T) {
	f := newFixture(t)
	s := f.open("")
	s.ok(`CREATE "Attivit&AOA-"`)
	f.folder("Attività")
	if l := s.ok(`LIST "" "Att*"`); !strings.HasSuffix(l[0], `"Attivit&AOA-"`) {
		t.Error(l)
	}
	s.ok("ENABLE UTF8=ACCEPT")
	if l := s.ok(`LIST "" "Att*"`); !strings.HasSuffix(l[0], `"Attività"`) {
		t.Error(l)
	}
	s.ok(`SELECT "Attività"`)
}
