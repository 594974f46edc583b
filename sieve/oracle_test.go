// SPDX-License-Identifier: EUPL-1.2

package sieve_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"pecd/rfc822"
	"pecd/sieve"
)

// oracleMessages are what the scripts are tried on: the kinds of PEC messages, and
// ordinary ones that are written in less usual ways.
func oracleMessages() []string {
	return []string{
		strings.TrimPrefix(envelopeHeader, "Return-Path: <mario.rossi@alfa.example>\r\n") + "testo\r\n",
		"X-Ricevuta: avvenuta-consegna\r\nX-TipoRicevuta: completa\r\nFrom: posta-certificata@beta.example\r\nTo: mario.rossi@alfa.example\r\n" +
			"Subject: CONSEGNA: Ordine 7\r\nX-Riferimento-Message-ID: <7@alfa.example>\r\n\r\nconsegnato\r\n",
		"X-Trasporto: errore\r\nFrom: \"Per conto di: info@example.org\" <posta-certificata@beta.example>\r\nSubject: ANOMALIA MESSAGGIO: saldi (50%) *** oggi?\r\n" +
			"To: \"Rossi, Mario\" <mario.rossi@alfa.example>, altri: a@b.example, <c@d.example>;\r\nReply-To: info@example.org\r\n\r\nx\r\n",
		"From: utente@Example.ORG (Il Commento)\r\nTo: undisclosed-recipients:;\r\nSubject: \r\n  piegato\r\n\tdue volte\r\nX-A: uno\r\nX-A: due\r\n\r\n",
	}
}

func oracleScripts() []string {
	tests := []string{
		`header :contains "subject" "fattura"`, `header :is "subject" "CONSEGNA: Ordine 7"`, `header :is "subject" "consegna: ordine 7"`,
		`header :comparator "i;octet" :is "subject" "consegna: ordine 7"`, `header :matches "subject" "*ordine ?"`, `header :matches "subject" "consegna:*"`,
		`header :matches "subject" "*\\*\\*\\* oggi\\?"`, `header :matches "subject" "*\\*\\*\\* oggi\\!"`, `header :matches "subject" "*saldi*50*oggi*"`,
		`header :matches "subject" "saldi"`, `header :is "subject" "piegato	due volte"`, `header :contains "subject" "piegato"`,
		`header :contains "x-a" "due"`, `header :is ["x-b", "X-A"] ["tre", "uno"]`, `header :contains "x-a" ""`, `header :contains "x-b" ""`, `header :is "x-vuoto" ""`,
		`header :is "x-trasporto" "posta-certificata"`, `header :contains "x-ricevuta" ["accettazione", "avvenuta-consegna"]`, `exists "x-tiporicevuta"`,
		`exists ["from", "x-trasporto"]`, `not exists ["x-trasporto", "x-ricevuta"]`,
		`address "from" "posta-certificata@beta.example"`, `address :domain "from" "example.org"`, `address :localpart "from" "utente"`,
		`address :all :contains "from" "commento"`, `address :is "to" "mario.rossi@alfa.example"`, `address :localpart :is "to" ["c", "anna"]`,
		`address :domain :matches ["to", "cc"] "b*.example"`, `address :comparator "i;octet" :domain "from" "Example.ORG"`, `address "reply-to" "INFO@example.org"`,
		`envelope "from" "mittente@gamma.example"`, `envelope :domain :contains "to" "alfa"`, `envelope :localpart ["to", "from"] "mittente"`,
		`size :over 10`, `size :under 10`, `size :over 1K`, `size :under 1M`,
		`allof (exists "subject", not header :contains "subject" "saldi", true)`, `anyof (false, header :contains "subject" "saldi", false)`,
		`not anyof (exists "x-a", allof (exists "x-trasporto", header :is "x-trasporto" "errore"))`,
	}
	var scripts []string
	for _, t := range tests {
		scripts = append(scripts, all+"if "+t+` { fileinto "Si"; } else { keep; }`)
	}
	return append(scripts,
		all+`fileinto :copy "A/B"; fileinto "C"; stop; fileinto "D";`, all+`fileinto :copy "A"; redirect :copy "x@y.example";`,
		all+`if header :contains "subject" "ordine" { fileinto "Ordini"; stop; } elsif exists "x-trasporto" { addflag "\\Flagged"; fileinto :copy "Buste"; } redirect :copy "z@y.example";`,
		all+`addflag ["\\Seen", "$A"]; removeflag "$a"; keep;`, all+`setflag "\\Answered"; addflag "\\Draft"; fileinto :flags "\\Seen" "A"; fileinto "B";`,
		all+`addflag "\\Seen"; if hasflag :contains "een" { fileinto "A"; }`, all+`addflag "\\Flagged"; keep; removeflag "\\Flagged"; fileinto "A";`,
		all+`fileinto "A"; fileinto "A"; keep; keep;`, `keep;`, ``, `stop;`, all+`redirect :copy "x@y.example"; redirect :copy "x@Y.example"; fileinto "INBOX";`,
	)
}

