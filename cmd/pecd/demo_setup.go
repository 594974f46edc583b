// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"pecd/directory"
	"pecd/signer/pki"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// prepare creates what is missing under the demo's folder. It reports whether
// this is the first start. The env file is written last: a folder without
// it is unfinished, or no demo, and is left alone.
func (d *demo) prepare() (first bool, err error) {
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return false, err
	}
	envFile := filepath.Join(d.dir, "demo.env")
	if exists(envFile) {
		if d.vars, err = readEnv(envFile); err != nil {
			return false, err
		}
		return false, d.movePorts()
	}
	for _, s := range d.sides {
		if exists(filepath.Join(d.dir, s.name)) {
			return false, fmt.Errorf("%s is unfinished or not a demo: remove it, or choose another --dir", d.dir)
		}
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return false, err
	}
	if err := d.create(); err != nil {
		return false, err
	}
	return true, nil
}

// create makes authority, keys, index, configurations and accounts.
func (d *demo) create() error {
	now := d.env.clock.Now()
	var secret [9]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	password := hex.EncodeToString(secret[:])
	hash, err := directory.HashPassword(password)
	if err != nil {
		return err
	}
	ca, err := pki.NewCA("pecd demo CA (non accreditata)", now)
	if err != nil {
		return err
	}
	if err := d.write("ca.pem", pki.EncodeCertificates(ca.Certificate()), 0o644); err != nil {
		return err
	}
	var entries []directory.Provider
	for _, s := range d.sides {
		p, err := d.createKeys(s, ca)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		entries = append(entries, p)
	}
	crl, err := ca.CRL()
	if err != nil {
		return err
	}
	var ldif bytes.Buffer
	if err := directory.WriteLDIF(&ldif, directory.RootEntry{LDIFLocationURL: "https://igpec.example/igpec.ldif.p7m", Description: "pecd demo"}, entries); err != nil {
		return err
	}
	d.vars = d.describe(password)
	for _, s := range d.sides {
		if err := errors.Join(
			d.write(s.name+"/ca.crl", pki.EncodeCRL(crl), 0o644),
			d.write(s.name+"/index.ldif", ldif.Bytes(), 0o644),
			d.writeConfig(s),
		); err != nil {
			return err
		}
		if err := d.createAccounts(s, hash); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return d.writeEnv()
}

func (d *demo) createKeys(s *demoSide, ca *pki.CA) (directory.Provider, error) {
	id, err := ca.IssueSigner(s.title, "posta-certificata@"+s.domain)
	if err != nil {
		return directory.Provider{}, err
	}
	host, err := ca.IssueTLS([]string{"localhost", "127.0.0.1", "::1", "mail." + s.domain, "autoconfig." + s.domain, "autodiscover." + s.domain})
	if err != nil {
		return directory.Provider{}, err
	}
	signKey, err := pki.EncodeKey(id.Key, nil)
	if err != nil {
		return directory.Provider{}, err
	}
	tlsKey, err := pki.EncodeKey(host.PrivateKey, nil)
	if err != nil {
		return directory.Provider{}, err
	}
	hostCert, err := x509.ParseCertificate(host.Certificate[0])
	if err != nil {
		return directory.Provider{}, err
	}
	err = errors.Join(
		d.write(s.name+"/sign.pem", pki.EncodeCertificates(id.Certificate, ca.Certificate()), 0o644),
		d.write(s.name+"/sign.key", signKey, 0o600),
		d.write(s.name+"/tls.pem", pki.EncodeCertificates(hostCert, ca.Certificate()), 0o644),
		d.write(s.name+"/tls.key", tlsKey, 0o600),
	)
	return directory.Provider{
		Name: s.title, MailReceipt: "ricevute@" + s.domain, LDIFLocationURL: "https://" + s.domain + "/index.ldif.p7m",
		Certificates: [][]byte{id.Certificate.Raw}, Domains: []string{s.domain},
	}, err
}

// demoMailboxes are the customer's mailboxes: 40 Standard, 70 Strutturata, and one
// of each mass tier (requirements S4-082).
func (d *demo) demoMailboxes(s *demoSide, hash string) []directory.NewMailbox {
	var all []directory.NewMailbox
	add := func(local, tier, holder string) {
		if d.cmd.AllTier != "" {
			tier = d.cmd.AllTier
		}
		all = append(all, directory.NewMailbox{
			Address: local + "@" + s.domain, Tier: tier, Holder: holder, Ordinary: true, User: &directory.NewUser{Hash: hash},
		})
	}
	for i := range d.cmd.Standard {
		add(fmt.Sprintf("standard%03d", i+1), "standard", fmt.Sprintf("Ufficio %03d", i+1))
	}
	for i := range 70 {
		add(fmt.Sprintf("strutturata%03d", i+1), "strutturata", fmt.Sprintf("Direzione %03d", i+1))
	}
	for _, tier := range []string{"small", "medium", "large", "xl"} {
		add(tier+"001", tier, "Applicazione "+tier)
	}
	for _, local := range []string{"ricevute", "posta-certificata"} {
		all = append(all, directory.NewMailbox{
			Address: local + "@" + s.domain, Tier: "strutturata", Holder: s.title, Ordinary: local != "ricevute", Service: true,
			User: &directory.NewUser{Hash: hash},
		})
	}
	return all
}

func (d *demo) createAccounts(s *demoSide, hash string) (err error) {
	ctx := context.WithoutCancel(d.env.ctx)
	st, err := sqlite.Open(ctx, filepath.Join(d.dir, s.name, "store"), sqlite.Options{Clock: d.env.clock})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	dir := directory.New(st, d.env.clock)
	if err := dir.Seed(ctx); err != nil {
		return err
	}
	if err := dir.CreateDomain(ctx, s.domain, storage.DomainCertified); err != nil {
		return err
	}
	return dir.CreateMailboxes(ctx, d.demoMailboxes(s, hash))
}

func (d *demo) write(name string, content []byte, mode os.FileMode) error {
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, mode)
}

