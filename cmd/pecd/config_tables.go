// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"time"

	"pecd/protection"
)

// Config is what a node must know before it can read its store. Domains,
// mailboxes, users and tiers live in the store. The doc tags make the printed
// reference; relative paths are relative to the file's folder.
type Config struct {
	Node       string           `toml:"node" doc:"Name of this node in logs."`
	Hostname   string           `toml:"hostname" doc:"Public host name: SMTP greeting, trace lines, EHLO of the relay."`
	Zone       string           `toml:"zone" doc:"Legal time of receipts (RFC 6109 §4.2)."`
	Provider   ProviderConfig   `toml:"provider" doc:"The PEC provider (gestore) this node works for."`
	Store      StoreConfig      `toml:"store" doc:"Where mail, queue and log are kept."`
	Signing    SigningConfig    `toml:"signing" doc:"Key and certificate that sign envelopes and receipts (RFC 6109 §5.5)."`
	Trust      TrustConfig      `toml:"trust" doc:"Whose signatures are believed."`
	Index      IndexConfig      `toml:"index" doc:"The PEC providers directory (IGPEC, RFC 6109 §4.5)."`
	Publish    PublishConfig    `toml:"publish" doc:"Our own record of the index, served over HTTPS for the central system (RFC 6109 §4.5)."`
	Scan       ScanConfig       `toml:"scan" doc:"Antivirus. Fails closed: without an answer of the engine nothing is accepted, and without an engine no node but a demonstration starts."`
	Protection ProtectionConfig `toml:"protection" doc:"Spam and dangerous contents. The rules are the provider's own: domains and mailboxes may be stricter (pecd protection), never milder."`
	Quarantine QuarantineConfig `toml:"quarantine" doc:"Where infected messages are kept for 30 months (RFC 6109 §2.2.4)."`
	Ledger     LedgerConfig     `toml:"ledger" doc:"The PEC log's daily sealing (RFC 6109 §2.3)."`
	Time       TimeConfig       `toml:"time" doc:"Watch over the clock. The node never sets it."`
	TLS        TLSConfig        `toml:"tls" doc:"Certificate of all listeners; re-read when the files change."`
	Listen     ListenConfig     `toml:"listen" doc:"Listeners, host:port; empty: not served."`
	Clients    ClientsConfig    `toml:"clients" doc:"What mail clients and the DNS are told of this node, where it is not hostname and the ports of [listen]: behind a balancer or an address translation. A service is \"host:port\", \"host\", \":port\", or \"none\": not offered; empty: host and the listener's port, where there is one."`
	Limits     LimitsConfig     `toml:"limits" doc:"Bounds of one message and of the listeners."`
	Conduct    ConductConfig    `toml:"conduct" doc:"Mailboxes that look stolen."`
	RateLimit  RateLimitConfig  `toml:"ratelimit" doc:"Send limits of mailboxes; their figures are those of tiers and mailboxes."`
	Redis      RedisConfig      `toml:"redis" doc:"What several nodes share."`
	Relay      RelayConfig      `toml:"relay" doc:"Delivery to other servers."`
	Notices    NoticesConfig    `toml:"notices" doc:"Notices to users' ordinary mail and mobile phones: that something arrived, that a mailbox fills up."`
	Log        LogConfig        `toml:"log" doc:"Operating log on standard error; the PEC log is in the store."`
	Demo       bool             `toml:"demo" doc:"Marks a demonstration node: it says loudly that it is no accredited provider."`
	dir, file  string
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
	Certificate    string        `toml:"certificate" doc:"PEM: signing certificate, then its CA certificates."`
	Key            string        `toml:"key" doc:"PEM: PKCS#8 private key, encrypted or not. Empty where it is on tokens."`
	PassphraseFile string        `toml:"passphrase_file" doc:"File with the key's passphrase; empty for a clear key."`
	Engine         string        `toml:"engine" doc:"What signs with key: auto takes the faster of OpenSSL's libcrypto.so.3, where it is installed, and Go's own; libcrypto or go: that one, or no start."`
	TokenTimeout   time.Duration `toml:"token_timeout" doc:"Longest signature on a token; then the next token signs."`
	Tokens         []TokenConfig `toml:"tokens" doc:"Hardware tokens (PKCS#11) that hold the key, instead of signing.key: one [[signing.tokens]] each with module, token, key_label or key_id, pin_file or pin_env; serial and sessions. The first one that works signs; each has the same key."`
}

