// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// columnNames are the columns of an extract in CSV, in the order of row: those
// of the events' encoding, between a record's number and its hash.
var columnNames = []string{
	"seq", "at", "kind", "id", "msgid", "side", "sender", "recipients", "subject", "provider", "related", "bytes", "channel",
	"receipt", "receipt_type", "class", "origin", "error", "detail", "virus", "rcpt_pec", "rcpt_nonpec", "attempt", "next", "peer",
	"mailbox", "domain", "user", "actor", "proto", "from", "to", "messages", "program",
	"folder", "uidvalidity", "uids", "count", "to_uidvalidity", "to_uids", "program_id", "threat", "direction", "action", "hash",
}

// row is a record as cells. Instants are UTC; several recipients and related
// messages are parted by blanks, a recipient's type is behind it in brackets.
func row(r storage.Record, e ledger.Event) []string {
	recipients := make([]string, len(e.Recipients))
	for i, r := range e.Recipients {
		recipients[i] = r.Address
		if r.Type != "" {
			recipients[i] += "(" + string(r.Type) + ")"
		}
	}
	cells := []string{
		number(r.Seq), moment(e.At), string(e.Kind), e.ID, e.MsgID, string(e.Side), e.Sender, strings.Join(recipients, " "), e.Subject,
		e.Provider, strings.Join(e.Related, " "), number(e.Size), string(e.Channel), e.Receipt, e.ReceiptType, string(e.Class),
		string(e.Origin), e.Error, e.Detail, e.Virus, number(int64(e.Certified)), number(int64(e.Ordinary)), number(int64(e.Attempt)),
		moment(e.Next), e.Peer, e.Mailbox, e.Domain, e.User, e.Actor, string(e.Protocol), e.From, e.To, number(e.Messages),
		e.Program, e.Folder, number(int64(e.UIDValidity)), e.UIDs, number(e.Count),
		number(int64(e.ToValidity)), e.ToUIDs, number(e.ProgramID), e.Threat, e.Direction, e.Action, hex.EncodeToString(r.Hash[:]),
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return cells
}

// harmless keeps a spreadsheet from taking a cell for a formula: a sender
// chooses subjects and names.
func harmless(cell string) string {
	if cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0 {
		return "'" + cell
	}
	return cell
}

// number and moment are empty for zero, as in the encoding.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
