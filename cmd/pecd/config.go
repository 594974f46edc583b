// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// Config is what a node must know before it can read its store. Domains,
// mailboxes, users and tiers live in the store. The doc tags make the printed
// reference; relative paths are relative to the file's folder.
type Config struct {
	Node     string         `toml:"node" doc:"Name of this node in logs."`
	Hostname string         `toml:"hostname" doc:"Public host name: SMTP greeting, trace lines, EHLO of the relay."`
	Zone     string         `toml:"zone" doc:"Legal time of receipts (RFC 6109 §4.2)."`
	Provider ProviderConfig `toml:"provider" doc:"The PEC provider (gestore) this node works for."`
	Store    StoreConfig    `toml:"store" doc:"Where mail, queue and log are kept."`
	Signing  SigningConfig  `toml:"signing" doc:"Key and certificate that sign envelopes and receipts (RFC 6109 §5.5)."`
	Trust    TrustConfig    `toml:"trust" doc:"Whose signatures are believed."`
	Index    IndexConfig    `toml:"index" doc:"The PEC providers directory (IGPEC, RFC 6109 §4.5)."`
	TLS      TLSConfig      `toml:"tls" doc:"Certificate of all listeners; re-read when the files change."`
	Listen   ListenConfig   `toml:"listen" doc:"Listeners, host:port; empty: not served."`
	Limits   LimitsConfig   `toml:"limits" doc:"Bounds of one message and of the listeners."`
	Relay    RelayConfig    `toml:"relay" doc:"Delivery to other servers."`
	Log      LogConfig      `toml:"log" doc:"Operating log on standard error; the PEC log is in the store."`
	Demo     bool           `toml:"demo" doc:"Marks a demonstration node: it says loudly that it is no accredited provider."`
	dir      string
}

// ProviderConfig names the provider.
type ProviderConfig struct {
	Name        string `toml:"name" doc:"Name as in the index and in the certificate's O or CN."`
	Domain      string `toml:"domain" doc:"Mail domain of the service address posta-certificata@domain."`
	MailReceipt string `toml:"mail_receipt" doc:"Service mailbox for take-charge receipts, published in the index (RFC 6109 §2.2.5)."`
}

// StoreConfig places the store.
type StoreConfig struct {
	Dir string `toml:"dir" doc:"Folder of the embedded store. One process at a time."`
}

// SigningConfig places the signing key.
type SigningConfig struct {
	Certificate    string `toml:"certificate" doc:"PEM: signing certificate, then its CA certificates."`
	Key            string `toml:"key" doc:"PEM: PKCS#8 private key, encrypted or not."`
	PassphraseFile string `toml:"passphrase_file" doc:"File with the key's passphrase; empty for a clear key."`
}

// TrustConfig places the trust anchors.
type TrustConfig struct {
	Authorities string   `toml:"authorities" doc:"PEM bundle of the authorities that certify PEC providers (AgID)."`
	CRLs        []string `toml:"crls" doc:"Revocation lists, PEM or DER files."`
	RequireCRL  bool     `toml:"require_crl" doc:"Refuse a signature whose revocation cannot be checked."`
}

// IndexConfig places the provider index.
type IndexConfig struct {
	File        string `toml:"file" doc:"LDIF, or signed .ldif.p7m; re-read when it changes."`
	Authorities string `toml:"authorities" doc:"PEM bundle of the authorities of the signature on a .p7m index; not those of [trust], who certify every provider's mail."`
}

// TLSConfig places the listeners' certificate.
type TLSConfig struct {
	Certificate string `toml:"certificate" doc:"PEM chain."`
	Key         string `toml:"key" doc:"PEM private key."`
}

// ListenConfig is the addresses served.
type ListenConfig struct {
	Submission string `toml:"submission" doc:"SMTP submission with STARTTLS (587)."`
	SMTPS      string `toml:"smtps" doc:"SMTP submission with implicit TLS (465)."`
	MX         string `toml:"mx" doc:"Incoming point (25)."`
	IMAP       string `toml:"imap" doc:"IMAP with STARTTLS (143)."`
	IMAPS      string `toml:"imaps" doc:"IMAP with implicit TLS (993)."`
	HTTP       string `toml:"http" doc:"Health check and, in the demo, the authority's certificate and revocation list."`
	Metrics    string `toml:"metrics" doc:"Prometheus metrics; keep it on a private address."`
}