// TestAgreesWithPigeonhole compares what scripts of the subset do with what
// Dovecot's implementation of Sieve says of them.
func TestAgreesWithPigeonhole(t *testing.T) {
	if _, err := exec.LookPath("sieve-test"); err != nil {
		t.Fatal("sieve-test is missing: apt-get install dovecot-sieve")
	}
	p := newPigeonhole(t)
	var compared, moved atomic.Int32
	t.Run("scripts", func(t *testing.T) {
		for n, script := range oracleScripts() {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				p.compare(t, n, script, &compared, &moved)
			})
		}
	})
	if moved.Load() < compared.Load()/4 {
		t.Errorf("only %d of %d runs did something", moved.Load(), compared.Load())
	}
}

// compare tries one script on all messages.
func (p pigeonhole) compare(t *testing.T, n int, script string, compared, moved *atomic.Int32) {
	s, err := sieve.Compile(script)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	file := p.write(t, fmt.Sprintf("s%d.sieve", n), script)
	for i, raw := range oracleMessages() {
		h, err := rfc822.ParseHeader([]byte(raw), rfc822.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Run(sieve.Message{Header: h, Size: int64(len(raw)), From: "mittente@gamma.example", To: "mario.rossi@alfa.example"})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		ours, theirs := inTheirWords(a), p.says(t, file, p.write(t, fmt.Sprintf("m%d-%d.eml", n, i), raw))
		if ours != theirs {
			t.Errorf("%s\non message %d:\nhere        %s\nPigeonhole  %s", strings.TrimPrefix(script, all), i, ours, theirs)
		}
		compared.Add(1)
		if !a.Plain() {
			moved.Add(1)
		}
	}
}

// inTheirWords writes actions as pigeonhole.says does.
func inTheirWords(a sieve.Actions) string {
	var lines []string
	for _, f := range a.File {
		flags := make([]string, len(f.Flags))
		for i := range flags {
			flags[i] = strings.ToLower(f.Flags[i])
		}
		slices.Sort(flags)
		lines = append(lines, fmt.Sprint("store ", f.Folder, flags))
	}
	for _, to := range a.Forward {
		lines = append(lines, "redirect "+strings.ToLower(to))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// pigeonhole runs sieve-test in a folder of its own, which is another user's
// where the tests are root's: it refuses to work for root.
type pigeonhole struct{ dir string }

func newPigeonhole(t *testing.T) pigeonhole {
	dir, err := os.MkdirTemp("", "sieve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := pigeonhole{dir}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534
	}
	p.write(t, "dovecot.conf", fmt.Sprintf(`mail_location = maildir:%[1]s/mail
mail_home = %[1]s
mail_uid = %[2]d
mail_gid = %[3]d
first_valid_uid = 1
ssl = no
log_path = /dev/stderr
plugin {
  sieve_extensions = fileinto copy envelope imap4flags mailbox
  sieve_max_redirects = 8
}
`, dir, uid, gid))
	return p
}

func (p pigeonhole) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p pigeonhole) says(t *testing.T, script, message string) string {
	out, err := exec.Command("sieve-test", "-c", filepath.Join(p.dir, "dovecot.conf"), "-f", "mittente@gamma.example",
		"-a", "mario.rossi@alfa.example", "-r", "mario.rossi@alfa.example", script, message).CombinedOutput()
	if err != nil {
		t.Fatalf("sieve-test: %v\n%s", err, out)
	}
	store := regexp.MustCompile(`^ \* store message in folder: (.*)$`)
	flagged := regexp.MustCompile(`^ +\+ add IMAP flags:(.*)$`)
	redirected := regexp.MustCompile(`^ \* redirect message to: <(.*)>$`)
	var lines []string
	folder, flags := "", []string(nil)
	end := func() {
		if folder != "" {
			slices.Sort(flags)
			lines = append(lines, fmt.Sprint("store ", folder, flags))
		}
		folder, flags = "", nil
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if m := store.FindStringSubmatch(line); m != nil {
			end()
			folder = m[1]
		} else if m := flagged.FindStringSubmatch(line); m != nil {
			flags = strings.Fields(strings.ToLower(m[1]))
		} else if m := redirected.FindStringSubmatch(line); m != nil {
			lines = append(lines, "redirect "+strings.ToLower(m[1]))
		}
	}
	end()
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
