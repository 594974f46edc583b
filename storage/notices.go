// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"strings"
	"time"
)

// ContactKind is a way in which a user is reached outside his mailboxes.
type ContactKind string

// The kinds of contacts.
const (
	ContactMail ContactKind = "mail" // ordinary e-mail
	ContactSMS  ContactKind = "sms"
)

// Contact is an address or number of a user's outside certified mail.
type Contact struct {
	ID        int64
	Login     string
	Kind      ContactKind
	Address   string // of mail in lower case; a number in E.164 form
	Created   time.Time
	Confirmed time.Time // zero: not, or not any more

	// The code that confirms it: salt and sum, nil for none.
	Code   []byte
	CodeAt time.Time
	Tries  int // how many wrong ones were given

	// Notices that were refused for good, one after the other; since when.
	Refused   int
	RefusedAt time.Time
}

// Masked tells a contact without telling it: the end of a number, the domain of an
// address, for logs and records.
func (c Contact) Masked() string {
	if c.Kind == ContactMail {
		return "mail …" + c.Address[max(0, strings.LastIndexByte(c.Address, '@')):]
	}
	return string(c.Kind) + " …" + c.Address[max(0, len(c.Address)-3):]
}

// Target is a contact that is told of what arrives in a mailbox.
type Target struct {
	Contact Contact
	Mailbox MailboxID
	Address string // of the mailbox
}

// Notice is something that a contact is to be told about a mailbox.
type Notice struct {
	ID       int64
	Contact  Contact
	Mailbox  MailboxID
	Address  string // of the mailbox
	Level    int    // percentage of the quota that was reached; 0: of arrivals
	Count    int64  // how many arrived
	First    time.Time
	Last     time.Time
	Open     bool // collects further arrivals until Due
	Due      time.Time
	Attempts int
}

// MailboxLevel is the level of its quota that a mailbox reached last.
type MailboxLevel struct {
	Mailbox MailboxID
	Level   int
	Told    bool
}

// QuotaLevel returns which of the levels that are told, 80, 90 and 95 per cent of
// a quota, used octets reach; 0 for none.
func QuotaLevel(used, quota int64) int {
	for _, level := range [...]int{95, 90, 80} {
		if quota > 0 && used*100 >= quota*int64(level) { // up to 92 PB
			return level
		}
	}
	return 0
}

// Notices reads contacts and what they are to be told.
type Notices interface {
	// Contacts lists those of a user, confirmed or not, by ID.
	Contacts(ctx context.Context, login string) ([]Contact, error)
	// Contact returns one, NotFound where there is none.
	Contact(ctx context.Context, id int64) (Contact, error)
	// RefusedContacts lists confirmed contacts of which at least so many notices,
	// one after the other and the first of them before an instant, were refused.
	RefusedContacts(ctx context.Context, notices int, before time.Time) ([]Contact, error)
	// Targets lists what was chosen for a user's contacts, whether it has an effect
	// at present or not, by mailbox.
	Targets(ctx context.Context, login string) ([]Target, error)
	// TargetsOn lists the contacts that are told of a mailbox at present: confirmed,
	// of users who may read it and are not shut out, where its tier has notices or
	// they were allowed for it.
	TargetsOn(ctx context.Context, m MailboxID) ([]Target, error)
	// NoticesAllowed reports whether notices were allowed for a mailbox whatever its
	// tier says.
	NoticesAllowed(ctx context.Context, m MailboxID) (bool, error)
	// DueNotices lists up to limit notices to contacts of a kind that are due at now,
	// the longest due first.
	DueNotices(ctx context.Context, kind ContactKind, now time.Time, limit int) ([]Notice, error)
	// UntoldLevels lists mailboxes that reached a level which was not told yet.
	UntoldLevels(ctx context.Context) ([]MailboxLevel, error)
	// QuotaLevels lists the levels that mailboxes reached last.
	QuotaLevels(ctx context.Context) ([]MailboxLevel, error)
}

// PutContact creates a contact (ID 0; Exists where the user has it, NotFound
// without the user), or sets Confirmed, Code, CodeAt, Tries, Refused and RefusedAt
// of one. It fails with Conflict where that has another Code, Confirmed or Tries
// than Before, and with NotFound where it is gone.
type PutContact struct {
	Contact Contact
	Before  Contact

	ID int64 // set by Commit
}

// DropContacts removes a contact of a user, or all of his (ID 0), with what they
// were to be told. NotFound where the one is not his.
type DropContacts struct {
	Login string
	ID    int64
}

// NoteCode counts a code that is sent to an address or number, whoever's it is.
// TooMany beyond PerHour within an hour before At, or PerDay within a day.
type NoteCode struct {
	Address         string
	At              time.Time
	PerHour, PerDay int
}

// PutTarget chooses whether a contact is told of what arrives in a mailbox.
// NotFound without them.
type PutTarget struct {
	Contact int64
	Mailbox MailboxID
	On      bool
}

// AllowNotices allows notices for a mailbox whatever its tier says, or not.
type AllowNotices struct {
	Mailbox MailboxID
	Allowed bool
}

// NoteArrival has the contacts of a mailbox (Notices.TargetsOn) told of a message
// that arrived at At: one by one as long as they are few, together otherwise.
type NoteArrival struct {
	Mailbox MailboxID
	At      time.Time
	Rules   NoticeRules
}

// NoticeRules say when arrivals are told together.
type NoticeRules struct {
	// OneByOne is how many a contact is told of one by one within a minute, for one
	// mailbox. What comes beyond is told together after Interval.
	OneByOne int
	Interval time.Duration
	// PerDay bounds the notices of a contact in a civil day; what comes beyond is
	// told together at its end.
	PerDay int
}

// QueueNotice has a contact told at At that a mailbox reached a level of its
// quota.
type QueueNotice struct {
	Contact int64
	Mailbox MailboxID
	Level   int
	At      time.Time
}

// CloseNotice ends the collecting of a notice. Conflict where it is gone or has
// another Count meanwhile.
type CloseNotice struct {
	ID    int64
	Count int64
}

// SettleNotice removes a notice that was told, and counts it for its contact
// until DayEnds; with Dropped it was given up. Conflict as in CloseNotice.
type SettleNotice struct {
	ID      int64
	Count   int64
	At      time.Time
	DayEnds time.Time
	Dropped bool
}

// RetryNotice puts a notice off after an attempt; NotFound where it is gone.
type RetryNotice struct {
	ID  int64
	Due time.Time
}

// NoticeOutcome counts what became of a notice for its contact: refused for good,
// or delivered. A contact that is gone is passed over.
type NoticeOutcome struct {
	Contact int64
	Refused bool
	At      time.Time
}

// SetQuotaLevel sets the level of its quota that a mailbox has. Conflict where it
// is not Was (0 also where none is known), or Level is Was and is to be marked as
// told, and was told.
type SetQuotaLevel struct {
	Mailbox    MailboxID
	Was, Level int
	Told       bool
}

func (*PutContact) op()    {}
func (*DropContacts) op()  {}
func (*NoteCode) op()      {}
func (*PutTarget) op()     {}
func (*AllowNotices) op()  {}
func (*NoteArrival) op()   {}
func (*QueueNotice) op()   {}
func (*CloseNotice) op()   {}
func (*SettleNotice) op()  {}
func (*RetryNotice) op()   {}
func (*NoticeOutcome) op() {}
func (*SetQuotaLevel) op() {}
