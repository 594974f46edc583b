// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

const (
	bando     = "bando@alfa.example"
	tributi   = "tributi@alfa.example"
	atBando   = "Altre caselle/" + bando
	atTributi = "Altre caselle/" + tributi
)

// as returns a raw connection of another login.
func (f *fixture) as(login, folder string) *script {
	f.t.Helper()
	s := f.script()
	s.ok("LOGIN %s %q", login, testPassword)
	if folder != "" {
		s.ok("SELECT %q", folder)
	}
	return s
}

// in puts a message into a folder of another mailbox.
func (f *fixture) in(box storage.MailboxID, folder, text string, flags ...string) uint32 {
	f.t.Helper()
	body := &storage.NewBody{Head: []byte(text)}
	op := &storage.Append{Mailbox: box, Name: folder, Body: storage.BodyRef{New: body}, Flags: flags}
	f.commit(body, op)
	return op.UID
}

// office is a fixture where Anna has two mailboxes beside her own: one of which
// she may only read.
func office(t *testing.T) (f *fixture, box, readable storage.MailboxID) {
	f = newFixture(t)
	box, readable = f.addMailbox(bando, 1<<20), f.addMailbox(tributi, 1<<20)
	f.grant(testUser, storage.MayAll, box, bando)
	f.grant(testUser, storage.MayRead|storage.MayUseClient, readable, tributi)
	return f, box, readable
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// contains tells whether a line has a part.
func contains(lines []string, part string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, part) })
}

func TestOtherMailboxesListed(t *testing.T) {
	f, box, _ := office(t)
	s := f.open("")
	wantLines(t, s.ok("NAMESPACE"), `* NAMESPACE (("" "/")) (("Altre caselle/" "/")) NIL`)
	f.commit(&storage.CreateFolder{Mailbox: box, Name: "Bozze/2026"})

	wantLines(t, s.ok(`LIST "" %%`),
		`* LIST (\HasNoChildren) "/" INBOX`,
		`* LIST (\HasNoChildren \Drafts) "/" "Bozze"`,
		`* LIST (\HasNoChildren \Trash) "/" "Cestino"`,
		`* LIST (\HasNoChildren \Sent) "/" "Posta inviata"`,
		`* LIST (\NonExistent \Noselect \HasChildren) "/" "Altre caselle"`)
	wantLines(t, s.ok(`LIST "Altre caselle/" %%`),
		`* LIST (\NonExistent \Noselect \HasChildren) "/" "`+atBando+`"`,
		`* LIST (\NonExistent \Noselect \HasChildren) "/" "`+atTributi+`"`)
	wantLines(t, s.ok(`LIST "%s/" "*"`, atBando),
		`* LIST (\HasNoChildren) "/" "`+atBando+`/INBOX"`,
		`* LIST (\HasChildren) "/" "`+atBando+`/Bozze"`, // no special use: it is not Anna's
		`* LIST (\HasNoChildren) "/" "`+atBando+`/Bozze/2026"`,
		`* LIST (\HasNoChildren) "/" "`+atBando+`/Cestino"`,
		`* LIST (\HasNoChildren) "/" "`+atBando+`/Posta inviata"`)
	if all := s.ok(`LIST "" "*"`); len(all) != 4+1+(1+5)+(1+4) {
		t.Errorf("%d names: %q", len(all), all)
	}
	wantLines(t, s.ok(`LIST "" "%s/INBOX" RETURN (STATUS (MESSAGES))`, atTributi),
		`* LIST (\HasNoChildren) "/" "`+atTributi+`/INBOX"`,
		`* STATUS "`+atTributi+`/INBOX" (MESSAGES 0)`)
	wantLines(t, s.ok(`LIST (SPECIAL-USE) "" "*"`),
		`* LIST (\HasNoChildren \Drafts) "/" "Bozze"`,
		`* LIST (\HasNoChildren \Trash) "/" "Cestino"`,
		`* LIST (\HasNoChildren \Sent) "/" "Posta inviata"`)
	wantLines(t, s.ok(`LIST (SUBSCRIBED RECURSIVEMATCH) "" "Altre%%"`),
		`* LIST (\NonExistent \HasChildren) "/" "Altre caselle" (CHILDINFO ("SUBSCRIBED"))`)
	wantLines(t, s.ok(`LSUB "" "Altre%%"`), `* LSUB (\NonExistent \Noselect \HasChildren) "/" "Altre caselle"`)

	// Who has one mailbox sees nothing of this.
	f.grant("solo@alfa.example", storage.MayAll, f.mailbox, testUser)
	s = f.as("solo@alfa.example", "")
	wantLines(t, s.ok("NAMESPACE"), `* NAMESPACE (("" "/")) NIL NIL`)
	wantLines(t, s.ok(`LIST "" "Altre*"`))
	s.fails("NO [NONEXISTENT]", "SELECT %q", atBando+"/INBOX")
}

