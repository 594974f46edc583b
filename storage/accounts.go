// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// Figures bound what a mailbox holds and sends (S4-010 … S4-038).
type Figures struct {
	QuotaBytes    int64
	MaxPerDay     int   // messages accepted in a civil day of legal time (D4, D5)
	MaxPerMinute  int   // … in any 60 seconds
	MaxRecipients int   // of one message (S4-035)
	MaxMessage    int64 // octets of RFC 5322
	// The recipients of what is sent, all messages together: they protect the
	// engine (D4), and are no part of what is sold.
	RecipientsPerMinute int
	RecipientsPerDay    int
}

// Raised returns f with what is higher in up.
func (f Figures) Raised(up Figures) Figures {
	return Figures{
		QuotaBytes: max(f.QuotaBytes, up.QuotaBytes), MaxPerDay: max(f.MaxPerDay, up.MaxPerDay),
		MaxPerMinute: max(f.MaxPerMinute, up.MaxPerMinute), MaxRecipients: max(f.MaxRecipients, up.MaxRecipients),
		MaxMessage:          max(f.MaxMessage, up.MaxMessage),
		RecipientsPerMinute: max(f.RecipientsPerMinute, up.RecipientsPerMinute),
		RecipientsPerDay:    max(f.RecipientsPerDay, up.RecipientsPerDay),
	}
}

// Tier is a class of mailboxes with its figures.
type Tier struct {
	Code string // "standard", "xl": key
	Name string // Italian, as the user sees it
	Figures
	MultiUser   bool
	Application bool // submission mediated by an application (mass tiers)
	Notices     bool // notices of arrivals are included (S4-014, S4-015, S4-021)
}

// FiguresOf returns the figures of a mailbox: those of its tier, and what was
// raised for it. False where its tier is not among tiers.
func FiguresOf(tiers []Tier, m Mailbox) (Figures, bool) {
	for _, t := range tiers {
		if t.Code == m.Tier {
			return t.Raised(m.Raised), true
		}
	}
	return Figures{}, false
}

// Customer is a public body (ente) that domains belong to.
type Customer struct {
	Code    string // codice IPA, lower case: key
	Name    string
	Created time.Time
}

// Ceiling is how many mailboxes of a tier a body may have (S4-055), closed ones
// and the provider's service mailboxes not counted.
type Ceiling struct {
	Customer  string // Customer.Code
	Tier      string // Tier.Code
	Mailboxes int64
}

// MailboxCount is how many mailboxes of a kind there are, without the provider's
// service mailboxes.
type MailboxCount struct {
	Domain, Tier string
	State        MailboxState
	Mailboxes    int64
	Used         int64 // bytes that they hold together
}

// DomainState says whether a domain is certified.
type DomainState string

// The domain states.
const (
	DomainCertified DomainState = "certified"
	DomainPending   DomainState = "pending"
)

// Domain is a PEC domain of this provider. Names are lower case.
type Domain struct {
	Name     string
	State    DomainState
	Customer string // Customer.Code, "" for none
	Created  time.Time
}

// MailboxState is the life of a mailbox (requirements.md §2.4.d).
type MailboxState string

// The mailbox states.
const (
	MailboxProvisioned MailboxState = "provisioned_uncertified"
	MailboxActive      MailboxState = "active"
	MailboxBlocked     MailboxState = "blocked"
	MailboxDeactivated MailboxState = "deactivated"
	MailboxClosed      MailboxState = "closed"
)

// Mailbox is a PEC mailbox. Address is lower case.
type Mailbox struct {
	ID       MailboxID
	Address  string
	Domain   string
	Tier     string // Tier.Code
	State    MailboxState
	Holder   string // the holder's name, "" where unknown
	Ordinary bool   // open to ordinary mail (S4-037)
	Service  bool   // provider service mailbox (RFC 6109 §2.2.5)
	Created  time.Time
	Used     int64 // bytes held; set by the store
	Messages int64 // set by the store

	PersonalSeen bool // each user has \Seen flags of his own (Viewing)
	FileSent     bool // a copy of each submission is filed in the \Sent folder
	FileReceipts bool // receipts go into a folder for the year of their message

	Raised   Figures   // above the tier's (D1), 0: the tier's
	StateBy  string    // the role of who set State, "" for the provider
	Redirect string    // where senders of refused ordinary mail are referred to (S4-037), "" for nowhere
	Block    SendBlock // of sending

	Told bool // contacts are told of what arrives (Notices.TargetsOn); set by the store
}

// SendBlock keeps a mailbox from sending, while it goes on receiving and is read.
type SendBlock struct {
	Since  time.Time // zero: none
	By     string    // who blocked it, "" for the program itself
	Reason string    // Italian first, as the user is told
}

// On reports whether there is a block.
func (b SendBlock) On() bool { return !b.Since.IsZero() }

// User is somebody, or an application, who logs in.
type User struct {
	Login    string // lower case
	Name     string
	Hash     string // PHC string of argon2id; "" for none, nobody logs in by a password
	Customer string // Customer.Code of the body that looks after him, "" for the provider
	Disabled bool
	// DisabledBy is the role, below the provider's, of who shut him out; "": the
	// provider did, or he is not.
	DisabledBy string
	Created    time.Time
	Deleted    time.Time // zero: not. The row stays: a login is never given out again
}

