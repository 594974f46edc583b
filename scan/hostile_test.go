// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/scan"
)

// TestAnswers: only the two verdicts of the protocol are verdicts.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := []struct {
		answer string
		name   string   // of the finding
		words  []string // of the error; nil: none
	}{
		{"stream: OK\x00", "", nil},
		{"stream: Win.Test.EICAR_HDB-1 FOUND\x00", "Win.Test.EICAR_HDB-1", nil},
		{"stream: OK FOUND\x00", "OK", nil},
		{"stream: a b FOUND FOUND\x00", "a b FOUND", nil},
		{"stream: x\r\nX-Header: y\x01\xff\u00e9 FOUND\x00", "x??X-Header: y????", nil},
		{"stream: <a>&\"' FOUND\x00", "<a>&\"'", nil},
		{"stream: " + long[:1000] + " FOUND\x00", long[:200], nil},
		{"stream:  FOUND\x00", "", []string{"not understood"}},
		{"stream:   \t  FOUND\x00", "", []string{"not understood"}},
		{"stream: ok\x00", "", []string{"not understood"}},
		{"stream: OK \x00", "", []string{"not understood"}},
		{"stream: OK\n\x00", "", []string{"not understood"}},
		{" stream: OK\x00", "", []string{"not understood"}},
		{"1: stream: OK\x00", "", []string{"not understood"}},
		{"OK\x00", "", []string{"not understood"}},
		{"FOUND\x00", "", []string{"not understood"}},
		{"x FOUND\x00", "", []string{"not understood"}},
		{"\x00", "", []string{"not understood"}},
		{"PONG\x00", "", []string{"not understood"}},
		{"HTTP/1.1 200 OK\r\n\r\n\x00", "", []string{"not understood", "HTTP/1.1 200 OK"}},
		{"stream: OK\x00stream: x FOUND\x00", "", []string{"not understood"}},
		{"stream: OK\x00\x00", "", []string{"not understood"}},
		{"stream: x FOUND\nstream: OK\x00", "", []string{"not understood"}},
		{"stream: Can't allocate memory ERROR\x00", "", []string{"could not scan", "allocate memory"}},
		{"Error writing to temporary file. ERROR\x00", "", []string{"could not scan", "temporary file"}},
		{"INSTREAM size limit exceeded. ERROR\x00", "", []string{"StreamMaxLength"}},
		{"stream: OK", "", []string{"cut short", "stream: OK"}},
		{"stream: Eicar FOU", "", []string{"cut short"}},
		{"stream: OK\n", "", []string{"cut short"}},
		{"COMMAND READ TIMED OUT\n", "", []string{"cut short", "TIMED OUT"}},
		{"", "", []string{"without an answer"}},
		{"stream: " + long + " FOUND\x00", "", []string{"too long"}},
		{long + long, "", []string{"too long"}},
	}
	for _, tt := range tests {
		f := newFake(t, answering(tt.answer))
		got, err := client(t, scan.ClamdConfig{}, f.addr).Scan(context.Background(), strings.NewReader("x"))
		switch {
		case tt.words == nil && (err != nil || got.Name != tt.name):
			t.Errorf("%.60q: %q, %v; want %q", tt.answer, got.Name, err, tt.name)
		case tt.words != nil && got.Name != "":
			t.Errorf("%.60q: a finding beside the error: %q", tt.answer, got.Name)
		case tt.words != nil:
			failed(t, err, append(tt.words, f.addr)...)
		}
	}
}

// TestChunks: the message arrives as it was, in chunks, whatever the sizes.
func TestChunks(t *testing.T) {
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300_000} {
		got := make(chan []byte, 1)
		f := newFake(t, func(c peerConn) {
			if cmd := c.command(); cmd != "INSTREAM" {
				t.Errorf("command %q", cmd)
			}
			all, err := c.message(0)
			if err != nil {
				t.Error(err)
			}
			c.say("stream: OK\x00")
			got <- all
		})
		want := bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
		// A reader that gives three octets at a time.
		if _, err := client(t, scan.ClamdConfig{}, f.addr).Scan(context.Background(), &slow{want}); err != nil || !bytes.Equal(<-got, want) {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

type slow struct{ left []byte }

func (s *slow) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.left[:min(3, len(s.left))])
	s.left = s.left[n:]
	return n, nil
}

// TestEarlyAnswers: a verdict before the end of the message is none, an error
// is told as such, and the rest of the message is not sent.
func TestEarlyAnswers(t *testing.T) {
	for answer, words := range map[string][]string{
		"stream: OK\x00":                          {"before the end"},
		"stream: x FOUND\x00":                     {"before the end"},
		"INSTREAM size limit exceeded. ERROR\x00": {"StreamMaxLength"},
		"stream: OK":                              {"cut short"},
		"":                                        {"without an answer"},
		"garbage\x00":                             {"not understood"},
	} {
		for _, keepsOpen := range []bool{false, true} {
			release := make(chan struct{})
			f := newFake(t, func(c peerConn) {
				c.command()
				if _, err := c.message(200_000); err != nil {
					t.Error(err)
				}
				c.say(answer)
				if keepsOpen && strings.HasSuffix(answer, "\x00") {
					<-release // without reading on
				}
			})
			src := &counted{r: bigMessage(50 << 20)}
			_, err := client(t, scan.ClamdConfig{}, f.addr).Scan(context.Background(), src)
			close(release)
			failed(t, err, words...)
			if src.n > 20<<20 {
				t.Errorf("%q: %d octets were read after the answer", answer, src.n)
			}
		}
	}
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestMessageReaderFails: a failure of the message is not clamd's: it keeps its
// kind, and what was sent is not judged.
func TestMessageReaderFails(t *testing.T) {
	verdicts := make(chan error, 10)
	f := newFake(t, func(c peerConn) {
		c.command()
		_, err := c.message(0)
		verdicts <- err
		c.say("stream: OK\x00")
	})
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, f.addr), Policy: scan.DefaultPolicy()})
	for _, cause := range []error{io.ErrUnexpectedEOF, fault.New("spool", fault.TooLarge, io.ErrShortBuffer)} {
		for _, before := range []int64{0, 10, 64 << 10, 1 << 20} {
			_, err := s.Scan(context.Background(), io.MultiReader(bigMessage(before), failingReader{cause}))
			if !errors.Is(err, cause) || fault.KindOf(err) != fault.KindOf(cause) {
				t.Errorf("after %d octets: %v", before, err)
			}
			if err := <-verdicts; err == nil {
				t.Errorf("after %d octets: clamd was told that the message is whole", before)
			}
		}
	}
	if n := len(s.board.Raised()); n != 0 {
		t.Errorf("%d alarms", n)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestShortCommands: what PING and VERSION may be answered.
func TestShortCommands(t *testing.T) {
	f := newFake(t, func(c peerConn) {
		if c.command() == "PING" {
			c.say("PONG!\x00")
			return
		}
		c.say("Clam\r\nAV \x1b[2J " + strings.Repeat("9", 1000) + "\x00")
	})
	c := client(t, scan.ClamdConfig{}, f.addr)
	failed(t, c.Ping(context.Background()), "not understood")
	if v, err := c.Version(context.Background()); err != nil || !strings.HasPrefix(v, "Clam??AV ?[2J 99") || len(v) != 200 {
		t.Errorf("version %q, %v", v, err)
	}
	cut := newFake(t, func(c peerConn) { c.command(); c.say("PONG") })
	failed(t, client(t, scan.ClamdConfig{}, cut.addr).Ping(context.Background()), "cut short")
}
