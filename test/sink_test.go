// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// sink is an ordinary mail server that takes everything: the world outside PEC.
type sink struct {
	addr string
	mu   sync.Mutex
	got  []sunk
}

// sunk is one message that reached the sink.
type sunk struct {
	from    string
	to      []string
	message []byte
}

func newSink(t testing.TB) *sink { return newTLSSink(t, nil) }

// newTLSSink is newSink with STARTTLS, where cfg is not nil.
func newTLSSink(t testing.TB, cfg *tls.Config) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: l.Addr().String()}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	server.Domain = "mail.example"
	server.MaxLineLength = 1 << 20
	server.TLSConfig = cfg
	server.ErrorLog = log.New(io.Discard, "", 0)
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

// received returns what arrived for an address.
func (s *sink) received(address string) []sunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []sunk
	for _, m := range s.got {
		if slices.Contains(m.to, address) {
			out = append(out, m)
		}
	}
	return out
}

// everything returns all that arrived.
func (s *sink) everything() []sunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

type sinkSession struct {
	sink *sink
	from string
	to   []string
}

func (s *sinkSession) Reset()        { s.from, s.to = "", nil }
func (s *sinkSession) Logout() error { return nil }

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.got = append(s.sink.got, sunk{s.from, slices.Clone(s.to), b})
	return nil
}