// Permission is a set of what a user may do with a mailbox.
type Permission uint8

// The permissions (requirements.md §2.3, Profile).
const (
	MayRead Permission = 1 << iota
	MayWrite
	MaySend
	MayUseClient
	MayChangeSettings

	MayAll = MayRead | MayWrite | MaySend | MayUseClient | MayChangeSettings
)

// Grant gives a user permissions on a mailbox.
type Grant struct {
	Login      string
	Mailbox    MailboxID
	Address    string // set by the store
	Permission Permission
}

// Protocol is a set of the ways in which a mailbox is reached.
type Protocol uint8

// The protocols.
const (
	ByIMAP Protocol = 1 << iota
	ByPOP3
	BySubmission
	ByWeb

	ByAll = ByIMAP | ByPOP3 | BySubmission | ByWeb
)

// AppPassword is a further password of a user, for one program: with a name,
// limits of its own, and an end.
type AppPassword struct {
	ID         int64
	Login      string
	Name       string   // as the user knows it: "Protocollo", "Telefono"
	Sum        [32]byte // SHA-256 of the secret, which the provider generated
	Protocols  Protocol
	Permission Permission // with it the user may do no more than this
	Mailbox    MailboxID  // only this one, 0: all that the user has
	Created    time.Time
	Expires    time.Time // zero: never
	Revoked    time.Time // zero: not
}

// Accounts reads who exists. Logins and addresses are looked up without case.
type Accounts interface {
	Tiers(ctx context.Context) ([]Tier, error)
	Domains(ctx context.Context) ([]Domain, error)
	// Customers lists the public bodies by code.
	Customers(ctx context.Context) ([]Customer, error)
	// Ceilings lists those of a body by tier; none: it has no bounds.
	Ceilings(ctx context.Context, customer string) ([]Ceiling, error)
	// CountMailboxes counts by domain, tier and state.
	CountMailboxes(ctx context.Context) ([]MailboxCount, error)
	Mailbox(ctx context.Context, address string) (Mailbox, error)
	MailboxByID(ctx context.Context, id MailboxID) (Mailbox, error)
	// Mailboxes calls fn for every mailbox of a domain ("" for all) by address.
	Mailboxes(ctx context.Context, domain string, fn func(Mailbox) error) error
	// MailboxesAfter is Mailboxes for those whose address comes after one.
	MailboxesAfter(ctx context.Context, domain, after string, fn func(Mailbox) error) error
	User(ctx context.Context, login string) (User, error)
	// Grants lists what a user may do, by address.
	Grants(ctx context.Context, login string) ([]Grant, error)
	// GrantsOn lists who may do what with a mailbox, by login.
	GrantsOn(ctx context.Context, m MailboxID) ([]Grant, error)
	// Users calls fn for every user by login, deleted ones too.
	Users(ctx context.Context, fn func(User) error) error
	// AppPasswords lists those of a user, revoked and expired ones too, by ID.
	AppPasswords(ctx context.Context, login string) ([]AppPassword, error)
	// AppPassword returns the one with a sum, whatever its state.
	AppPassword(ctx context.Context, sum [32]byte) (AppPassword, error)
	// Protections returns the rules of the scopes named, where they have any, or of
	// all scopes where none is named, by scope.
	Protections(ctx context.Context, scopes ...string) ([]Protection, error)
}

// PutTier creates or replaces a tier.
type PutTier struct{ Tier Tier }

// PutCustomer creates or replaces a public body.
type PutCustomer struct{ Customer Customer }

// PutCeiling sets how many mailboxes of a tier a body may have; below 0 removes the
// bound. NotFound without the body.
type PutCeiling struct{ Ceiling Ceiling }

// PutDomain creates or replaces a domain.
type PutDomain struct{ Domain Domain }

// PutMailbox creates a mailbox with its INBOX (ID 0; Exists if the address is
// or ever was in use, D22) or replaces the attributes of an existing one, whose
// address must be given unchanged. Used and Messages are ignored.
type PutMailbox struct {
	Mailbox Mailbox

	ID MailboxID // set by Commit
}

// PutUser creates or replaces a user.
type PutUser struct{ User User }

// PutGrant sets a user's permissions on a mailbox; 0 removes the grant. The
// mailbox is named by ID, or by New for one created earlier in the same step.
type PutGrant struct {
	Login      string
	Mailbox    MailboxID
	New        *PutMailbox
	Permission Permission
}

// PutAppPassword creates an application password (ID 0; Exists if its sum is
// there, NotFound without its user or mailbox), or sets the end and the name of
// an existing one.
type PutAppPassword struct {
	AppPassword AppPassword
	// Logged makes the record of it, in the same step, once its ID is known; nil:
	// none is made. As Logged of operations on messages otherwise.
	Logged func(id int64) Record

	ID int64 // set by Commit
}

// CreateFolderIn is CreateFolder for a mailbox created earlier in the same step.
type CreateFolderIn struct {
	New        *PutMailbox
	Name       string
	SpecialUse string
	Subscribed bool
}

func (*PutTier) op()        {}
func (*PutDomain) op()      {}
func (*PutCustomer) op()    {}
func (*PutCeiling) op()     {}
func (*PutMailbox) op()     {}
func (*PutUser) op()        {}
func (*PutGrant) op()       {}
func (*PutAppPassword) op() {}
func (*CreateFolderIn) op() {}