// TokenConfig places the signing key on a token.
type TokenConfig struct {
	Module   string `toml:"module" doc:"PKCS#11 library, a path or soname."`
	Token    string `toml:"token" doc:"Label of the token."`
	Serial   string `toml:"serial" doc:"Its serial number, where several have the label."`
	KeyLabel string `toml:"key_label" doc:"Label of the private key (CKA_LABEL)."`
	KeyID    string `toml:"key_id" doc:"Its id in hexadecimal (CKA_ID)."`
	PINFile  string `toml:"pin_file" doc:"File with the user's PIN."`
	PINEnv   string `toml:"pin_env" doc:"Environment variable with it."`
	Sessions int    `toml:"sessions" doc:"Signatures at once; 0: 4."`
}

// TrustConfig places the trust anchors.
type TrustConfig struct {
	Authorities string        `toml:"authorities" doc:"PEM bundle of the authorities that certify PEC providers (AgID)."`
	Revocation  string        `toml:"revocation" doc:"strict: a revocation list counts until its nextUpdate; grace: crl_grace longer; off: the lack of one is no failure. Beyond that a message is answered 451 and comes again."`
	CRLs        []string      `toml:"crls" doc:"Revocation lists, PEM or DER files or folders; re-read every minute."`
	CRLURLs     []string      `toml:"crl_urls" doc:"Further addresses of revocation lists, beside those that the certificates name."`
	CRLFetch    bool          `toml:"crl_fetch" doc:"Fetch revocation lists over HTTP from the addresses in the certificates of the index and of the authorities."`
	CRLRefresh  time.Duration `toml:"crl_refresh" doc:"How often revocation lists are fetched."`
	CRLGrace    time.Duration `toml:"crl_grace" doc:"How long the last list counts beyond its nextUpdate, with revocation = \"grace\"."`
	CRLMaxAge   time.Duration `toml:"crl_max_age" doc:"Age at which a list is stale whatever its nextUpdate says; 0: no such age."`
}

// IndexConfig places the provider index.
type IndexConfig struct {
	File              string        `toml:"file" doc:"LDIF, or signed .ldif.p7m; re-read when it changes. With url, where the fetched index is kept."`
	Authorities       string        `toml:"authorities" doc:"PEM bundle of the authorities of the signature on a .p7m index; not those of [trust], who certify every provider's mail."`
	URL               string        `toml:"url" doc:"HTTPS address of the whole index; empty: the file is all there is."`
	ClientCertificate string        `toml:"client_certificate" doc:"PEM chain for the index server (RFC 6109 §5.6)."`
	ClientKey         string        `toml:"client_key" doc:"PEM private key of it."`
	TLSAuthorities    string        `toml:"tls_authorities" doc:"PEM bundle against which the index server's TLS certificate is checked; empty: the system's."`
	Unlisted          bool          `toml:"unlisted" doc:"The index does not hold our own record yet; otherwise one without it is refused."`
	Refresh           time.Duration `toml:"refresh" doc:"How often the index is fetched."`
	MaxSignedAge      time.Duration `toml:"max_signed_age" doc:"Age of the index's signature at which the alarm is raised, though fetching works: a frozen index; 0: no such age."`
	StaleAfter        time.Duration `toml:"stale_after" doc:"Age at which an alarm is raised."`
}

// PublishConfig is our own record of the index.
type PublishConfig struct {
	Path             string       `toml:"path" doc:"Path on listen.https, as in LDIFLocationURL; empty: not published."`
	URL              string       `toml:"url" doc:"Our LDIFLocationURL as published."`
	ClientAuthority  string       `toml:"client_authorities" doc:"PEM bundle of the authorities of client certificates that may fetch it; empty: anybody."`
	NextCertificates []string     `toml:"next_certificates" doc:"PEM files of signing certificates published ahead of their use: renewal with overlap."`
	Units            []UnitConfig `toml:"units" doc:"Secondary operating environments: one [[publish.units]] each with name, mail_receipt, certificates, domains."`
}

// UnitConfig is a secondary operating environment (RFC 6109 §4.5.7).
type UnitConfig struct {
	Name         string   `toml:"name" doc:"providerUnit."`
	MailReceipt  string   `toml:"mail_receipt" doc:"Its service mailbox."`
	Certificates []string `toml:"certificates" doc:"PEM files of its signing certificates."`
	Domains      []string `toml:"domains" doc:"Its managed domains."`
}

