// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/guesses"
	"pecd/storage"
)

// heldStore is the store of a whole dialogue without a disk: the store's own tests
// are elsewhere, and a round must be short.
type heldStore struct {
	storage.Store // nil: nothing else is called
	messages      []string
	moved         []uint32
}

func (h *heldStore) MailboxByID(context.Context, storage.MailboxID) (storage.Mailbox, error) {
	return storage.Mailbox{ID: 1, Address: testUser, Tier: "t", State: storage.MailboxActive}, nil
}

func (h *heldStore) Folder(context.Context, storage.MailboxID, string) (storage.Folder, error) {
	return storage.Folder{ID: 1, Mailbox: 1, UIDValidity: 7, Messages: uint32(len(h.messages))}, nil
}

func (h *heldStore) Messages(_ context.Context, _ storage.FolderID, _, _ uint32, fn func(storage.Message) error) error {
	for i, m := range h.messages {
		if err := fn(storage.Message{UID: uint32(i + 1), Body: storage.BodyID(i), Size: int64(len(m))}); err != nil {
			return err
		}
	}
	return nil
}

func (h *heldStore) UIDLs(context.Context, storage.FolderID, func(uint32, string) error) error {
	return nil
}

func (h *heldStore) Folders(context.Context, storage.MailboxID) ([]storage.Folder, error) {
	return nil, nil
}

func (h *heldStore) Tiers(context.Context) ([]storage.Tier, error) { return nil, nil }

func (h *heldStore) Commit(_ context.Context, s *storage.Step) error {
	for _, op := range s.Ops {
		if d, ok := op.(*storage.Discard); ok {
			h.moved = append(h.moved, d.UIDs...)
			d.Source = d.UIDs
		}
	}
	return nil
}

type heldBody struct{ *strings.Reader }

func (b heldBody) Size() int64                                      { return b.Reader.Size() }
func (heldBody) Close() error                                       { return nil }
func (heldBody) Intact() error                                      { return nil }
func (heldBody) Blob() (id storage.BlobID, off int64, length int64) { return 0, 0, 0 }

func (h *heldStore) OpenBody(_ context.Context, id storage.BodyID) (storage.Body, error) {
	return heldBody{strings.NewReader(h.messages[id])}, nil
}

// response is what a line that is no text of a message may look like.
var response = regexp.MustCompile(`^(\+OK|-ERR|\+ )[ -~]*$|^\+OK$`)

// FuzzDialogue sends a message and whatever a client may say, behind a login. The
// server must answer with lines of the grammar, give out the message as it is,
// move nothing that was not marked, and end.
func FuzzDialogue(f *testing.F) {
	for _, seed := range []string{
		"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 2\r\nDELE 1\r\nQUIT\r\n", "DELE 1\r\nRSET\r\nDELE 2\r\nquit\n", "CAPA\r\nNOOP\r\nUTF8\r\nLIST 1\r\nUIDL 2\r\n",
		"AUTH PLAIN\r\n*\r\nUSER a\r\nSTLS\r\n", "RETR 99999999999999999999\r\nTOP 1\r\n\x00\xff\r\r\n", strings.Repeat("DELE 1\r\n", 60), strings.Repeat("x", 2000),
	} {
		f.Add([]byte("a: b\r\n\r\n.\r\n..x\r\n"), []byte(seed), false)
		f.Add([]byte("\n.\n"), []byte("USER "+testUser+"\r\nPASS "+testPassword+"\r\n"+seed), true)
	}
	f.Fuzz(func(t *testing.T, message, input []byte, before bool) {
		if len(message) > 1<<16 || len(input) > 1<<16 {
			t.Skip()
		}
		st := &heldStore{messages: []string{string(message), "x\r\n"}}
		users := &users{grants: map[string][]storage.Grant{testUser: {{Mailbox: 1, Address: testUser, Permission: storage.MayAll}}}}
		clk := clock.System{}
		srv := NewServer(Config{Store: st, Directory: users, Clock: clk, Guesses: guesses.Alone(clk)})
		srv.timing.failDelay = time.Microsecond
		var login string
		if !before {
			login = fmt.Sprintf("USER %s\r\nPASS %s\r\n", testUser, testPassword)
		}
		wire := &transcript{in: strings.NewReader(login + "RETR 1\r\n" + string(input) + "\r\nQUIT\r\n")}
		c := newConn(t.Context(), srv, wire)
		c.net = &secured{wire} // as behind TLS
		c.serve(false)
		c.close()
		out := wire.out.Bytes()
		judge(t, out, message, !before)
		if n := len(st.moved); n > 0 && !bytes.Contains(bytes.ToUpper(input), []byte("DELE")) {
			t.Fatalf("%d messages moved by %q", n, input)
		}
	})
}

// judge reads what the server sent. Behind the login the first answer is the message.
func judge(t *testing.T, out, message []byte, loggedIn bool) {
	r := bufio.NewReader(bytes.NewReader(out))
	line := func() (string, bool) {
		l, err := r.ReadString('\n')
		return strings.TrimSuffix(l, "\r\n"), err == nil && strings.HasSuffix(l, "\r\n")
	}
	if loggedIn {
		for range 4 { // greeting, USER, PASS, RETR
			if l, ok := line(); !ok || !strings.HasPrefix(l, "+OK") {
				t.Fatalf("%q", l)
			}
		}
		var got bytes.Buffer
		for {
			l, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("message not ended: %q", got.Bytes())
			}
			if l == ".\r\n" {
				break
			}
			got.WriteString(strings.TrimPrefix(l, "."))
		}
		if want := inLines(message); !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("got %q, want %q", got.Bytes(), want)
		}
	}
	text := false // of an answer in several lines, which any +OK may begin
	for {
		l, ok := line()
		if !ok {
			return
		}
		switch {
		case response.MatchString(l):
			text = strings.HasPrefix(l, "+OK")
		case l == "." && text:
			text = false
		case !text:
			t.Fatalf("no response: %q in %q", l, out)
		}
	}
}

// inLines is a message with the line ends that POP3 gives it.
func inLines(message []byte) []byte {
	var out []byte
	for i, b := range message {
		if b == '\n' && (i == 0 || message[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, b)
	}
	switch {
	case len(out) == 0 || bytes.HasSuffix(out, []byte("\n")):
		return out
	case bytes.HasSuffix(out, []byte("\r")):
		return append(out, '\n')
	}
	return append(out, "\r\n"...)
}

// transcript is a connection on which a client has said everything already.
type transcript struct {
	net.Conn // nil: nothing else is called
	in       *strings.Reader
	out      bytes.Buffer
}

func (t *transcript) Read(p []byte) (int, error)  { return t.in.Read(p) }
func (t *transcript) Write(p []byte) (int, error) { return t.out.Write(p) }
func (t *transcript) Close() error                { return nil }
func (t *transcript) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// secured is a connection other than the raw one, as TLS is.
type secured struct{ net.Conn }
