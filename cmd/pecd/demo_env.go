// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// demoServices are the ports of a side relative to its base.
func demoServices() []struct {
	key    string
	offset int
} {
	return []struct {
		key    string
		offset int
	}{
		{"SUBMISSION", 587}, {"SMTPS", 465}, {"MX", 25}, {"IMAP", 143}, {"IMAPS", 993}, {"POP3", 110}, {"POP3S", 995},
		{"HTTP", 7080}, {"HTTPS", 7443}, {"METRICS", 8180},
	}
}

// demoUsers are the users named in demo.env.
func demoUsers() []struct{ key, local string } {
	return []struct{ key, local string }{
		{"STANDARD", "standard001"}, {"STRUTTURATA", "strutturata001"}, {"SMALL", "small001"}, {"MEDIUM", "medium001"},
		{"LARGE", "large001"}, {"XL", "xl001"}, {"SERVICE", "ricevute"},
	}
}

// describe returns the contents of demo.env.
func (d *demo) describe(password string) map[string]string {
	v := map[string]string{"CA_FILE": filepath.Join(d.dir, "ca.pem"), "PASSWORD": password}
	for _, s := range d.sides {
		p := strings.ToUpper(s.name) + "_"
		v[p+"DOMAIN"] = s.domain
		for _, svc := range demoServices() {
			v[p+svc.key] = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port+svc.offset))
		}
		v[p+"CERT"] = filepath.Join(d.dir, s.name, "sign.pem")
		v[p+"INDEX"] = filepath.Join(d.dir, s.name, "index.ldif")
		for _, u := range demoUsers() {
			v[p+u.key] = u.local + "@" + s.domain
		}
	}
	return v
}

// order lists the keys of demo.env as a reader wants them.
func (d *demo) order() []string {
	keys := []string{"CA_FILE", "PASSWORD"}
	for _, s := range d.sides {
		p := strings.ToUpper(s.name) + "_"
		keys = append(keys, p+"DOMAIN")
		for _, svc := range demoServices() {
			keys = append(keys, p+svc.key)
		}
		keys = append(keys, p+"CERT", p+"INDEX")
		for _, u := range demoUsers() {
			keys = append(keys, p+u.key)
		}
	}
	return keys
}

func (d *demo) writeEnv() error {
	var b strings.Builder
	for _, k := range d.order() {
		fmt.Fprintf(&b, "%s=%s\n", k, d.vars[k])
	}
	tmp := filepath.Join(d.dir, "demo.env.new")
	if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(d.dir, "demo.env"))
}

func readEnv(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v := make(map[string]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, val, ok := strings.Cut(s.Text(), "="); ok {
			v[k] = val
		}
	}
	return v, nil
}

// movePorts rewrites the configurations where the ports, or the place of the
// folder, are no longer those of the last start.
func (d *demo) movePorts() error {
	now := d.describe(d.vars["PASSWORD"])
	same := true
	for k, v := range now {
		same = same && d.vars[k] == v
	}
	if same {
		return nil
	}
	d.vars = now
	for _, s := range d.sides {
		if err := d.writeConfig(s); err != nil {
			return err
		}
	}
	return d.writeEnv()
}
