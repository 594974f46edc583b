// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Mailboxes of a site at each domain, beside one of each mass tier.
const (
	standardBoxes   = 1000
	structuredBoxes = 70 // as many as the demo makes
)

// site is a directory with the two providers of a demo, and how to reach them.
type site struct {
	dir      string
	binary   string
	password string
	plain    bool // no certified mail: one copy for each recipient, no receipts
	roots    *x509.CertPool
	alfa     *provider
	beta     *provider
}

// provider is one of the two.
type provider struct {
	name, domain string
	config       string // its configuration file
	store        string
	smtps, imaps string
	pop3s        string
	debug        string // listener for profiles
}

// prepareSite lets the real binary make a demo in dir, every mailbox of the
// largest tier, so that send limits do not bound what is measured.
func prepareSite(ctx context.Context, binary, dir string) (*site, error) {
	base, err := freeBase()
	if err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, exec.Command(binary, "demo", "--dir", dir, "--all-tier", "xl", "--quiet",
		"--standard", strconv.Itoa(standardBoxes), "--base-port", strconv.Itoa(base)), saysReady)
	if err != nil {
		return nil, err
	}
	if err := d.stop(); err != nil {
		return nil, err
	}
	return openSite(binary, dir)
}

// freeBase finds a base port for a demo with its ports free at this moment.
func freeBase() (int, error) {
	for base := 10007; base < 14000; base += 113 {
		free := true
		for _, side := range []int{0, 10000} {
			for _, port := range []int{587, 465, 25, 143, 993, 110, 995, 7080, 7443, 8180} {
				l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+side+port)))
				if err != nil {
					free = false
					continue
				}
				l.Close()
			}
		}
		if free {
			return base, nil
		}
	}
	return 0, errors.New("no free ports for a demo")
}

func openSite(binary, dir string) (*site, error) {
	s := &site{dir: dir, binary: binary, roots: x509.NewCertPool()}
	f, err := os.Open(filepath.Join(dir, "demo.env"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env := make(map[string]string)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		k, v, _ := strings.Cut(lines.Text(), "=")
		env[k] = v
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(s.authority())
	if err != nil || !s.roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authority of the demo: %w", err)
	}
	s.password = env["PASSWORD"]
	for _, name := range []string{"alfa", "beta"} {
		p := &provider{name: name, domain: env[strings.ToUpper(name)+"_DOMAIN"], config: filepath.Join(dir, name+".toml"), store: filepath.Join(dir, name, "store")}
		if name == "alfa" {
			s.alfa = p
		} else {
			s.beta = p
		}
	}
	return s, nil
}

func (s *site) authority() string { return filepath.Join(s.dir, "ca.pem") }

func (s *site) tls() *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// copyTo makes a site of its own of a prepared one, on ports that the kernel
// chooses. set changes keys of both configurations, table.key = value.
func (s *site) copyTo(dir string, set map[string]any) (*site, error) {
	if out, err := exec.Command("cp", "-a", s.dir, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copying the prepared stores: %w: %s", err, out)
	}
	c, err := openSite(s.binary, dir)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(18)
	if err != nil {
		return nil, err
	}
	mx := map[string]any{c.alfa.domain: ports[0], c.beta.domain: ports[1]}
	for i, p := range []*provider{c.alfa, c.beta} {
		of := ports[2+8*i:]
		p.smtps, p.imaps, p.debug, p.pop3s = of[0], of[1], of[2], of[5]
		keys := map[string]any{
			"listen.mx": ports[i], "listen.smtps": p.smtps, "listen.imaps": p.imaps, "listen.debug": p.debug,
			"listen.submission": of[3], "listen.imap": of[4], "listen.pop3s": p.pop3s, "listen.pop3": of[6], "listen.metrics": "", "listen.http": "", "relay.routes": mx,
		}
		maps.Copy(keys, set)
		if err := p.configure(keys); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// configure changes keys of the configuration.
func (p *provider) configure(keys map[string]any) error {
	conf := make(map[string]any)
	if _, err := toml.DecodeFile(p.config, &conf); err != nil {
		return err
	}
	for path, v := range keys {
		table, key, _ := strings.Cut(path, ".")
		t, ok := conf[table].(map[string]any)
		if !ok {
			t = make(map[string]any)
			conf[table] = t
		}
		t[key] = v
	}
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(conf); err != nil {
		return err
	}
	return os.WriteFile(p.config, []byte(b.String()), 0o600)
}

// freePorts asks the kernel for loopback ports that are free at this moment.
func freePorts(n int) ([]string, error) {
	all := make([]string, n)
	for i := range all {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		all[i] = l.Addr().String()
	}
	return all, nil
}

// sender is mailbox i ≥ 0 of those that write, recipient of those that are
// written to: nobody writes to himself.
func (p *provider) sender(i int) string {
	return fmt.Sprintf("standard%03d@%s", 1+i%standardBoxes, p.domain)
}

func (p *provider) recipient(i int) string {
	return fmt.Sprintf("strutturata%03d@%s", 1+i%structuredBoxes, p.domain)
}

// service is the mailbox for the receipts of providers.
func (p *provider) service() string { return "ricevute@" + p.domain }
