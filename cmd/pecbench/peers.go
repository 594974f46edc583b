// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peer is a server for plain mail that pecd is compared with. It takes part with
// its usual settings, TLS, and configuration and queue in a directory of the
// bench.
type peer struct {
	name, short string
	imap        string   // what its IMAP server is called where that is measured, too
	programs    []string // that must be found
	get         string   // how to get them
	start       func(ctx context.Context, b *bench, dir string) (*site, []*daemon, error)
}

func allPeers() []peer {
	return []peer{
		{"Postfix+Dovecot", "postfix", "Dovecot", []string{"postfix", "dovecot", "doveconf"}, "apt-get install postfix dovecot-imapd dovecot-lmtpd", startPostfixDovecot},
		{"maddy", "maddy", "", []string{"maddy"}, "a binary on PATH", startMaddy},
	}
}

// findPeers tells which peers are here, and names those that are not.
func (b *bench) findPeers(w io.Writer) ([]peer, error) {
	if !b.Peers {
		return nil, nil
	}
	if os.Getuid() != 0 {
		return nil, errors.New("--peers needs root: Postfix and Dovecot start as root")
	}
	// Their processes run as other users, which must be able to walk there.
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return nil, err
	}
	var found []peer
	for _, p := range allPeers() {
		missing := ""
		for _, program := range p.programs {
			if _, err := lookProgram(program); err != nil {
				missing = program
			}
		}
		if missing == "" {
			found = append(found, p)
		} else {
			fmt.Fprintf(w, "peer %s is missing: no %s (%s)\n", p.name, missing, p.get)
		}
	}
	return found, nil
}

// lookProgram finds a program also where only root looks.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// peerSite is how the load reaches a peer: the mailboxes, the password and the
// certificate are those of alfa.
func (b *bench) peerSite(dir string) (*site, error) {
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, password: b.plan.password, roots: b.plan.roots, plain: true,
		alfa: &provider{name: "alfa", domain: b.plan.alfa.domain, smtps: ports[0], imaps: ports[1]}}
	for _, f := range []string{"tls.pem", "tls.key"} {
		pem, err := os.ReadFile(filepath.Join(b.plan.dir, "alfa", f))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, f), pem, 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// users are the mailboxes that a load may use.
func (s *site) users() []string {
	var all []string
	for i := range standardBoxes {
		all = append(all, s.alfa.sender(i))
	}
	for i := range structuredBoxes {
		all = append(all, s.alfa.recipient(i))
	}
	return all
}

// greets tells whether a TLS server at addr says something.
func (s *site) greets(addr string) func(*daemon) bool {
	return func(*daemon) bool {
		nc, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", addr, s.tls())
		if err != nil {
			return false
		}
		defer nc.Close()
		_ = nc.SetReadDeadline(time.Now().Add(time.Second))
		n, err := nc.Read(make([]byte, 100))
		return err == nil && n > 0
	}
}

// writeFiles writes configuration files below the site's directory, with DIR
// standing for that directory.
func (s *site) writeFiles(files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
