// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"bytes"
	"fmt"
	"mime"
	"net/textproto"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// inbox is an open IMAP session on one folder that remembers what it has seen.
type inbox struct {
	t      testing.TB
	client *imapclient.Client
	folder string
	last   imap.UID
	seen   []stored
}

// stored is a message in a folder, by its header.
type stored struct {
	uid    imap.UID
	size   int64
	header textproto.MIMEHeader
}

// subject is the decoded Subject field.
func (s stored) subject() string {
	v, err := new(mime.WordDecoder).DecodeHeader(s.header.Get("Subject"))
	if err != nil {
		return s.header.Get("Subject")
	}
	return v
}

// openInbox logs in over implicit TLS and selects INBOX.
func (d *demo) openInbox(t testing.TB, a account) *inbox {
	t.Helper()
	in, err := d.tryInbox(t, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.client.Close() })
	return in
}

func (d *demo) tryInbox(t testing.TB, a account) (*inbox, error) {
	host, _ := d.hostPort(t, a.provider+"_IMAPS")
	c, err := imapclient.DialTLS(d.get(t, a.provider+"_IMAPS"), &imapclient.Options{TLSConfig: d.tls(t, host)})
	if err != nil {
		return nil, fmt.Errorf("IMAP of %s: %w", a.provider, err)
	}
	if err := c.Login(a.address, d.password(t)).Wait(); err != nil {
		c.Close()
		return nil, fmt.Errorf("LOGIN %s: %w", a.address, err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		c.Close()
		return nil, fmt.Errorf("SELECT INBOX of %s: %w", a.address, err)
	}
	return &inbox{t: t, client: c, folder: "INBOX"}, nil
}

// refresh reads the headers of messages that arrived since the last time.
func (in *inbox) refresh() []stored {
	in.t.Helper()
	if err := in.client.Noop().Wait(); err != nil {
		in.t.Fatalf("NOOP: %v", err)
	}
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}
	set := imap.UIDSet{imap.UIDRange{Start: in.last + 1, Stop: 0}}
	got, err := in.client.Fetch(set, &imap.FetchOptions{UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		in.t.Fatalf("FETCH headers: %v", err)
	}
	sort.Slice(got, func(i, j int) bool { return got[i].UID < got[j].UID })
	for _, m := range got {
		if m.UID <= in.last {
			continue // n:* always names the last message (RFC 9051 §9)
		}
		in.seen = append(in.seen, stored{m.UID, m.RFC822Size, parseHeader(m.FindBodySection(section))})
		in.last = m.UID
	}
	return in.seen
}

// parseHeader reads a header block; what is no field is passed over.
func parseHeader(block []byte) textproto.MIMEHeader {
	h, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(block, "\r\n\r\n"...)))).ReadMIMEHeader()
	return h
}

// find returns the messages that match.
func (in *inbox) find(match func(stored) bool) []stored {
	var out []stored
	for _, m := range in.refresh() {
		if match(m) {
			out = append(out, m)
		}
	}
	return out
}

// wait waits until at least n messages match and returns them.
func (in *inbox) wait(limit time.Duration, n int, what string, match func(stored) bool) []stored {
	in.t.Helper()
	var got []stored
	until(in.t, limit, fmt.Sprintf("%d × %s in %s", n, what, in.folder), func() (bool, string) {
		got = in.find(match)
		return len(got) >= n, in.subjects()
	})
	return got
}

// one waits for a message and wants exactly one.
func (in *inbox) one(limit time.Duration, what string, match func(stored) bool) stored {
	in.t.Helper()
	got := in.wait(limit, 1, what, match)
	if len(got) != 1 {
		in.t.Fatalf("%d × %s, want 1:\n%s", len(got), what, in.subjects())
	}
	return got[0]
}

func (in *inbox) subjects() string {
	var b strings.Builder
	for i, m := range in.seen {
		if i < len(in.seen)-20 {
			continue
		}
		fmt.Fprintf(&b, "\n  uid %d %q", m.uid, m.subject())
	}
	if b.Len() == 0 {
		return "nothing arrived"
	}
	return b.String()
}

// body fetches the exact bytes of a message.
func (in *inbox) body(uid imap.UID) []byte {
	in.t.Helper()
	section := &imap.FetchItemBodySection{Peek: true}
	got, err := in.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		in.t.Fatalf("FETCH BODY[] of uid %d: %v", uid, err)
	}
	if len(got) != 1 {
		in.t.Fatalf("FETCH BODY[] of uid %d returned %d messages", uid, len(got))
	}
	return got[0].FindBodySection(section)
}

// about matches what refers to a client's Message-ID, of one kind: the value of
// X-Ricevuta or X-Trasporto.
func about(msgID, kind string) func(stored) bool {
	return func(m stored) bool {
		if m.header.Get("X-Riferimento-Message-Id") != msgID {
			return false
		}
		return kind == "" || m.header.Get("X-Ricevuta") == kind || m.header.Get("X-Trasporto") == kind
	}
}
