// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// tool returns the path of a program of a Debian package.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install --no-install-recommends %s", name, pkg)
	}
	return path
}

// mbsync brings a folder down with the octets it has, sends up what is new, and
// finds nothing to do the second time.
func TestMbsync(t *testing.T) {
	mbsync := tool(t, "mbsync", "isync")
	f := newFixture(t)
	want := map[string]bool{}
	for i := range 30 {
		text := fmt.Sprintf("%s\r\nper\xc3\xb2 \xe0 %s", strings.TrimSuffix(message(fmt.Sprint(i)), "\r\n"), strings.Repeat("riga\r\n", i*1000))
		f.deliver("INBOX", text, []string{`\Seen`, `\Flagged`, `\Answered`}[i%3])
		want[text] = true
	}
	f.deliver("Bozze", nested)
	dir := t.TempDir()
	mail := filepath.Join(dir, "mail")
	if err := os.Mkdir(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(f.tls.Addr().String())
	config := filepath.Join(dir, "mbsyncrc")
	err := os.WriteFile(config, []byte(fmt.Sprintf(`IMAPStore far
Host localhost
Port %s
User %s
PassCmd "echo '%s'"
SSLType IMAPS
SystemCertificates no
CertificateFile %s

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel tutto
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, port, testUser, testPassword, f.caFile, mail, mail)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	sync := func() string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), mbsync, "-c", config, "-V", "-a").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, f.logs)
		}
		return string(out)
	}
	sync()
	// A Maildir has LF line ends; mbsync takes the CR off.
	got := maildir(t, filepath.Join(mail, "INBOX"))
	for text := range want {
		if !slices.Contains(got, strings.ReplaceAll(text, "\r\n", "\n")) {
			t.Errorf("not among the files: %.60q…", text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files for %d messages", len(got), len(want))
	}
	fresh := message("nuova bozza") + strings.Repeat("parola parola\r\n", 10000)
	if err := os.WriteFile(filepath.Join(mail, "Bozze", "new", "1.x.y"), []byte(strings.ReplaceAll(fresh, "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	f.commit(&storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: []uint32{3, 4}})
	f.deliver("INBOX", message("arrivata"))
	sync()
	if n := len(maildir(t, filepath.Join(mail, "INBOX"))); n != len(want)-1 {
		t.Errorf("%d files", n)
	}
	s := f.open("Bozze")
	if up := tuid.ReplaceAll(s.literal("UID FETCH 2 BODY.PEEK[]"), nil); string(up) != fresh {
		t.Errorf("sent up: %d octets for %d", len(up), len(fresh))
	}
	before := f.folder("INBOX").ModSeq
	if sync(); f.folder("INBOX").ModSeq != before {
		t.Error("a sync without changes changed something")
	}
}

// tuid is the header field that mbsync itself adds to what it copies.
var tuid = regexp.MustCompile(`X-TUID: \S+\r?\n`)

// maildir returns the messages of a Maildir.
func maildir(t *testing.T, dir string) []string {
	t.Helper()
	var texts []string
	for _, sub := range []string{"cur", "new"} {
		files, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, tuid.ReplaceAllString(string(b), ""))
		}
	}
	return texts
}

// curl fetches exactly what is stored, lists and searches.
func TestCurl(t *testing.T) {
	curl := tool(t, "curl", "curl")
	f := newFixture(t)
	text := message("uno") + "perch\xe9 " + strings.Repeat("y", 100000)
	f.deliver("INBOX", text)
	_, port, _ := net.SplitHostPort(f.tls.Addr().String())
	_, plain, _ := net.SplitHostPort(f.plain.Addr().String())
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--cacert", f.caFile, "-u", testUser + ":" + testPassword}, args...)...).Output()
		if err != nil {
			t.Fatalf("curl %q: %v\n%s", args, err, f.logs)
		}
		return string(out)
	}
	if got := run("imaps://localhost:" + port + "/INBOX;UID=1"); got != text {
		t.Errorf("%d octets for %d", len(got), len(text))
	}
	if got := run("--ssl-reqd", "imap://localhost:"+plain+"/INBOX;UID=1"); got != text {
		t.Errorf("STARTTLS: %d octets for %d", len(got), len(text))
	}
	if got := run("imaps://localhost:"+port+"/INBOX", "-X", "SEARCH SUBJECT uno"); !strings.Contains(got, "* SEARCH 1") {
		t.Errorf("%q", got)
	}
	if got := run("imaps://localhost:" + port + "/"); !strings.Contains(got, "Posta inviata") {
		t.Errorf("%q", got)
	}
	file := filepath.Join(t.TempDir(), "m.eml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run("-T", file, "imaps://localhost:"+port+"/Bozze")
	s := f.open("Bozze")
	if got := s.literal("FETCH 1 BODY[]"); string(got) != text {
		t.Errorf("appended: %d octets for %d", len(got), len(text))
	}
}
