// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"pecd/clock"
)

const certificatePoll = 30 * time.Second

// serverCertificate is the listeners' certificate, replaced without restart
// when its files change.
type serverCertificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	seen              time.Time // modification of the newer file when last read
}

func loadServerCertificate(certFile, keyFile string) (*serverCertificate, error) {
	s := &serverCertificate{certFile: certFile, keyFile: keyFile}
	if err := s.reload(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return s, nil
}

func (s *serverCertificate) reload() error {
	at, err := s.modified()
	if err != nil {
		return err
	}
	c, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return err
	}
	s.current.Store(&c)
	s.seen = at
	return nil
}

func (s *serverCertificate) modified() (time.Time, error) {
	var at time.Time
	for _, f := range []string{s.certFile, s.keyFile} {
		st, err := os.Stat(f)
		if err != nil {
			return at, err
		}
		if st.ModTime().After(at) {
			at = st.ModTime()
		}
	}
	return at, nil
}

// config returns the TLS configuration of a listener.
func (s *serverCertificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current.Load(), nil },
	}
}

// run looks for changed files until ctx ends. A pair that cannot be read keeps
// the old one in use.
func (s *serverCertificate) run(ctx context.Context, clk clock.Clock, log *slog.Logger) {
	for {
		timer, stop := clk.After(certificatePoll)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-timer:
		}
		if at, err := s.modified(); err == nil && at.Equal(s.seen) {
			continue
		}
		if err := s.reload(); err != nil {
			log.Error("TLS certificate not reloaded, the old one stays in use", "error", err)
			continue
		}
		log.Info("TLS certificate reloaded", "file", s.certFile)
	}
}
