// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"pecd/directory"
	"pecd/protection"
	"pecd/scan/rspamd"
	"pecd/signer/keysource"
)

// defaultConfig holds every default; the reference prints them.
func defaultConfig() Config {
	return Config{
		Zone:       "Europe/Rome",
		Store:      StoreConfig{Dir: "/var/lib/pecd"},
		Signing:    SigningConfig{Engine: string(keysource.EngineAuto), TokenTimeout: 5 * time.Second},
		Trust:      TrustConfig{Revocation: "grace", CRLFetch: true, CRLRefresh: time.Hour, CRLGrace: 24 * time.Hour},
		Index:      IndexConfig{Refresh: 24 * time.Hour, StaleAfter: 48 * time.Hour, MaxSignedAge: directory.DefaultMaxSignedAge},
		Scan:       ScanConfig{Parallel: 8, Timeout: 5 * time.Minute, OrdinaryTimeout: time.Minute, Bombs: "refuse", Encrypted: "report"},
		Protection: defaultProtection(),
		Quarantine: QuarantineConfig{Months: 30},
		Ledger:     LedgerConfig{Months: 30},
		Time:       TimeConfig{Tolerance: time.Second, Every: 5 * time.Minute},
		Listen:     ListenConfig{Submission: ":587", SMTPS: ":465", MX: ":25", IMAP: ":143", IMAPS: ":993", POP3: ":110", POP3S: ":995"},
		Limits: LimitsConfig{
			MessageBytes: 104857600, Recipients: 1000, Connections: 2000, ConnectionsPerIP: 200,
			RelayWorkers: 128, RelayPerDomain: 16, MessagesAtOnce: 256, Backlog: 5000, FreeBytes: 1 << 30,
		},
		Conduct:   defaultConduct(),
		RateLimit: RateLimitConfig{Nodes: 1},
		Redis:     RedisConfig{Prefix: "pecd", Timeout: 250 * time.Millisecond, Connections: 32},
		Relay:     RelayConfig{RequireTLS: true},
		Notices: NoticesConfig{OneByOne: 5, Together: 5 * time.Minute, PerDay: 200, SMS: SMSConfig{
			Method: "POST", ContentType: "application/json", Body: `{"to":"{to}","text":"{text}","id":"{id}"}`,
			Timeout: 10 * time.Second, Parallel: 4, Prefixes: []string{"+39"},
		}},
		Log: LogConfig{Level: "info", Format: "text"},
	}
}

