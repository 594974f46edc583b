// SPDX-License-Identifier: EUPL-1.2

package ledger

// Kind names what happened. The names are part of the log's format: reports
// over thirty months of records depend on them, so none is ever reused.
type Kind string

// The way of a message (RFC 6109 §2.3).
const (
	SubmissionAccepted Kind = "submission.accepted" // acceptance: the message is certified
	SubmissionRefused  Kind = "submission.refused"  // non-acceptance, formal or for a virus
	EnvelopeCreated    Kind = "envelope.created"    // transport envelope built and signed
	ReceiptEmitted     Kind = "receipt.emitted"     // any receipt or notice; Receipt says which
	EnvelopeReceived   Kind = "envelope.received"   // a valid transport envelope came in
	ReceiptReceived    Kind = "receipt.received"    // a valid receipt or notice came in
	OrdinaryReceived   Kind = "ordinary.received"   // anything else came in
	OrdinaryRefused    Kind = "ordinary.refused"    // … and was not let in
	TakenInCharge      Kind = "charge.taken"        // presa in carico
	AnomalyCreated     Kind = "anomaly.created"     // busta di anomalia
	Delivered          Kind = "delivery.inbound"    // stored in a mailbox
	DeliveryFailed     Kind = "delivery.failed"     // could not be stored
	RelayAttempt       Kind = "relay.attempt"       // another server was asked and did not take it yet
	RelayOK            Kind = "relay.ok"            // another server took it
	RelayFailed        Kind = "relay.failed"        // given up
	InterceptVirus     Kind = "intercept.virus"
	InterceptSpam      Kind = "intercept.spam"
	LimitReached       Kind = "limit.reached" // a send limit deferred a message
)

// What holders' filters do with what arrives, and who changes them.
const (
	ForwardSent    Kind = "forward.sent"    // of a message of Mailbox, to Recipients
	ForwardStopped Kind = "forward.stopped" // a loop; Detail says which
	ForwardFailed  Kind = "forward.failed"  // the other mailbox or server does not take it
	FilterChanged  Kind = "filter.changed"  // Detail says which, From and To are the SHA-256 of the scripts
)

// What an operator did with a queued message; Actor is who, Peer the destination.
const (
	QueueHeld     Kind = "queue.held"
	QueueReleased Kind = "queue.released"
	QueueRetried  Kind = "queue.retried"
	QueueFailed   Kind = "queue.failed" // Detail is the reason given
	// Of what was set aside when the store was put back from a copy.
	QueueResumed Kind = "queue.resumed"
	QueueDropped Kind = "queue.dropped" // done after the copy was made, as far as is known
)

// Access and administration.
const (
	Access         Kind = "access"        // a login that succeeded
	AccessDenied   Kind = "access.denied" // one that did not
	DomainState    Kind = "domain.state"
	MailboxCreated Kind = "mailbox.created"
	MailboxState   Kind = "mailbox.state"
	MailboxTier    Kind = "mailbox.transformed"
	OrdinaryClosed Kind = "ordinary_mail.closed"
	OrdinaryOpened Kind = "ordinary_mail.opened"
	UserCreated    Kind = "user.created"
	UserDisabled   Kind = "user.disabled"
	UserEnabled    Kind = "user.enabled"
	UserPassword   Kind = "user.password_reset"
	UserGrant      Kind = "user.grant"
	TierChanged    Kind = "tier.changed"
	IndexLoaded    Kind = "index.loaded" // another provider index is in use
	UsageSample    Kind = "usage.sample" // daily: Size and Messages of a mailbox
	UserDeleted    Kind = "user.deleted" // the login stays taken
	MailboxOptions Kind = "mailbox.options"
	ProgramCreated Kind = "app_password.created" // Program is its name
	ProgramRevoked Kind = "app_password.revoked"
	GuessBlocked   Kind = "guess.blocked" // a client or an account had to wait after too many wrong passwords; Count of tries in a quarter of an hour
	GuessCleared   Kind = "guess.cleared" // Actor let it try at once

	SendThrottled Kind = "mailbox.send_throttled" // Mailbox sends unusually and was slowed down; Detail says how it looked
	SendBlocked   Kind = "mailbox.send_blocked"   // … and may not send: by Actor, or by the program itself; Detail is the reason
	SendUnblocked Kind = "mailbox.send_unblocked" // Actor ended that; Detail is the reason it had
)

// The customers, and what they may have.
const (
	MailboxRaised Kind = "mailbox.raised" // figures above the tier's, before and after
	BodyChanged   Kind = "body.changed"   // Detail is its code; its name before and after
	BodyCeiling   Kind = "body.ceiling"   // Detail is its code and the tier; how many mailboxes before and after
	DomainBody    Kind = "domain.body"    // the body that a domain belongs to
)

// Contacts of users outside certified mail, and what they are told. To is the kind
// of the contact with the end of its number or its domain.
const (
	ContactAdded     Kind = "contact.added"
	ContactConfirmed Kind = "contact.confirmed"
	ContactRemoved   Kind = "contact.removed" // Detail says why where it was only doubted
	NoticeChosen     Kind = "notice.chosen"   // who is told of what arrives in a mailbox, on or off
	NoticeSent       Kind = "notice.sent"     // Count is of how many arrivals, Detail the level of a quota
	NoticeFailed     Kind = "notice.failed"   // given up
	QuotaReached     Kind = "quota.reached"   // Detail is the percentage, Size what the mailbox holds
)

