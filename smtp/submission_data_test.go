// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/directory"
	"pecd/fault"
)

func TestSubmission_PointFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New("x", fault.Temporary, nil), "451 4.3.0 "},
		{fault.New("x", fault.Quota, nil), "452 4.2.2 "},
		{fault.Say("x", fault.Denied, "no\r\n250 smuggled"), "550 5.7.1 no  250 smuggled\r\n"},
		{errors.New("plain"), "451 4.3.0 "},
	} {
		// The point gives up at once: the rest of the message must not run as commands.
		p := &fakePoint{submit: func(context.Context, io.Reader) error { return tt.err }}
		c := submitter(t, startSubmission(t, p, ServerConfig{}))
		c.envelope("rossi@alfa.example", "x@beta.example")
		c.cmd("DATA", "354 ")
		c.cmd(strings.Repeat("QUIT\r\n", 10000)+".", tt.want)
		c.alive()
	}
}

func TestSubmission_PointThatReadsNothingIsNotBelieved(t *testing.T) {
	p := &fakePoint{submit: func(context.Context, io.Reader) error { return nil }}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.envelope("rossi@alfa.example", "x@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "451 4.3.0 ")
}

func TestSubmission_PointPanics(t *testing.T) {
	p := &fakePoint{submit: func(context.Context, io.Reader) error { panic("boom") }}
	c := submitter(t, startSubmission(t, p, ServerConfig{}))
	c.envelope("rossi@alfa.example", "x@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "421 4.3.0 ")
	c.closed()
}

func TestSubmission_MessageSizes(t *testing.T) {
	const limit = 1 << 20
	for _, tt := range []struct {
		name, body, want string
	}{
		{"exactly the limit", strings.Repeat("x", limit-2) + "\r\n", "250 "},
		{"one octet more", strings.Repeat("x", limit-1) + "\r\n", "552 5.3.4 "},
		{"a third more than the limit on the wire", strings.Repeat("..\r\n", limit/3), "250 "},
		{"lines of 100 kB", strings.Repeat(strings.Repeat("x", 100_000)+"\r\n", 3), "250 "},
		{"NUL", "a\x00b\r\n", "250 "},
		{"8 bit", "citt\xe0\r\n", "250 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &fakePoint{}
			c := submitter(t, startSubmission(t, p, ServerConfig{MaxMessage: limit}))
			c.envelope("rossi@alfa.example", "x@beta.example")
			c.cmd("DATA", "354 ")
			c.cmd(tt.body+".", tt.want)
			if kept := len(p.messages()) == 1; kept != (tt.want == "250 ") {
				t.Errorf("kept: %v", kept)
			}
			c.envelope("rossi@alfa.example", "x@beta.example")
			c.cmd("DATA", "354 ")
			c.cmd("still here\r\n.", "250 ")
		})
	}
}

func TestS4_035_OneOctetOverHundredMegabytes(t *testing.T) {
	p := &fakePoint{submit: func(_ context.Context, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}}
	c := submitter(t, startSubmission(t, p, ServerConfig{MaxMessage: bulk}))
	for _, tt := range []struct {
		size int64
		want string
	}{{bulk + 1, "552 5.3.4 "}, {bulk, "250 "}} {
		c.envelope("rossi@alfa.example", "x@beta.example")
		c.cmd("DATA", "354 ")
		full := (tt.size - 2) / 78 * 78
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Minute))
		if _, err := io.Copy(c.Conn, newRepeated(full)); err != nil {
			t.Fatal(err)
		}
		c.cmd(strings.Repeat("x", int(tt.size-full-2))+"\r\n.", tt.want)
		c.alive()
	}
}

func TestSubmission_EndlessMessageIsCutOff(t *testing.T) {
	p := &fakePoint{}
	c := submitter(t, startSubmission(t, p, ServerConfig{MaxMessage: 1 << 16}))
	c.envelope("rossi@alfa.example", "x@beta.example")
	c.cmd("DATA", "354 ")
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	_, err := io.Copy(c.Conn, newRepeated(64<<20))
	if err == nil {
		t.Error("64 MB were read for a limit of 64 kB")
	}
	if len(p.messages()) != 0 {
		t.Error("kept")
	}
}

func TestSubmission_LostConnectionKeepsNothing(t *testing.T) {
	p := &fakePoint{}
	s := NewSubmission(quiet(ServerConfig{}), fakeAuth{}, p)
	c := submitter(t, serve(t, s, false))
	c.envelope("rossi@alfa.example", "x@beta.example")
	c.cmd("DATA", "354 ")
	c.send("Subject: x\r\n\r\nhalf a mess")
	c.Close()
	waitFor(t, func() bool { return len(p.failures()) == 1 })
	if err := p.failures()[0]; !fault.Is(err, fault.Temporary) || errors.Is(err, io.EOF) {
		t.Errorf("reader ended with %v", err)
	}
	if len(p.messages()) != 0 {
		t.Error("kept")
	}
}

// revocable is fakeAuth whose logins end at some time.
type revocable struct {
	fakeAuth
	revoked atomic.Bool
}

func (r *revocable) MaySubmit(context.Context, directory.Principal, string) error {
	if r.revoked.Load() {
		return fault.Say("fake", fault.Denied, "accesso revocato / access was revoked")
	}
	return nil
}

// TestS0_44_RevokedInTransaction: a transaction that was begun before does not
// outlive the login.
func TestS0_44_RevokedInTransaction(t *testing.T) {
	p, dir := &fakePoint{}, &revocable{}
	c := dial(t, serve(t, NewSubmission(quiet(ServerConfig{}), dir, p), false))
	c.cmd("EHLO x", "250-")
	c.startTLS()
	c.cmd("EHLO x", "250-")
	c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "250 ")
	c.cmd("RCPT TO:<bianchi@beta.example>", "250 ")
	dir.revoked.Store(true)
	c.cmd("DATA", "354 ")
	c.cmd("Subject: x\r\n\r\ntext\r\n.", "550 5.7.1 ")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "550 5.7.1 ")
	c.alive()
	if len(p.got) != 0 {
		t.Errorf("%d messages were taken", len(p.got))
	}
}

// TestS0_44_RevokedDuringDATA: nor does a message whose client takes its time.
func TestS0_44_RevokedDuringDATA(t *testing.T) {
	dir := new(revocable)
	p := &fakePoint{submit: func(_ context.Context, r io.Reader) error {
		dir.revoked.Store(true)
		_, err := io.Copy(io.Discard, r)
		return err
	}}
	c := submitter(t, serve(t, NewSubmission(quiet(ServerConfig{}), dir, p), false))
	c.envelope("rossi@alfa.example", "bianchi@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd("Subject: x\r\n\r\ntext\r\n.", "550 5.7.1 ")
	c.cmd("MAIL FROM:<rossi@alfa.example>", "550 5.7.1 ")
	c.alive()
	if len(p.messages()) != 0 {
		t.Error("the message was taken")
	}
}