func TestOtherMailboxesUsed(t *testing.T) {
	f, box, readable := office(t)
	f.deliver("INBOX", message("propria"))
	f.in(box, "INBOX", message("del-bando"))
	f.in(readable, "INBOX", message("dei-tributi"))

	s := f.open("")
	lines, result := s.command("SELECT %q", strings.ToUpper("altre caselle")+"/"+strings.ToUpper(bando)+"/inbox")
	if !strings.HasPrefix(result, "OK [READ-WRITE]") || !slices.Contains(lines, "* 1 EXISTS") {
		t.Fatalf("%q %q", lines, result)
	}
	if got := string(s.literal("FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]")); !strings.Contains(got, "del-bando") {
		t.Error(got)
	}
	s.ok("COPY 1 INBOX")
	s.ok("MOVE 1 %q", "Posta inviata")
	f.in(box, "INBOX", message("un-altro"))
	s.ok("NOOP")
	s.ok("COPY 1 %q", atBando+"/Cestino")
	if n := f.folder("INBOX").Messages; n != 2 {
		t.Errorf("%d messages in the own INBOX", n)
	}
	s.fails("NO [NOPERM]", "COPY 1 %q", atTributi+"/INBOX")
	s.send("a APPEND %q {3+}\r\nabc\r\n", atBando+"/Bozze")
	s.expect(`^a OK \[APPENDUID`)
	wantLines(t, s.ok("STATUS %q (MESSAGES)", atBando+"/Bozze"), `* STATUS "`+atBando+`/Bozze" (MESSAGES 1)`)
	s.send("a APPEND %q {3+}\r\nabc\r\n", atTributi+"/INBOX")
	s.expect(`^a NO \[NOPERM\]`)

	// What she may only read stays as it is.
	if _, result := s.command("SELECT %q", atTributi+"/INBOX"); !strings.HasPrefix(result, "OK [READ-ONLY]") {
		t.Error(result)
	}
	s.literal("FETCH 1 BODY[]")
	for _, c := range []string{`STORE 1 +FLAGS (\Seen)`, "EXPUNGE", "MOVE 1 INBOX", "CREATE %q", "DELETE %q"} {
		if strings.Contains(c, "%") {
			s.fails("NO [NOPERM]", c, atTributi+"/Bozze")
		} else {
			s.fails("NO [NOPERM]", "%s", c)
		}
	}
	s.ok("COPY 1 INBOX")

	s.ok("CREATE %q", atBando+"/Pratiche/2026")
	s.ok("RENAME %q %q", atBando+"/Pratiche", atBando+"/Atti")
	s.ok("DELETE %q", atBando+"/Atti/2026")
	s.fails("NO [CANNOT]", "RENAME %q Atti", atBando+"/Atti")
	s.fails("NO [CANNOT]", "RENAME Bozze %q", atBando+"/Bozze2")
	for _, name := range []string{"Altre caselle", "Altre caselle/x", atBando, "Altre caselle/nessuno@alfa.example/INBOX"} {
		s.fails("NO [CANNOT]", "CREATE %q", name)
	}
	for _, name := range []string{"Altre caselle", atBando, "Altre caselle/nessuno@alfa.example/INBOX"} {
		s.fails("NO [NONEXISTENT]", "SELECT %q", name)
		s.fails("NO [NONEXISTENT]", "STATUS %q (MESSAGES)", name)
		s.fails("NO [NONEXISTENT]", "DELETE %q", name)
	}

	// A mailbox that is closed is gone from one moment to the next.
	m, err := f.store.MailboxByID(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	m.State = storage.MailboxDeactivated
	f.commit(&storage.PutMailbox{Mailbox: m})
	if _, result := s.command("SELECT %q", atBando+"/INBOX"); !strings.HasPrefix(result, "NO") {
		t.Error(result)
	}
	if l := s.ok(`LIST "" "Altre caselle/*"`); contains(l, bando) || !contains(l, tributi) {
		t.Errorf("%q", l)
	}
}

// Subscriptions to another mailbox's folders are those of who subscribes.
func TestOtherMailboxesSubscribed(t *testing.T) {
	f, box, _ := office(t)
	f.grant(bando, storage.MayAll, box, bando)
	s, holder := f.open(""), f.as(bando, "")
	if l := s.ok(`LSUB "" "*"`); !contains(l, atBando+`/INBOX"`) || !contains(l, atTributi+`/Bozze"`) {
		t.Errorf("%q", l)
	}
	s.ok("UNSUBSCRIBE %q", atBando+"/INBOX")
	s.ok("UNSUBSCRIBE %q", atTributi+"/Bozze") // reading is enough
	if l := s.ok(`LIST (SUBSCRIBED) "" "*"`); contains(l, atBando+`/INBOX"`) || contains(l, atTributi+`/Bozze"`) || !contains(l, atBando+`/Bozze"`) {
		t.Errorf("%q", l)
	}
	if l := holder.ok(`LSUB "" "*"`); !contains(l, "INBOX") {
		t.Errorf("%q", l)
	}
	s.ok("SUBSCRIBE %q", atBando+"/INBOX")
	if l := s.ok(`LSUB "" "*"`); !contains(l, atBando+`/INBOX"`) {
		t.Errorf("%q", l)
	}
	s.fails("NO [NONEXISTENT]", "SUBSCRIBE %q", atBando)

	// What the holder deletes stays in everybody's list until he ends that for himself.
	holder.ok("DELETE Bozze")
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" "%s/B*"`, atBando), `* LIST (\NonExistent \HasNoChildren \Subscribed) "/" "`+atBando+`/Bozze"`)
	s.ok("UNSUBSCRIBE %q", atBando+"/Bozze")
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" "%s/B*"`, atBando))
	wantLines(t, holder.ok(`LSUB "" B*`), `* LSUB (\NonExistent \Noselect \HasNoChildren) "/" "Bozze"`)
}

func TestRights(t *testing.T) {
	f, _, readable := office(t)
	f.grant("web", storage.MayRead|storage.MaySend, f.mailbox, testUser)
	s := f.open("")
	wantLines(t, s.ok("MYRIGHTS INBOX"), "* MYRIGHTS INBOX lrswipkxteacd")
	wantLines(t, s.ok("MYRIGHTS %q", atTributi+"/Bozze"), `* MYRIGHTS "`+atTributi+`/Bozze" lr`)
	m, err := f.store.MailboxByID(t.Context(), readable)
	if err != nil {
		t.Fatal(err)
	}
	m.PersonalSeen = true
	f.commit(&storage.PutMailbox{Mailbox: m})
	wantLines(t, s.ok("MYRIGHTS %q", atTributi+"/Bozze"), `* MYRIGHTS "`+atTributi+`/Bozze" lrs`)
	wantLines(t, s.ok("GETACL INBOX"), `* ACL INBOX "anna@alfa.example" lrswipkxteacd "web" lrp`)
	wantLines(t, s.ok("LISTRIGHTS INBOX web"), `* LISTRIGHTS INBOX "web" "lrp"`)
	wantLines(t, s.ok("LISTRIGHTS INBOX anyone"), `* LISTRIGHTS INBOX "anyone" ""`)
	s.fails("NO [NOPERM]", "GETACL %q", atTributi+"/INBOX")
	s.fails("NO [NOPERM]", "LISTRIGHTS %q web", atTributi+"/INBOX")
	s.fails("NO [NOPERM]", "SETACL INBOX web lr")
	s.fails("NO [NOPERM]", "DELETEACL INBOX web")
	s.fails("NO [NONEXISTENT]", "MYRIGHTS nessuna")
	s.fails("NO [NONEXISTENT]", "GETACL nessuna")
	for _, c := range []string{"MYRIGHTS", "GETACL INBOX x", "LISTRIGHTS INBOX"} {
		s.fails("BAD", "%s", c)
	}
	f.script().fails("BAD", "MYRIGHTS INBOX")
}

func TestQuotaTold(t *testing.T) {
	f, box, _ := office(t)
	s := f.open("")
	wantLines(t, s.ok("GETQUOTAROOT %q", atBando+"/Bozze"),
		`* QUOTAROOT "`+atBando+`/Bozze" "`+bando+`"`, `* QUOTA "`+bando+`" (STORAGE 0 1024)`)
	f.in(box, "INBOX", strings.Repeat("x", 1025))
	wantLines(t, s.ok("GETQUOTA %s", strings.ToUpper(bando)), `* QUOTA "`+bando+`" (STORAGE 2 1024)`)
	wantLines(t, s.ok("GETQUOTAROOT INBOX"), `* QUOTAROOT INBOX "`+testUser+`"`, `* QUOTA "`+testUser+`" (STORAGE 0 10485760)`)
	f.commit(&storage.PutTier{Tier: storage.Tier{Code: "t" + testUser}})
	wantLines(t, s.ok("GETQUOTA %s", testUser), `* QUOTA "`+testUser+`" ()`)
	s.fails("NO [NONEXISTENT]", `GETQUOTA ""`)
	s.fails("NO [NONEXISTENT]", "GETQUOTA nessuno@alfa.example")
	s.fails("NO [NONEXISTENT]", "GETQUOTAROOT %q", atBando)
	s.fails("NO [NOPERM]", "SETQUOTA %s (STORAGE 1)", testUser)
	s.fails("BAD", "GETQUOTA")

	// The bound that is told is the one that is kept.
	f.deliver("INBOX", strings.Repeat("y", 1<<20-1025+1))
	s.ok("SELECT INBOX")
	s.fails("NO [OVERQUOTA]", "COPY 1 %q", atBando+"/INBOX")
	s.send("a APPEND %q {1047552+}\r\n", atBando+"/Bozze")
	s.closed() // LITERAL-
	s = f.open("")
	s.send("a APPEND %q {1047552}\r\n", atBando+"/Bozze")
	s.expect(`^\+`)
	s.send("%s\r\n", strings.Repeat("z", 1047552))
	s.expect(`^a NO \[OVERQUOTA\]`)
	s.send("a APPEND %q {1047551}\r\n", atBando+"/Bozze")
	s.expect(`^\+`)
	s.send("%s\r\n", strings.Repeat("z", 1047551))
	s.expect(`^a OK`)
	wantLines(t, s.ok("GETQUOTA %s", bando), `* QUOTA "`+bando+`" (STORAGE 1024 1024)`)
	wantLines(t, s.ok("STATUS %q (DELETED-STORAGE)", atBando+"/Bozze"), `* STATUS "`+atBando+`/Bozze" (DELETED-STORAGE 0)`)
}
