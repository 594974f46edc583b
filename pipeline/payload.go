// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"pecd/fault"
	"pecd/pec"
	"pecd/protection"
)

// The kinds of jobs.
const (
	JobDeliver  = "deliver"
	JobRelay    = "relay"
	JobForward  = "forward"  // one for each address that a filter forwards a message to
	JobDeadline = "deadline" // one for each message of ours with certified recipients
)

// deliverPayload asks the delivery point to deliver the envelope that is the
// job's body to one own mailbox.
type deliverPayload struct {
	ID        string `json:"id"`
	Recipient string `json:"rcpt"`
	Own       bool   `json:"own,omitempty"` // accepted at our own access point
	// Provider is the sender's one, of a foreign envelope.
	Provider string `json:"gestore,omitempty"`
	// Silent is an envelope whose certified data call the recipient an ordinary
	// one: it is delivered, and answered by nothing.
	Silent bool `json:"silent,omitempty"`
	// Found is what is unwanted in it, for the rules of the mailbox.
	Found []protection.Finding `json:"found,omitempty"`
}

// transaction is the store's identifier of the message's transaction.
func (p deliverPayload) transaction() string {
	if p.Own {
		return p.ID
	}
	return foreignID(p.ID, p.Provider)
}

// foreignID names a transaction of another provider: the identificativo is that
// provider's choice, so it counts together with its name only.
func foreignID(id, provider string) string { return id + " " + provider }

// envelopeKeys are what a step claims for an envelope of a provider, one for
// each recipient.
func envelopeKeys(provider, id string, recipients []string) []string {
	keys := make([]string, len(recipients))
	for i, r := range recipients {
		keys[i] = "env|" + provider + "|" + id + "|" + strings.ToLower(r)
	}
	return keys
}

// relayPayload asks the relay to take the job's body to another server.
type relayPayload struct {
	ID         string   `json:"id,omitempty"`
	Sender     string   `json:"from"`
	Recipients []string `json:"rcpt"`
	EightBit   bool     `json:"8bit,omitempty"`
	// Envelope marks a transport envelope: its failures are told to the sender.
	// Receipts and notices are never answered by another one.
	Envelope bool `json:"env,omitempty"`
	// Certified requires TLS towards another PEC provider (pec-rules §1.8).
	Certified bool `json:"pec,omitempty"`
	// Spent says that a last attempt makes no sense when the job expires: the one
	// before it reached nobody.
	Spent bool `json:"spent,omitempty"`
	// Owed are recipients with a final answer of which the sender has yet to be
	// told; they are not among Recipients any more.
	Owed []debt `json:"owed,omitempty"`
	// Next is when Recipients are tried again once nothing is owed.
	Next time.Time `json:"next,omitzero"`
	// MsgID and Subject are an envelope's, for the log (RFC 6109 §2.3).
	MsgID   string `json:"msgid,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Notice marks a notice to a contact (NoticeMail).
	Notice *noticeRef `json:"notice,omitempty"`
	// Forward is the mailbox whose filter forwarded the message, "" otherwise: its
	// holder is told of failures.
	Forward string `json:"forward,omitempty"`
}

// debt is a final answer about one recipient, to be told.
type debt struct {
	Recipient string        `json:"rcpt"`
	Code      pec.ErrorCode `json:"code"`
	Status    string        `json:"status"`
	Reason    string        `json:"why"`
	Reply     string        `json:"reply,omitempty"` // the server's, for the log
	// Silence is the end of the relay's day: see settling.giveUp.
	Silence bool `json:"silence,omitempty"`
}

func owe(recipient string, no refusal, reply string) debt {
	return debt{Recipient: recipient, Code: no.code, Status: no.status, Reason: no.reason, Reply: reply}
}

func (d debt) refusal() refusal { return refusal{d.Code, d.Status, d.Reason} }

// everybody is the recipients whom the job has not done with.
func (p relayPayload) everybody() []string {
	all := slices.Clone(p.Recipients)
	for _, d := range p.Owed {
		all = append(all, d.Recipient)
	}
	return all
}

func encodePayload(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // strings and bools always encode
		return nil
	}
	return b
}

func decodePayload(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fault.New("pipeline.decodePayload", fault.Internal, err)
	}
	return nil
}
