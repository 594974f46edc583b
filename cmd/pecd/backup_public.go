// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"regexp"
	"slices"
	"strings"

	"pecd/backup"
)

// credentials are what a configuration may hold of secrets: user and password
// in an address, and the value of a key whose name says what it is. Keys and
// passphrases are in files of their own, which are not copied.
var (
	credentials = regexp.MustCompile(`(://)[^/@\s"']+@`)
	secretKeys  = regexp.MustCompile(`(?im)^(\s*[\w.-]*(?:password|secret|token)[\w.-]*\s*=).*$`)
)

// publicFiles are what a copy takes along beside the store: the configuration
// without its secrets, certificates, authorities and the index in use. closing
// closes them.
func (n *node) publicFiles() (extras []backup.Extra, closing func() error, err error) {
	c := n.cfg
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, nil, err
	}
	text = secretKeys.ReplaceAll(credentials.ReplaceAll(text, []byte("$1")), []byte(`$1 "" # not in the copy`))
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
