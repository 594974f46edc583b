// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"
	"sync/atomic"
	"testing"
)

// TestAppendWithoutRoom: below the floor no message is taken in, and the client
// hears it before it sends one; everything else goes on.
func TestAppendWithoutRoom(t *testing.T) {
	var room atomic.Int64
	f := newFixture(t, func(c *Config, _ *timing) { c.Room = room.Load })
	f.deliver("INBOX", message("x"))
	s := f.open("INBOX")
	refused := func(level int64, command string) {
		t.Helper()
		room.Store(level)
		s.send("%s\r\n", command)
		s.expect(`^a NO \[UNAVAILABLE\] spazio esaurito`)
	}
	refused(0, "a APPEND Bozze {3}")
	refused(3, `a APPEND "Bozze" (\Seen) {3}`)
	refused(-5, "a APPEND Bozze {3+}\r\nabc")
	room.Store(4)
	s.send("a APPEND Bozze {3}\r\n")
	s.expect(`^\+`)
	s.send("abc\r\n")
	s.expect(`^a OK \[APPENDUID`)
	room.Store(0)
	// The name as a literal: the message can be refused once it is here.
	s.send("a APPEND {5}\r\n")
	s.expect(`^\+`)
	s.send("Bozze {3}\r\n")
	if l := s.line(); strings.HasPrefix(l, "+") {
		s.send("abc\r\n")
		s.expect(`^a NO \[UNAVAILABLE\]`)
	} else if !strings.HasPrefix(l, "a NO [UNAVAILABLE]") {
		t.Errorf("%q", l)
	}
	s.ok(`STORE 1 +FLAGS (\Seen)`)
	s.ok("COPY 1 Bozze")
	s.ok("MOVE 1 Cestino")
	room.Store(1 << 30)
	s.send("a APPEND Bozze {3}\r\n")
	s.expect(`^\+`)
	s.send("abc\r\n")
	s.expect(`^a OK \[APPENDUID`)
}