var demoConfig = template.Must(template.New("config").Parse(`# {{.Title}}: gestore dimostrativo, NON accreditato.
# Tutte le chiavi: pecd config reference
node = "{{.Name}}"
hostname = "mail.{{.Domain}}"
demo = true

[provider]
name = "{{.Title}}"
domain = "{{.Domain}}"
mail_receipt = "ricevute@{{.Domain}}"

[store]
dir = "{{.Name}}/store"

[signing]
certificate = "{{.Name}}/sign.pem"
key = "{{.Name}}/sign.key"

[trust]
authorities = "ca.pem"
crls = ["{{.Name}}/ca.crl"]
revocation = "off" # the demo's authority issues its list once

[index]
file = "{{.Name}}/index.ldif"

[tls]
certificate = "{{.Name}}/tls.pem"
key = "{{.Name}}/tls.key"

[listen]
submission = "{{.Vars._SUBMISSION}}"
smtps = "{{.Vars._SMTPS}}"
mx = "{{.Vars._MX}}"
imap = "{{.Vars._IMAP}}"
imaps = "{{.Vars._IMAPS}}"
pop3 = "{{.Vars._POP3}}"
pop3s = "{{.Vars._POP3S}}"
http = "{{.Vars._HTTP}}"
https = "{{.Vars._HTTPS}}"
metrics = "{{.Vars._METRICS}}"

[clients]
host = "localhost" # mail clients on this machine

[relay]
authorities = "ca.pem"

[relay.routes]
{{range .Routes}}"{{.Domain}}" = "{{.MX}}"
{{end}}
[log]
level = "warn"
`))

func (d *demo) writeConfig(s *demoSide) error {
	type route struct{ Domain, MX string }
	data := struct {
		Name, Title, Domain string
		Vars                map[string]string
		Routes              []route
	}{s.name, s.title, s.domain, make(map[string]string), nil}
	for k, v := range d.vars {
		if suffix, ok := strings.CutPrefix(k, strings.ToUpper(s.name)); ok {
			data.Vars[suffix] = v
		}
	}
	for _, o := range d.sides {
		data.Routes = append(data.Routes, route{o.domain, d.vars[strings.ToUpper(o.name)+"_MX"]})
	}
	var b bytes.Buffer
	if err := demoConfig.Execute(&b, data); err != nil {
		return err
	}
	return d.write(s.name+".toml", b.Bytes(), 0o600)
}