// LimitsConfig bounds messages and connections.
type LimitsConfig struct {
	MessageBytes     int64 `toml:"message_bytes" doc:"One message, octets as submitted (S4-038)."`
	ProductBytes     int64 `toml:"product_bytes" doc:"Size × recipients of one submission; 0: no bound. The law asks for at least 30 MB."`
	Recipients       int   `toml:"recipients" doc:"Recipients of one message (S4-035)."`
	StrictRecipients bool  `toml:"strict_recipients" doc:"Also refuse a To or Cc address that is no SMTP recipient."`
	Connections      int   `toml:"connections" doc:"Connections of one listener."`
	ConnectionsPerIP int   `toml:"connections_per_ip" doc:"Connections of one address to one listener."`
	DeliveryWorkers  int   `toml:"delivery_workers" doc:"Deliveries at once; 0: by the number of cores."`
	RelayWorkers     int   `toml:"relay_workers" doc:"Relay attempts at once."`
	RelayPerDomain   int   `toml:"relay_per_domain" doc:"Of them, to one domain."`
}

// RelayConfig steers the relay.
type RelayConfig struct {
	Routes      map[string]string `toml:"routes" doc:"Fixed next hops, domain = \"host:port\"; \"*\" for all others. Without one, MX records decide."`
	Authorities string            `toml:"authorities" doc:"PEM bundle against which PEC providers' TLS certificates are checked; empty: encrypted but unchecked, as providers do."`
	RequireTLS  bool              `toml:"require_tls" doc:"Deliver to PEC providers over TLS only (RFC 6109 §5.3)."`
}

// LogConfig steers the operating log.
type LogConfig struct {
	Level  string `toml:"level" doc:"debug, info, warn or error."`
	Format string `toml:"format" doc:"text or json."`
}

// defaultConfig holds every default; the reference prints them.
func defaultConfig() Config {
	return Config{
		Zone:   "Europe/Rome",
		Store:  StoreConfig{Dir: "/var/lib/pecd"},
		Listen: ListenConfig{Submission: ":587", SMTPS: ":465", MX: ":25", IMAP: ":143", IMAPS: ":993"},
		Limits: LimitsConfig{
			MessageBytes: 104857600, Recipients: 1000, Connections: 2000, ConnectionsPerIP: 200,
			RelayWorkers: 32, RelayPerDomain: 4,
		},
		Relay: RelayConfig{RequireTLS: true},
		Log:   LogConfig{Level: "info", Format: "text"},
	}
}

// readConfig reads and checks a configuration file. Unknown keys are errors.
func readConfig(path string) (*Config, error) {
	c := defaultConfig()
	meta, err := toml.DecodeFile(path, &c)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		names := make([]string, len(unknown))
		for i, k := range unknown {
			names[i] = k.String()
		}
		sort.Strings(names)
		return nil, fmt.Errorf("configuration %s: unknown keys: %s (see pecd config reference)", path, strings.Join(names, ", "))
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	c.dir = filepath.Dir(abs)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return &c, nil
}

func (c *Config) check() error {
	for _, need := range []struct{ key, value string }{
		{"hostname", c.Hostname}, {"provider.name", c.Provider.Name}, {"provider.domain", c.Provider.Domain},
		{"provider.mail_receipt", c.Provider.MailReceipt}, {"store.dir", c.Store.Dir},
		{"signing.certificate", c.Signing.Certificate}, {"signing.key", c.Signing.Key},
		{"trust.authorities", c.Trust.Authorities}, {"index.file", c.Index.File},
		{"tls.certificate", c.TLS.Certificate}, {"tls.key", c.TLS.Key},
	} {
		if need.value == "" {
			return fmt.Errorf("%s is missing (see pecd config reference)", need.key)
		}
	}
	if strings.HasSuffix(c.Index.File, ".p7m") && c.Index.Authorities == "" {
		// The authorities of [trust] certify every provider's mail; none of
		// them may sign an index.
		return fmt.Errorf("index.authorities is missing: whose signature on %s counts?", c.Index.File)
	}
	l := c.Limits
	if l.MessageBytes <= 0 || l.Recipients <= 0 || l.Connections <= 0 || l.ConnectionsPerIP <= 0 || l.RelayWorkers <= 0 || l.RelayPerDomain <= 0 {
		return fmt.Errorf("[limits]: every bound but product_bytes and delivery_workers must be positive")
	}
	return nil
}

// path resolves a path of the configuration against its folder.
func (c *Config) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

func (c *Config) paths(list []string) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = c.path(p)
	}
	return out
}

// passphrase reads the key's passphrase, nil for a clear key.
func (c *Config) passphrase() ([]byte, error) {
	if c.Signing.PassphraseFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.path(c.Signing.PassphraseFile))
	if err != nil {
		return nil, fmt.Errorf("signing.passphrase_file: %w", err)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
