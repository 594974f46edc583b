// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const minute = time.Minute

// swaksSubmit sends a message through a submission port with swaks: STARTTLS
// with the demo's CA checked, AUTH PLAIN.
func (d *demo) swaksSubmit(t testing.TB, a account, to []string, message []byte) {
	t.Helper()
	r := d.swaks(t, d.get(t, a.provider+"_SUBMISSION"), a.address, to, message,
		"--tls", "--tls-verify", "--tls-ca-path", d.file(t, "CA_FILE"),
		"--auth", "PLAIN", "--auth-user", a.address, "--auth-password", d.password(t))
	if r.code != 0 {
		t.Fatalf("swaks: exit %d\n%s%s", r.code, transcript(r.stdout), r.stderr)
	}
}

// swaks sends a message exactly as it is and returns how swaks ended.
func (d *demo) swaks(t testing.TB, server, from string, to []string, message []byte, args ...string) result {
	t.Helper()
	need(t, "swaks", "perl")
	// --no-data-fixup keeps swaks from touching the message; what SMTP adds to
	// it, the doubled dots and the final one, is then ours to write.
	wire := bytes.ReplaceAll(append([]byte("\r\n"), message...), []byte("\r\n."), []byte("\r\n.."))[2:]
	if !bytes.HasSuffix(wire, []byte("\r\n")) {
		wire = append(wire, "\r\n"...)
	}
	file := write(t, "message.eml", append(wire, ".\r\n"...))
	all := append([]string{"--server", server, "--from", from, "--to", strings.Join(to, ","), "--ehlo", "client.example",
		"--timeout", "60", "--data", "@" + file, "--no-data-fixup", "--suppress-data"}, args...)
	return runWithin(t, 5*minute, "swaks", all...)
}

// transcript is the dialogue of swaks without long lines.
func transcript(out []byte) string {
	var b strings.Builder
	for _, line := range strings.Split(string(out), "\n") {
		fmt.Fprintf(&b, "%.200s\n", line)
	}
	return b.String()
}

// mbsync fetches a whole INBOX with isync and returns the messages, with the
// LF line ends of a Maildir and without the line mbsync adds for itself.
func (d *demo) mbsync(t testing.TB, a account) [][]byte {
	t.Helper()
	need(t, "mbsync")
	dir := t.TempDir()
	_, port := d.hostPort(t, a.provider+"_IMAPS")
	// isync compares host names only, never IP addresses, with a certificate.
	config := fmt.Sprintf(`IMAPAccount pec
Host localhost
Port %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account pec

MaildirStore near
Path %s/
Inbox %s/INBOX

Channel pec
Far :far:
Near :near:
Patterns INBOX
Sync Pull
Create Near
SyncState *
`, port, a.address, d.password(t), d.file(t, "CA_FILE"), dir, dir)
	rc := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mbsync", "-c", rc, "pec")
	var out [][]byte
	for _, sub := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(dir, "INBOX", sub, "*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, withoutTUID(b))
		}
	}
	return out
}

// withoutTUID removes the X-TUID field that mbsync writes into its copy.
func withoutTUID(b []byte) []byte {
	start := bytes.Index(b, []byte("X-TUID: "))
	if start < 0 || (start > 0 && b[start-1] != '\n') {
		return b
	}
	end := start + bytes.IndexByte(b[start:], '\n') + 1
	return append(append([]byte{}, b[:start]...), b[end:]...)
}

// curl fetches one message of INBOX with curl's IMAP client.
func (d *demo) curl(t testing.TB, a account, uid uint32) []byte {
	t.Helper()
	need(t, "curl")
	return run(t, "curl", "--silent", "--show-error", "--cacert", d.file(t, "CA_FILE"),
		"--user", a.address+":"+d.password(t),
		fmt.Sprintf("imaps://%s/INBOX;UID=%d", d.get(t, a.provider+"_IMAPS"), uid))
}

// decodePart undoes a content transfer encoding.
func decodePart(encoding string, body []byte) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "", "7bit", "8bit", "binary":
		return body, nil
	}
	return nil, fmt.Errorf("unknown encoding %q", encoding)
}
