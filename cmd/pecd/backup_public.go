// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"pecd/backup"
)

// publicFiles are what a copy takes along beside the store: the configuration
// without its secrets, certificates, authorities and the index in use. closing
// closes them.
func (n *node) publicFiles() (extras []backup.Extra, closing func() error, err error) {
	c := n.cfg
	text, err := publicConfig(c)
	if err != nil {
		return nil, nil, err
	}
	extras = append(extras, backup.Extra{Name: "pecd.toml", Content: bytes.NewReader(text)})
	for name, path := range map[string]string{
		"signing.certificate.pem": c.Signing.Certificate, "tls.certificate.pem": c.TLS.Certificate,
		"trust.authorities.pem": c.Trust.Authorities, "index.authorities.pem": c.Index.Authorities,
		"ledger.tsa_authorities.pem": c.Ledger.TSAAuthorities, "relay.authorities.pem": c.Relay.Authorities,
	} {
		if path == "" {
			continue
		}
		certificates, err := onlyCertificates(c.path(path))
		if err != nil {
			return nil, nil, err
		}
		extras = append(extras, backup.Extra{Name: name, Content: bytes.NewReader(certificates)})
	}
	index, err := os.Open(c.path(c.Index.File))
	if err != nil {
		return nil, nil, err
	}
	extras = append(extras, backup.Extra{Name: "index.file", Content: index})
	slices.SortFunc(extras, func(a, b backup.Extra) int { return strings.Compare(a.Name, b.Name) })
	return extras, index.Close, nil
}

// publicConfig writes a configuration, defaults and all, without the secrets it
// may hold: user and password in an address. Keys, PINs and passphrases are in
// files of their own, which are not copied.
func publicConfig(c *Config) ([]byte, error) {
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(c); err != nil {
		return nil, err
	}
	var keys map[string]any
	if _, err := toml.Decode(text.String(), &keys); err != nil {
		return nil, err
	}
	text.Reset()
	text.WriteString("# pecd backup: la configurazione in uso, senza credenziali / the configuration in use, without credentials\n")
	err := toml.NewEncoder(&text).Encode(withoutUsers(keys))
	return text.Bytes(), err
}

// withoutUsers takes user and password out of every address in a value of TOML.
func withoutUsers(value any) any {
	switch v := value.(type) {
	case string:
		scheme, rest, ok := strings.Cut(v, "://")
		// The last one: a password that was written as it is may have others, and /.
		if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
			return scheme + "://" + rest[at+1:]
		}
	case []any:
		for i := range v {
			v[i] = withoutUsers(v[i])
		}
	case []map[string]any:
		for _, table := range v {
			withoutUsers(table)
		}
	case map[string]any:
		for key := range v {
			v[key] = withoutUsers(v[key])
		}
	}
	return value
}

// onlyCertificates reads the certificates of a PEM file: a private key may be
// in it as well.
func onlyCertificates(path string) ([]byte, error) {
	rest, err := os.ReadFile(path)
	var out []byte
	for block := (*pem.Block)(nil); err == nil; {
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return out, err
}
