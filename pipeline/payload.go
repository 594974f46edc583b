// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"encoding/json"

	"pecd/fault"
)

// The kinds of jobs.
const (
	JobDeliver = "deliver"
	JobRelay   = "relay"
)

// deliverPayload asks the delivery point to deliver the envelope that is the
// job's body to one own mailbox.
type deliverPayload struct {
	ID        string `json:"id"`
	Recipient string `json:"rcpt"`
	Own       bool   `json:"own,omitempty"` // accepted at our own access point
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
