// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"pecd/fault"
	"pecd/pipeline"
)

// TestS4_013_LimitsAreAnswered: at MAIL and at the end of DATA a send limit is
// 452 4.7.1, at RCPT 452 4.5.3, and says when it opens; the session goes on.
func TestS4_013_LimitsAreAnswered(t *testing.T) {
	const text = "limite di 50 messaggi al minuto raggiunto, riapre alle 10:31:07 / limit of 50 messages a minute reached, opens at 10:31:07"
	limited := fault.Say("test", fault.Limited, text)
	var room atomic.Int64
	p := &fakePoint{allowed: func(n int) (pipeline.Allowance, error) {
		if r := int(room.Load()); n <= r {
			return pipeline.Allowance{Recipients: r, MessageBytes: 100}, nil
		}
		return pipeline.Allowance{}, limited
	}}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.cmd("MAIL FROM:<rossi@alfa.example>", "452 4.7.1 "+text)
	room.Store(2)
	c.envelope("rossi@alfa.example", "a@beta.example", "b@beta.example")
	c.cmd("RCPT TO:<c@beta.example>", "452 4.5.3 "+text)
	c.cmd("RCPT TO:<A@beta.example>", "250 ") // one that is known
	room.Store(3)
	c.cmd("RCPT TO:<c@beta.example>", "250 2.1.5 ")
	p.submit = func(_ context.Context, r io.Reader) error {
		_, _ = io.Copy(io.Discard, r)
		return limited
	}
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "452 4.7.1 "+text)
	p.submit = nil
	c.envelope("rossi@alfa.example", "a@beta.example")
	c.cmd("DATA", "354 ")
	const large = "552 5.3.4 messaggio troppo grande: al massimo 100 byte / message too large: at most 100 octets"
	c.cmd(strings.Repeat("x", 99)+"\r\n.", large)
	c.cmd("MAIL FROM:<rossi@alfa.example> SIZE=101", large)
	c.cmd("MAIL FROM:<rossi@alfa.example> SIZE=104857601", "552 5.3.4 messaggio troppo grande: al massimo 100 MB / ")
	c.envelope("rossi@alfa.example", "a@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd(strings.Repeat("x", 98)+"\r\n.", "250 ")
	if got := p.messages(); len(got) != 1 || len(got[0].message) != 100 {
		t.Errorf("%d messages", len(got))
	}
}