// ScanConfig steers the antivirus.
type ScanConfig struct {
	Clamd           []string      `toml:"clamd" doc:"Addresses of clamd, unix:/path or tcp:host:port, tried in turn. In clamd.conf: AlertEncrypted yes, AlertExceedsMax yes, StreamMaxLength at least limits.message_bytes + 8M, MaxFileSize not below MaxScanSize, HeuristicScanPrecedence no."`
	Second          []string      `toml:"second" doc:"Addresses of a second clamd with AlertEncrypted no, asked about what the first calls encrypted: what exceeds the limits, or a virus, can hide behind it. Needed unless encrypted = \"refuse\"."`
	None            bool          `toml:"none" doc:"No antivirus: every message counts as clean, and an alarm lasts. Without it and without clamd only a demonstration node starts."`
	Parallel        int           `toml:"parallel" doc:"Messages scanned at once, over all addresses. One in four may be ordinary or malformed mail. clamd's MaxThreads must be that much larger than its part of this: 10 for one clamd and 8."`
	Timeout         time.Duration `toml:"timeout" doc:"Longest scan of one message; longer than clamd's MaxScanTime."`
	OrdinaryTimeout time.Duration `toml:"ordinary_timeout" doc:"Longest scan of an ordinary or malformed message; then it is refused with 451, and its place stays taken for timeout, because clamd goes on."`
	Bombs           string        `toml:"bombs" doc:"Archives beyond the engine's limits: refuse, report or pass."`
	Encrypted       string        `toml:"encrypted" doc:"Archives and documents that cannot be looked into: refuse, report or pass."`
}

// ProtectionConfig steers the protection of mailboxes.
type ProtectionConfig struct {
	Contents     bool            `toml:"contents" doc:"Look for macros in documents, for dangerous links and for what cannot be looked into."`
	Domains      string          `toml:"domains" doc:"File of domains that no link may lead to, one a line; read again when it changes."`
	Rspamd       []string        `toml:"rspamd" doc:"Addresses of rspamd's normal worker or proxy, http://host:port, tried in turn; empty: nothing is looked at for spam."`
	SpamRequired bool            `toml:"spam_required" doc:"Ordinary mail waits (451) while rspamd does not answer, instead of passing with an alarm. Certified mail never waits for it."`
	Timeout      time.Duration   `toml:"timeout" doc:"Longest question to one rspamd."`
	Parallel     int             `toml:"parallel" doc:"Questions at once, over all addresses."`
	MaxBytes     int64           `toml:"max_bytes" doc:"Longer messages are not asked about."`
	Spam         protection.Rule `toml:"spam" doc:"Spam, by rspamd's verdict."`
	Macro        protection.Rule `toml:"macro" doc:"Documents with macros or embedded programs (S4-062)."`
	Link         protection.Rule `toml:"link" doc:"Dangerous or deceptive links (S4-063)."`
	Opaque       protection.Rule `toml:"opaque" doc:"Contents that cannot be looked into: encrypted, malformed, beyond the bounds, archives of other kinds than zip."`
}

// QuarantineConfig steers the quarantine.
type QuarantineConfig struct {
	Recipient string `toml:"recipient" doc:"age1… public key to which infected messages are encrypted; needed with [scan]. Made by: pecd quarantine keygen. The private key does not belong on the node."`
	Months    int    `toml:"months" doc:"How long they are kept."`
}

// LedgerConfig steers the sealing of the log.
type LedgerConfig struct {
	TSA            string `toml:"tsa" doc:"HTTP(S) address of the time-stamping authority (RFC 3161); empty: days are signed and never stamped, for tests only."`
	TSAAuthorities string `toml:"tsa_authorities" doc:"PEM bundle of the authorities of its certificate."`
	Months         int    `toml:"months" doc:"How long the log is kept; the law asks for 30."`
}

// TimeConfig steers the watch over the clock.
type TimeConfig struct {
	Servers   []string      `toml:"servers" doc:"NTP servers the clock is compared with; empty: an alarm says that nobody watches it."`
	Tolerance time.Duration `toml:"tolerance" doc:"Deviation at which an alarm is raised; the law tolerates 1s."`
	Every     time.Duration `toml:"every" doc:"How often it is measured."`
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
	POP3       string `toml:"pop3" doc:"POP3 with STLS (110)."`
	POP3S      string `toml:"pop3s" doc:"POP3 with implicit TLS (995)."`
	Sieve      string `toml:"managesieve" doc:"ManageSieve with STARTTLS, by which holders edit their filters from mail clients (4190)."`
	HTTP       string `toml:"http" doc:"Health check, redirection of mail clients to listen.https (80) and, in the demo, the authority's certificate and revocation list."`
	HTTPS      string `toml:"https" doc:"Configuration of mail clients (autoconfig, autodiscover, profiles; see [clients]), our own record of the index, and the HTTP interface for programs (443)."`
	Metrics    string `toml:"metrics" doc:"Prometheus metrics; keep it on a private address."`
	Debug      string `toml:"debug" doc:"Profiles of the process for diagnosis (Go's pprof); on the loopback only."`
}

