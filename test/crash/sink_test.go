// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"crypto/sha256"
	"io"
	"log"
	"net"
	"net/mail"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// sink is the ordinary mail server of the outside world: it takes everything.
type sink struct {
	addr string
	mu   sync.Mutex
	got  map[string]map[string][][32]byte // Message-ID as referred to, recipient, sums of what came
}

func newSink(t testing.TB) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: l.Addr().String(), got: make(map[string]map[string][][32]byte)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	server.Domain, server.MaxLineLength, server.ErrorLog = outsideDomain, 1<<20, log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return s
}

// received returns the sums of what came for a recipient about a message.
func (s *sink) received(id, to string) [][32]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[id][to]
}

type sinkSession struct {
	sink *sink
	to   []string
}

func (s *sinkSession) Reset()        { s.to = nil }
func (s *sinkSession) Logout() error { return nil }

func (s *sinkSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		return err
	}
	// What a repetition may change is the trace on top.
	_, rest, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	id, sum := m.Header.Get("X-Riferimento-Message-ID"), sha256.Sum256(append([]byte(m.Header.Get("Message-ID")), rest...))
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.got[id] == nil {
		s.sink.got[id] = make(map[string][][32]byte)
	}
	for _, to := range s.to {
		s.sink.got[id][to] = append(s.sink.got[id][to], sum)
	}
	return nil
}
