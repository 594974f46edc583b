// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bodyFile is the list of a body with 40 Standard and 70 Strutturata mailboxes, as
// a spreadsheet saves it. The first Strutturata has two people besides its own login.
func bodyFile(domain string) string {
	var b strings.Builder
	b.WriteString("\ufeffIndirizzo;Tipologia;Intestatario;Utente;Nome;Permessi\r\n")
	for i := range 40 {
		fmt.Fprintf(&b, "persona%02d@%s;Standard;Persona %d;;;\r\n", i+1, domain, i+1)
	}
	for i := range 70 {
		fmt.Fprintf(&b, "ufficio%02d@%s;Strutturata;Ufficio %d;;;\r\n", i+1, domain, i+1)
	}
	fmt.Fprintf(&b, "ufficio01@%s;;;gina;Gina Verdi;\r\nufficio01@%s;;;ugo;Ugo Neri;lettura,programmi di posta\r\n", domain, domain)
	return b.String()
}

// TestS4_055_ABodyInOneCommand: a body with all its mailboxes and users comes from
// one file; they log in at once; what is wrong in a file is told by line, and then
// nothing is created. Tiers change with effect at once.
func TestS4_055_ABodyInOneCommand(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const domain = "pec.comune.example"
	file, passwords := write("ente.csv", bodyFile(domain)), filepath.Join(dir, "password.csv")
	create := []string{"body", "import", file, "--body", "c_x999", "--name", "Comune di X", "--domain", domain}

	p.refused("una casella Standard ha un solo utente", "body", "import", write("due.csv", bodyFile(domain)+"persona01@"+domain+";;;gina;;\n"),
		"--body", "c_x999", "--name", "Comune di X", "--domain", domain, "--passwords", passwords)
	p.refused("riga / line 114: ", "body", "import", write("righe.csv", bodyFile(domain)+"x;Standard\n"), "--body", "c_x999", "--name", "Comune di X", "--domain", domain)
	if _, err := os.Stat(passwords); !os.IsNotExist(err) {
		t.Errorf("passwords of nobody: %v", err)
	}
	if out := p.do(append(create, "--dry-run")...); !strings.Contains(out, "da creare / to be created: caselle / mailboxes 110, utenti nuovi / new users 112") {
		t.Error(out)
	}
	if out := p.do("body", "list"); strings.Contains(out, "c_x999") {
		t.Errorf("something was created: %s", out)
	}
	if out := p.do(append(create, "--passwords", passwords)...); !strings.Contains(out, "caselle / mailboxes 110") {
		t.Error(out)
	}
	if out := p.do("body", "show", "c_x999"); !strings.Contains(out, "standard") || !strings.Contains(out, "40") || !strings.Contains(out, "70") {
		t.Error(out)
	}

	// Everybody got a password, and logs in.
	text, err := os.ReadFile(passwords)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 113 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	of := make(map[string]string)
	for _, row := range rows {
		of[row[0]] = row[2]
	}
	standard, box := "persona40@"+domain, "ufficio01@"+domain
	for _, login := range []string{standard, "ufficio70@" + domain, "gina", "ugo"} {
		if !p.reads("PLAIN", login, of[login]) {
			t.Errorf("%s cannot log in", login)
		}
	}
	p.refused("trasforma in Strutturata", "user", "grant", "gina", standard, "--may", "read")
	p.refused("in uso", create...)

	// The tier changes at once: quota over IMAP, who may send over SMTP.
	quota := func(login string) string {
		_, port := d.hostPort(t, "ALFA_IMAPS")
		r := runWithin(t, minute, "curl", "--silent", "--show-error", "--max-time", "30", "--cacert", d.file(t, "CA_FILE"), "--user", login+":"+of[login],
			"imaps://localhost:"+port+"/", "--request", "GETQUOTAROOT INBOX")
		return string(r.stdout)
	}
	for _, c := range []struct{ tier, sends string }{{"strutturata", "250"}, {"small", "550"}, {"strutturata", "250"}} {
		p.do("mailbox", "transform", box, c.tier)
		code, said := p.send("gina", of["gina"], box)
		if ok := code == 0; ok != (c.sends == "250") || !strings.Contains(said, c.sends) {
			t.Errorf("%s: a person sends: %d\n%s", c.tier, code, said)
		}
	}
	if got := quota(standard); !strings.Contains(got, "STORAGE 0 3145728") {
		t.Errorf("a Standard mailbox: %s", got)
	}
	p.do("mailbox", "transform", standard, "strutturata")
	if got := quota(standard); !strings.Contains(got, "STORAGE 0 6291456") {
		t.Errorf("made a Strutturata: %s", got)
	}
	p.do("mailbox", "raise", standard, "--quota-gib", "8")
	if got := quota(standard); !strings.Contains(got, "STORAGE 0 8388608") {
		t.Errorf("raised: %s", got)
	}
	p.do("mailbox", "transform", standard, "standard")
	if got := quota(standard); !strings.Contains(got, "STORAGE 0 8388608") {
		t.Errorf("what was raised is gone: %s", got)
	}
	p.refused("gina, ugo", "mailbox", "transform", box, "standard")
	p.do("mailbox", "ordinary", standard, "closed", "--redirect", "persona@comune.example")
	show := p.do("mailbox", "show", standard)
	for _, want := range []string{"8 GB", "alzato / raised", "c_x999", "persona@comune.example", "read,write,send,client,settings"} {
		if !strings.Contains(show, want) {
			t.Errorf("no %q in\n%s", want, show)
		}
	}
	if out := p.do("mailbox", "list", domain, "--csv"); strings.Count(out, "\n") != 110 || !strings.Contains(out, "persona40@"+domain+";standard;Persona 40;active;0;0;8589934592;0,0;no;no;") {
		t.Error(out)
	}
	p.do("body", "set", "c_x999", "--ceiling", "standard=40", "--ceiling", "strutturata=70")
	p.refused("massimale dell'ente per le caselle Standard è raggiunto: 40 su 40", "mailbox", "add", "persona41@"+domain)
	p.do("tier", "set", "xl", "--per-day", "60000")
	p.refused("non scendono sotto il catalogo", "tier", "set", "xl", "--per-day", "49999")
	p.refused("--yes", "mailbox", "state", standard, "closed")
	p.refused("solo una casella disattivata", "mailbox", "state", standard, "closed", "--yes")
}