// ClientsConfig is what mail clients are told.
type ClientsConfig struct {
	Host       string `toml:"host" doc:"Host name of all services that name none; empty: hostname."`
	Submission string `toml:"submission" doc:"SMTP submission with STARTTLS."`
	SMTPS      string `toml:"smtps" doc:"SMTP submission with implicit TLS."`
	IMAP       string `toml:"imap" doc:"IMAP with STARTTLS."`
	IMAPS      string `toml:"imaps" doc:"IMAP with implicit TLS."`
	POP3       string `toml:"pop3" doc:"POP3 with STLS."`
	POP3S      string `toml:"pop3s" doc:"POP3 with implicit TLS."`
	HTTPS      string `toml:"https" doc:"Where autoconfig, autodiscover and configuration profiles are asked for."`
	MX         string `toml:"mx" doc:"Host name of the MX records; empty: hostname."`
}

// LimitsConfig bounds messages and connections.
type LimitsConfig struct {
	MessageBytes     int64 `toml:"message_bytes" doc:"One message, octets as submitted (S4-038)."`
	ProductBytes     int64 `toml:"product_bytes" doc:"Size × recipients of one submission; 0: no bound. The law asks for at least 30 MB."`
	Recipients       int   `toml:"recipients" doc:"Recipients of one message (S4-035)."`
	StrictRecipients bool  `toml:"strict_recipients" doc:"Also refuse a To or Cc address that is no SMTP recipient."`
	Connections      int   `toml:"connections" doc:"Connections of one listener."`
	ConnectionsPerIP int   `toml:"connections_per_ip" doc:"Connections of one address to one listener."`
	MessagesAtOnce   int   `toml:"messages_at_once" doc:"Messages that are being taken in at once by submission, and half as many by MX; a quarter of them of one user or sending address. Beyond it clients wait for 5s and then get 451."`
	Backlog          int   `toml:"backlog" doc:"Deliveries into own mailboxes that may wait before submission makes clients wait and then answers 451; MX does at twice as many. What waits at the start does not count."`
	FreeBytes        int64 `toml:"free_bytes" doc:"Room on the store's file system below which no message is taken in (452; IMAP APPEND: NO)."`
	DeliveryWorkers  int   `toml:"delivery_workers" doc:"Deliveries at once; 0: by the number of cores."`
	RelayWorkers     int   `toml:"relay_workers" doc:"Relay attempts at once; one that lasts longer than 5s gives its place up, so that as many again may be waiting."`
	RelayPerDomain   int   `toml:"relay_per_domain" doc:"Of them, to one domain."`
}

// RateLimitConfig steers the send limits.
type RateLimitConfig struct {
	Nodes int `toml:"nodes" doc:"How many nodes, each with a store of its own, let the same mailboxes send and share their limits through [redis]. The same at all of them."`
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

// NoticesConfig steers notices to contacts outside certified mail (S4-014, S4-015, S4-021).
type NoticesConfig struct {
	From     string        `toml:"from" doc:"Address that notices come from; empty: avvisi@ and provider.domain."`
	OneByOne int           `toml:"one_by_one" doc:"How many arrivals in a mailbox a contact is told of one by one within a minute; what comes beyond is told together."`
	Together time.Duration `toml:"together" doc:"After how long it is told."`
	PerDay   int           `toml:"per_day" doc:"Notices to one contact in a day; what comes beyond is told together when the day is over."`
	SMS      SMSConfig     `toml:"sms" doc:"The gateway that sends text messages, asked by HTTP."`
}

// SMSConfig describes the gateway for text messages.
type SMSConfig struct {
	URL         string            `toml:"url" doc:"Its address, https; empty: no text messages."`
	Method      string            `toml:"method" doc:"HTTP method."`
	ContentType string            `toml:"content_type" doc:"application/json or application/x-www-form-urlencoded."`
	Body        string            `toml:"body" doc:"What is sent, with {to} (E.164, as +39…), {text} and {id}, each escaped for its place; in a form after their names, in JSON within quotes."`
	SecretFile  string            `toml:"secret_file" doc:"File with the value of the header field Authorization; empty: none."`
	Timeout     time.Duration     `toml:"timeout" doc:"Longest answer."`
	Accept      string            `toml:"accept" doc:"Regular expression that the answer must match, beside its status 2xx; empty: none."`
	Parallel    int               `toml:"parallel" doc:"Messages handed over at once."`
	Prefixes    []string          `toml:"prefixes" doc:"Beginnings of the numbers that messages are sent to."`
	Authorities string            `toml:"authorities" doc:"PEM bundle of the authorities of its certificate; empty: the system's."`
	Headers     map[string]string `toml:"headers" doc:"Further header fields."`
}
