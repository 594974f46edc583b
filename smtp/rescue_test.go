// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
)

// logbook is a log that tests read while it is written.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// trap is a listener whose connections panic when they read a certain word.
type trap struct{ net.Listener }

type trapped struct{ net.Conn }

func (t trap) Accept() (net.Conn, error) {
	nc, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return trapped{nc}, nil
}

func (t trapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if bytes.Contains(p[:n], []byte("SEGRETO")) {
		panic(string(p[:n]))
	}
	return n, err
}

func (t trapped) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("arrivederci")) {
		var none []int
		_ = none[len(p)]
	}
	return t.Conn.Write(p)
}

func TestRescue_PanicInTheFilter(t *testing.T) {
	log, p := &logbook{}, &fakePoint{}
	cfg := quiet(ServerConfig{MaxConnsPerIP: 2})
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	// The first handshake of a connection panics inside STARTTLS.
	cfg.TLS.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName == "localhost" {
			panic(h.ServerName)
		}
		return nil, nil
	}
	s := NewMX(cfg, p)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), trap{l}, false) }()
	addr := l.Addr().String()
	for name, provoke := range map[string]func(*client){
		"command":   func(c *client) { c.send("NOOP SEGRETO\r\n") },
		"handshake": func(c *client) { c.cmd("STARTTLS", "220 "); _ = tls.Client(c.Conn, clientTLS()).Handshake() },
		"message": func(c *client) {
			c.envelope("a@alfa.example", "b@beta.example")
			c.cmd("DATA", "354 ")
			c.send("first\r\n")
			waitFor(t, func() bool { return s.flight.octets.Load() > 0 })
			c.send("SEGRETO\r\n.\r\n")
		},
		"last reply": func(c *client) { c.send("QUIT\r\n") },
	} {
		c, other := exchange(t, addr), exchange(t, addr)
		provoke(c)
		c.closed()
		other.alive()
		other.Close()
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 0 })
		if n := s.flight.octets.Load(); n != 0 {
			t.Errorf("%s: %d octets in flight", name, n)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := log.String()
	if n := strings.Count(got, "smtp: panic"); n != 4 || !strings.Contains(got, "conn.go") || !strings.Contains(got, "index out of range") {
		t.Errorf("%d panics logged:\n%s", n, got)
	}
	if strings.Contains(got, "SEGRETO") {
		t.Error("contents in the log")
	}
	if len(p.messages()) != 0 {
		t.Error("half a message was kept")
	}
}

func TestLibraryLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(libraryLog)
		want string
	}{
		{"connection", func(l libraryLog) { l.Printf("error handling %v: %s", "192.0.2.1:25", io.ErrUnexpectedEOF) },
			`level=INFO msg="smtp: error handling 192.0.2.1:25: unexpected EOF"`},
		{"panic", func(l libraryLog) {
			l.Printf("panic serving %v: %v\n%s", "192.0.2.1:25", errors.New("contents"), []byte("the stack"))
		}, `level=ERROR msg="smtp: panic" remote=192.0.2.1:25 panic=*errors.errorString stack="the stack"`},
		{"other", func(l libraryLog) { l.Printf("accept error: %s; retrying in %s", io.EOF, "1s") },
			`level=ERROR msg="smtp: accept error: EOF; retrying in 1s"`},
		{"line", func(l libraryLog) { l.Println("a", 1) }, `level=ERROR msg="smtp: a 1"`},
	} {
		var log logbook
		tt.say(libraryLog{slog.New(slog.NewTextHandler(&log, nil))})
		if _, got, _ := strings.Cut(strings.TrimSpace(log.String()), " "); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