// The interface for programs, and users who set a new password by themselves.
const (
	TokenCreated  Kind = "token.created" // Program is its name, ProgramID its number, To what it is good for
	TokenRevoked  Kind = "token.revoked"
	RecoveryBegun Kind = "recovery.begun" // a link or code to set a new password was made; Detail says how
)

// What a user did with stored messages: UIDs of Folder in Mailbox.
const (
	MessageRead     Kind = "message.read"     // recorded for mailboxes that several people may read
	MessageMoved    Kind = "message.moved"    // Detail is the folder they went to, To its mailbox, ToUIDs what they are called there
	MessageCopied   Kind = "message.copied"   // as MessageMoved
	MessageMarked   Kind = "message.marked"   // as deleted, to be expunged
	MessageExpunged Kind = "message.expunged" // removed for good
	MessageAppended Kind = "message.appended" // put there by a client

	RecoverablePurged Kind = "recoverable.purged" // what POP3 clients had deleted was removed after its time of keeping: UIDs of Folder in Mailbox, how many (Messages) of which Size
)

// The log itself, and who looked at what is kept.
const (
	LedgerSealed     Kind = "ledger.sealed"     // a day of the log was closed; Detail names its file
	LedgerPurged     Kind = "ledger.purged"     // a sealed day was removed after its time of keeping
	LedgerExtracted  Kind = "ledger.extracted"  // an extract was asked for by Actor; Mailbox is the holder's, if it is for one
	QuarantineRead   Kind = "quarantine.read"   // an infected message was read by Actor
	QuarantinePurged Kind = "quarantine.purged" // infected messages were removed after their time of keeping
	AlarmRaised      Kind = "alarm.raised"      // a condition that needs a person; Detail says which
	AlarmCleared     Kind = "alarm.cleared"     // … and its end
	StoreCopied      Kind = "store.copied"      // a copy of the whole store is made for Actor
	StoreRestored    Kind = "store.restored"    // the store was put back from a copy; what came after the record before is lost
)

// Of the antivirus.
const (
	ScanReported Kind = "scan.reported" // let through, but not looked into: Detail says what it was
)

// Of the protection of mailboxes (S4-062 … S4-066).
const (
	InterceptContents Kind = "intercept.contents" // a document with a program, a link, what cannot be looked into: Threat says which
	ProtectionChanged Kind = "protection.changed" // what is done about it for a Mailbox or a Domain; Detail says what was and what is
)

// Kinds lists every kind, in the order above.
func Kinds() []Kind {
	return []Kind{
		SubmissionAccepted, SubmissionRefused, EnvelopeCreated, ReceiptEmitted, EnvelopeReceived,
		ReceiptReceived, OrdinaryReceived, OrdinaryRefused, TakenInCharge, AnomalyCreated, Delivered,
		DeliveryFailed, RelayAttempt, RelayOK, RelayFailed, InterceptVirus, InterceptSpam, LimitReached,
		ForwardSent, ForwardStopped, ForwardFailed, FilterChanged,
		QueueHeld, QueueReleased, QueueRetried, QueueFailed, QueueResumed, QueueDropped,
		Access, AccessDenied, DomainState, MailboxCreated, MailboxState, MailboxTier, OrdinaryClosed,
		OrdinaryOpened, UserCreated, UserDisabled, UserEnabled, UserPassword, UserGrant, TierChanged,
		IndexLoaded, UsageSample, UserDeleted, MailboxOptions, ProgramCreated, ProgramRevoked, GuessBlocked, GuessCleared,
		SendThrottled, SendBlocked, SendUnblocked,
		ContactAdded, ContactConfirmed, ContactRemoved, NoticeChosen, NoticeSent, NoticeFailed, QuotaReached,
		MailboxRaised, BodyChanged, BodyCeiling, DomainBody,
		MessageRead, MessageMoved, MessageCopied, MessageMarked, MessageExpunged, MessageAppended, RecoverablePurged,

		LedgerSealed, LedgerPurged, LedgerExtracted, QuarantineRead, QuarantinePurged, AlarmRaised, AlarmCleared,
		StoreCopied, StoreRestored,
		ScanReported, InterceptContents, ProtectionChanged,
		TokenCreated, TokenRevoked, RecoveryBegun,
	}
}

// Side says whose message it is.
type Side string

// The sides.
const (
	Own     Side = "own"     // accepted at our access point
	Foreign Side = "foreign" // of another provider's holder, or ordinary
)

// Channel is the way a message was handed in, or a mailbox was reached.
type Channel string

// The channels and protocols of indicators 8 and 13.
const (
	SMTP Channel = "smtp"
	IMAP Channel = "imap"
	POP3 Channel = "pop"
	Web  Channel = "web"
	// Sieve is ManageSieve, by which filters are edited.
	Sieve Channel = "sieve"
	API   Channel = "api"
)

// Class is what was delivered (indicator 1).
type Class string

// The classes.
const (
	ClassPEC     Class = "pec"      // transport envelope
	ClassAnomaly Class = "anomalia" // anomaly envelope
	ClassReceipt Class = "ricevuta"
	ClassNotice  Class = "avviso"
)

// Origin is where a delivered message came from (indicators 8 … 10).
type Origin string

// The origins.
const (
	Internal Origin = "internal"
	External Origin = "external"
)

// RecipientType is the type of a recipient as certified (RFC 6109 §4.4).
type RecipientType string

// The recipient types.
const (
	Certified RecipientType = "certificato"
	Ordinary  RecipientType = "esterno"
)