func defaultProtection() ProtectionConfig {
	p := protection.Default()
	return ProtectionConfig{
		Contents: true, Timeout: rspamd.DefaultTimeout, Parallel: rspamd.DefaultPlaces, MaxBytes: rspamd.DefaultMaxBytes,
		Spam: p.Spam, Macro: p.Macro, Link: p.Link, Opaque: p.Opaque,
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
	c.dir, c.file = filepath.Dir(abs), abs
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return &c, nil
}

func (c *Config) check() error {
	for _, need := range []struct{ key, value string }{
		{"hostname", c.Hostname}, {"provider.name", c.Provider.Name}, {"provider.domain", c.Provider.Domain},
		{"provider.mail_receipt", c.Provider.MailReceipt}, {"store.dir", c.Store.Dir},
		{"signing.certificate", c.Signing.Certificate},
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
	if err := c.Signing.check(); err != nil {
		return err
	}
	if err := c.checkServices(); err != nil {
		return err
	}
	if err := errors.Join(c.Protection.check(), c.Notices.check(), c.Conduct.check(), c.Redis.check()); err != nil {
		return err
	}
	if c.RateLimit.Nodes < 1 || c.RateLimit.Nodes > 100 || c.RateLimit.Nodes > 1 && len(c.Redis.Addresses) == 0 {
		return fmt.Errorf("ratelimit.nodes: 1 to 100, and several share their limits through redis.addresses")
	}
	if _, err := c.site(); err != nil {
		return err
	}
	if err := checkLoopback(c.Listen.Debug); err != nil {
		return fmt.Errorf("listen.debug: %w", err)
	}
	l := c.Limits
	if l.MessageBytes <= 0 || l.Recipients <= 0 || l.Connections <= 0 || l.ConnectionsPerIP <= 0 || l.RelayWorkers <= 0 || l.RelayPerDomain <= 0 {
		return fmt.Errorf("[limits]: every bound but product_bytes and delivery_workers must be positive")
	}
	if l.MessagesAtOnce < 8 || l.Backlog <= 0 || l.FreeBytes < 0 {
		return fmt.Errorf("[limits]: messages_at_once must be at least 8, backlog positive, free_bytes not negative")
	}
	return nil
}

// checkServices checks the tables whose keys need each other.
func (c *Config) checkServices() error {
	switch {
	case !oneOf(c.Trust.Revocation, "strict", "grace", "off"):
		return fmt.Errorf("trust.revocation: %q is none of strict, grace, off", c.Trust.Revocation)
	case c.Trust.CRLRefresh <= 0 || c.Trust.CRLGrace <= 0 || c.Trust.CRLMaxAge < 0:
		return fmt.Errorf("[trust]: crl_refresh and crl_grace must be positive (without grace: revocation = \"strict\"), crl_max_age not negative")
	case c.Index.Authorities != "" && c.path(c.Index.Authorities) == c.path(c.Trust.Authorities) && !c.Demo:
		return fmt.Errorf("index.authorities: those of [trust] certify every provider, and each could sign the index")
	case !oneOf(c.Scan.Bombs, "refuse", "report", "pass") || !oneOf(c.Scan.Encrypted, "refuse", "report", "pass"):
		return fmt.Errorf("[scan]: bombs and encrypted are refuse, report or pass")
	case len(c.Scan.Clamd) > 0 && (c.Scan.Parallel < 2 || c.Scan.OrdinaryTimeout <= 0 || c.Scan.Timeout < c.Scan.OrdinaryTimeout):
		return fmt.Errorf("[scan]: parallel must be at least 2, ordinary_timeout positive, and timeout not shorter")
	case len(c.Scan.Clamd) == 0 && !c.Scan.None && !c.Demo:
		return fmt.Errorf("scan.clamd is missing: without an antivirus every message counts as clean. Name a clamd, or say scan.none = true, which raises an alarm for as long")
	case len(c.Scan.Clamd) > 0 && c.Scan.None:
		return fmt.Errorf("scan.none: there is an antivirus, scan.clamd")
	case len(c.Scan.Clamd) > 0 && len(c.Scan.Second) == 0 && c.Scan.Encrypted != "refuse":
		return fmt.Errorf("scan.second is missing: clamd names one finding, and behind something encrypted it can hide a virus (HeuristicScanPrecedence) or an archive that exceeds the limits, which encrypted = %q lets through. Name a second clamd with AlertEncrypted no, or say scan.encrypted = \"refuse\"", c.Scan.Encrypted)
	case len(c.Scan.Clamd) > 0 && c.Quarantine.Recipient == "":
		return fmt.Errorf("quarantine.recipient is missing: where [scan] finds a virus, the message is kept (pecd quarantine keygen)")
	case c.Quarantine.Months < 30 || c.Ledger.Months < 30:
		return fmt.Errorf("quarantine.months and ledger.months: the law asks for at least 30")
	case c.Ledger.TSA != "" && !isWebAddress(c.Ledger.TSA):
		return fmt.Errorf("ledger.tsa: not an http or https address") // it may hold a password: not told
	case c.Ledger.TSA != "" && c.Ledger.TSAAuthorities == "":
		return fmt.Errorf("ledger.tsa_authorities is missing: whose time stamps count?")
	case c.Index.URL != "" && !strings.HasPrefix(c.Index.URL, "https://"):
		return fmt.Errorf("index.url: %q is not https", c.Index.URL)
	case c.Index.URL != "" && !strings.HasSuffix(c.Index.File, ".p7m"):
		return fmt.Errorf("index.file: with index.url it is the signed index and its name ends in .p7m")
	case c.Index.Refresh <= 0 || c.Index.StaleAfter <= 0 || c.Index.MaxSignedAge < 0:
		return fmt.Errorf("[index]: refresh and stale_after must be positive, max_signed_age not negative")
	case (c.Index.ClientCertificate == "") != (c.Index.ClientKey == ""):
		return fmt.Errorf("index.client_certificate and index.client_key go together")
	case c.Publish.Path != "" && (c.Listen.HTTPS == "" || !strings.HasPrefix(c.Publish.Path, "/") || !strings.HasPrefix(c.Publish.URL, "https://")):
		return fmt.Errorf("publish.path: needs listen.https, a path that begins with /, and publish.url")
	case c.Publish.Path != "" && strings.Trim(c.Publish.Path, pathLetters) != "":
		return fmt.Errorf("publish.path: letters, digits and /._- only")
	case c.Time.Tolerance <= 0 || c.Time.Tolerance > time.Second || c.Time.Every <= 0:
		return fmt.Errorf("[time]: tolerance and every must be positive, and tolerance at most 1s, the law's")
	}
	return nil
}

// pathLetters are what a published path may consist of.
const pathLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"

func isWebAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func oneOf(s string, all ...string) bool { return slices.Contains(all, s) }

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
