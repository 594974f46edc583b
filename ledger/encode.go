// SPDX-License-Identifier: EUPL-1.2

package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// version of the encoding; a reader refuses others.
const version = 1

// maxRecord bounds what Decode reads, in octets: 10,000 recipients and as many
// related messages fit.
const maxRecord = 16 << 20

// instant is the form of times in a record: UTC, always three decimals, so that
// the text sorts.
const instant = "2006-01-02T15:04:05.000Z"

// wire is the encoding of an Event. The order of the fields is the order in the
// record: what is sealed must not depend on a map.
type wire struct {
	Version     int             `json:"v"`
	At          string          `json:"at"`
	Kind        Kind            `json:"kind"`
	ID          string          `json:"id,omitempty"`
	MsgID       string          `json:"msgid,omitempty"`
	Side        Side            `json:"side,omitempty"`
	Sender      string          `json:"sender,omitempty"`
	Recipients  []wireRecipient `json:"recipients,omitempty"`
	Subject     string          `json:"subject,omitempty"`
	Provider    string          `json:"provider,omitempty"`
	Related     []string        `json:"related,omitempty"`
	Size        int64           `json:"bytes,omitempty"`
	Channel     Channel         `json:"channel,omitempty"`
	Receipt     string          `json:"receipt,omitempty"`
	ReceiptType string          `json:"receipt_type,omitempty"`
	Class       Class           `json:"class,omitempty"`
	Origin      Origin          `json:"origin,omitempty"`
	Error       string          `json:"error,omitempty"`
	Detail      string          `json:"detail,omitempty"`
	Virus       string          `json:"virus,omitempty"`
	Certified   int             `json:"rcpt_pec,omitempty"`
	Ordinary    int             `json:"rcpt_nonpec,omitempty"`
	Attempt     int             `json:"attempt,omitempty"`
	Next        string          `json:"next,omitempty"`
	Peer        string          `json:"peer,omitempty"`
	Mailbox     string          `json:"mailbox,omitempty"`
	Domain      string          `json:"domain,omitempty"`
	User        string          `json:"user,omitempty"`
	Actor       string          `json:"actor,omitempty"`
	Protocol    Channel         `json:"proto,omitempty"`
	From        string          `json:"from,omitempty"`
	To          string          `json:"to,omitempty"`
	Messages    int64           `json:"messages,omitempty"`
	Program     string          `json:"program,omitempty"`
	Folder      string          `json:"folder,omitempty"`
	UIDValidity uint32          `json:"uidvalidity,omitempty"`
	UIDs        string          `json:"uids,omitempty"`
	Count       int64           `json:"count,omitempty"`
	ToValidity  uint32          `json:"to_uidvalidity,omitempty"`
	ToUIDs      string          `json:"to_uids,omitempty"`
	ProgramID   int64           `json:"program_id,omitempty"`
	Threat      string          `json:"threat,omitempty"`
	Direction   string          `json:"direction,omitempty"`
	Action      string          `json:"action,omitempty"`
}

type wireRecipient struct {
	Address string        `json:"address"`
	Type    RecipientType `json:"type,omitempty"`
}

// Encode returns e as one line of JSON without a line end. Equal events give
// equal octets. Texts beyond their bounds are cut.
func (e Event) Encode() []byte {
	e = e.bounded()
	w := wire{
		Version: version, At: e.At.UTC().Format(instant), Kind: e.Kind, ID: e.ID, MsgID: e.MsgID, Side: e.Side, Sender: e.Sender,
		Subject: e.Subject, Provider: e.Provider, Related: e.Related, Size: e.Size, Channel: e.Channel,
		Receipt: e.Receipt, ReceiptType: e.ReceiptType, Class: e.Class, Origin: e.Origin, Error: e.Error, Detail: e.Detail,
		Virus: e.Virus, Certified: e.Certified, Ordinary: e.Ordinary, Attempt: e.Attempt, Peer: e.Peer, Mailbox: e.Mailbox,
		Domain: e.Domain, User: e.User, Actor: e.Actor, Protocol: e.Protocol, From: e.From, To: e.To, Messages: e.Messages,
		Program: e.Program, Folder: e.Folder, UIDValidity: e.UIDValidity, UIDs: e.UIDs, Count: e.Count,
		ToValidity: e.ToValidity, ToUIDs: e.ToUIDs, ProgramID: e.ProgramID,
		Threat: e.Threat, Direction: e.Direction, Action: e.Action,
	}
	if !e.Next.IsZero() {
		w.Next = e.Next.UTC().Format(instant)
	}
	for _, r := range e.Recipients {
		w.Recipients = append(w.Recipients, wireRecipient(r))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // identifiers carry angle brackets
	if err := enc.Encode(w); err != nil {
		return nil // strings and integers always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Decode reads what Encode wrote. Fields it does not know are passed over: a
// newer node may have written them.
func Decode(b []byte) (Event, error) {
	if len(b) > maxRecord {
		return Event{}, fmt.Errorf("ledger: record longer than %d octets", maxRecord)
	}
	var w wire
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&w); err != nil {
		return Event{}, fmt.Errorf("ledger: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Event{}, fmt.Errorf("ledger: more than one record")
	}
	if w.Version != version {
		return Event{}, fmt.Errorf("ledger: record of version %d, this program reads %d", w.Version, version)
	}
	if w.Kind == "" {
		return Event{}, fmt.Errorf("ledger: record without kind")
	}
	at, err := time.Parse(instant, w.At)
	if err != nil {
		return Event{}, fmt.Errorf("ledger: at: %w", err)
	}
	e := Event{
		At: at, Kind: w.Kind, ID: w.ID, MsgID: w.MsgID, Side: w.Side, Sender: w.Sender, Subject: w.Subject, Provider: w.Provider,
		Related: w.Related, Size: w.Size, Channel: w.Channel, Receipt: w.Receipt, ReceiptType: w.ReceiptType, Class: w.Class,
		Origin: w.Origin, Error: w.Error, Detail: w.Detail, Virus: w.Virus, Certified: w.Certified, Ordinary: w.Ordinary,
		Attempt: w.Attempt, Peer: w.Peer, Mailbox: w.Mailbox, Domain: w.Domain, User: w.User, Actor: w.Actor, Protocol: w.Protocol,
		From: w.From, To: w.To, Messages: w.Messages,
		Program: w.Program, Folder: w.Folder, UIDValidity: w.UIDValidity, UIDs: w.UIDs, Count: w.Count,
		ToValidity: w.ToValidity, ToUIDs: w.ToUIDs, ProgramID: w.ProgramID,
		Threat: w.Threat, Direction: w.Direction, Action: w.Action,
	}
	if w.Next != "" {
		if e.Next, err = time.Parse(instant, w.Next); err != nil {
			return Event{}, fmt.Errorf("ledger: next: %w", err)
		}
	}
	for _, r := range w.Recipients {
		e.Recipients = append(e.Recipients, Recipient(r))
	}
	return e, nil
}
