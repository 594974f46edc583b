// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"time"

	"pecd/clock"
	"pecd/conduct"
	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/signer"
	"pecd/storage"
)

// EnvelopeSigner signs what this provider issues. The digest covers the exact
// bytes of the signed entity.
type EnvelopeSigner interface {
	Sign(ctx context.Context, sha256 [32]byte, at time.Time) (der []byte, err error)
	MicAlg() string
}

// SignatureVerifier judges the signature of an arriving message. It reads
// content, the exact signed bytes, once.
type SignatureVerifier interface {
	Verify(p7s []byte, content io.Reader, at time.Time, from string) signer.Verdict
}

// Mailboxes tells which mailboxes, users and domains are ours.
type Mailboxes interface {
	Mailbox(ctx context.Context, address string) (storage.Mailbox, error)
	Tier(ctx context.Context, code string) (storage.Tier, error)
	// Figures are what the mailbox may hold and send.
	Figures(ctx context.Context, box storage.Mailbox) (storage.Figures, error)
	IsLocalDomain(ctx context.Context, domain string) (bool, error)
	// MaySend reports whether login may send as the mailbox with this address.
	MaySend(ctx context.Context, login, address string) (bool, error)
}

// Providers tells which domains are certified (RFC 6109 §2.2.1).
type Providers interface {
	Certified(domain string) bool
}

// Core is what all points of one provider share.
type Core struct {
	Store     storage.Store
	Mailboxes Mailboxes
	Providers Providers
	Signer    EnvelopeSigner
	Verifier  SignatureVerifier
	Builder   pec.Builder
	Clock     clock.Clock
	Logger    *slog.Logger
	// Hostname names this server in trace lines.
	Hostname string
	// MailReceipt is our own service mailbox (RFC 6109 §2.2.5).
	MailReceipt string
	// MaxMessage bounds one message, MaxProduct size × recipients (0: no bound).
	MaxMessage, MaxProduct int64
	// StrictRecipients also refuses a To or Cc address without RCPT TO.
	StrictRecipients bool
	// RequireTLS forbids cleartext towards other PEC providers (RFC 6109 §5.3).
	RequireTLS bool
	// Conduct watches what mailboxes send; nil: nobody does.
	Conduct *conduct.Watcher
	// Scanner looks for viruses; nil: no antivirus is configured.
	Scanner Scanner
	// OrdinaryScanner looks at what anybody can send: ordinary mail, and mail of
	// PEC providers without due form. It goes with Scanner; nil: Scanner does.
	OrdinaryScanner Scanner
	// Vault encrypts infected messages. It goes with Scanner: without it an
	// infected message can be neither kept nor answered.
	Vault Vault
	// Protection looks for spam and dangerous contents; nil: nobody does.
	Protection *Protection
	// Intercepted counts what was intercepted, viruses too; nil: nobody counts.
	Intercepted func(threat, action string)
	// Notices say when contacts outside are told of what arrives together (S4-014,
	// S4-015, S4-021); nil: nobody is told.
	Notices *storage.NoticeRules
	// Scripts are the filters of holders; nil: there are none.
	Scripts Scripts
	// NoticesFrom is the address that informational messages to holders, and notices
	// to their contacts, come from.
	NoticesFrom string
	// Random is the source of identifiers; crypto/rand where nil.
	Random io.Reader
}

// newID returns a fresh PEC identifier (RFC 6109 §2.2.1).
func (c *Core) newID(t time.Time) (string, error) {
	src := c.Random
	if src == nil {
		src = rand.Reader
	}
	var r [16]byte
	if _, err := io.ReadFull(src, r[:]); err != nil {
		return "", fault.New("pipeline.newID", fault.Temporary, err)
	}
	return pec.NewID(t, r, c.Builder.Provider.Domain), nil
}

// now is the instant of a transaction, in legal time.
func (c *Core) now() time.Time {
	return instant(c.Clock.Now()).In(c.Builder.Location)
}

// record turns an event into the operation that writes it to the PEC log.
func (c *Core) record(e ledger.Event) *storage.AppendRecord {
	return &storage.AppendRecord{Record: storage.Record{
		At: e.At, Event: string(e.Kind), ID: e.ID, Mailbox: e.Mailbox, Data: e.Encode(),
	}}
}

// serviceAddress is the From of everything this provider issues.
func (c *Core) serviceAddress() string { return c.Builder.Provider.ServiceAddress }

func (c *Core) isLocal(ctx context.Context, address string) (bool, error) {
	return c.Mailboxes.IsLocalDomain(ctx, domainOf(address))
}

// domainOf returns the lower-cased domain of an address.
func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// unique drops repeated recipients (without case), keeping the first spelling.
func unique(addresses []string) []string {
	seen := make(map[string]bool, len(addresses))
	out := addresses[:0:0]
	for _, a := range addresses {
		if k := strings.ToLower(a); !seen[k] {
			seen[k] = true
			out = append(out, a)
		}
	}
	return out
}
