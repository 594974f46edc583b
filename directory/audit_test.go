// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// records returns what was written to the log since the record number after, a
// line each.
func (h house) records(after int64) []string {
	h.t.Helper()
	var lines []string
	h.ok(h.st.Records(ctx, after+1, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		if err != nil || string(e.Kind) != r.Event || e.Mailbox != r.Mailbox {
			return fmt.Errorf("%+v: %w", r, err)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s by %s: %s %s %s %s [%s > %s] %s", e.Kind, e.Actor, e.Domain, e.Mailbox, e.User, e.Program, e.From, e.To, e.Detail)))
		return nil
	}))
	return lines
}

func (h house) lastRecord() int64 {
	h.t.Helper()
	st, err := h.st.LogState(ctx)
	h.ok(err)
	return st.Last
}

// TestProgramsAreRecordedByNumber: the records of an application password carry
// its number, by which two of one name are told apart.
func TestProgramsAreRecordedByNumber(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Password: password}))
	after := h.lastRecord()
	var want, got []string
	for range 2 {
		a, _, err := h.CreateProgram(ctx, NewProgram{Login: "anna", Name: "Telefono", Protocols: storage.ByIMAP, Permission: storage.MayRead})
		h.ok(err)
		h.ok(h.RevokeProgram(ctx, "anna", a.ID))
		want = append(want, fmt.Sprint("app_password.created Telefono ", a.ID), fmt.Sprint("app_password.revoked Telefono ", a.ID))
	}
	h.ok(h.st.Records(ctx, after+1, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		got = append(got, fmt.Sprint(e.Kind, " ", e.Program, " ", e.ProgramID))
		return err
	}))
	if !slices.Equal(got, want) || want[0] == want[2] {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every change of the administration is recorded in its own step, with who made
// it and what was before; what changes nothing is not.
func TestAdministrationIsRecorded(t *testing.T) {
	h := newHouse(t)
	counted(h)
	yes, no := true, false
	by := As(ctx, "root")
	var id int64
	options := func(by context.Context, address string, o Options) error {
		_, _, err := h.SetOptions(by, address, o)
		return err
	}
	for _, c := range []struct {
		do   func() error
		want []string
	}{
		{func() error { return h.CreateDomain(by, "terzo.example", storage.DomainPending) }, []string{"domain.state by root: terzo.example    [ > pending]"}},
		{func() error {
			_, err := h.CreateMailbox(by, NewMailbox{Address: "g@terzo.example", Tier: "strutturata", User: &NewUser{Password: password}})
			return err
		}, []string{
			"mailbox.created by root:  g@terzo.example   [ > provisioned_uncertified] strutturata", "user.created by root:   g@terzo.example  [ > ]",
			"user.grant by root:  g@terzo.example g@terzo.example  [ > read,write,send,client,settings]",
		}},
		{func() error { return h.CertifyDomain(by, "terzo.example") }, []string{
			"domain.state by root: terzo.example    [pending > certified]", "mailbox.state by root:  g@terzo.example   [provisioned_uncertified > active]"}},
		{func() error { return h.CertifyDomain(by, "terzo.example") }, nil},
		{func() error { return h.SetMailboxState(ctx, "g@terzo.example", storage.MailboxBlocked) }, []string{"mailbox.state by :  g@terzo.example   [active > blocked]"}},
		{func() error { return h.SetMailboxState(by, "g@terzo.example", storage.MailboxBlocked) }, nil},
		{func() error { return h.SetMailboxState(by, "g@terzo.example", storage.MailboxActive) }, []string{"mailbox.state by root:  g@terzo.example   [blocked > active]"}},
		{func() error { return h.SetOrdinary(by, "G@terzo.example", true) }, []string{"ordinary_mail.opened by root:  g@terzo.example   [ > ]"}},
		{func() error { return h.SetOrdinary(by, "G@terzo.example", false) }, []string{"ordinary_mail.closed by root:  g@terzo.example   [ > ]"}},
		{func() error { return options(by, "g@terzo.example", Options{PersonalSeen: &yes, FileReceipts: &yes}) }, []string{"mailbox.options by root:  g@terzo.example   [ > personal_seen,file_receipts]"}},
		{func() error { return options(by, "g@terzo.example", Options{PersonalSeen: &no, FileSent: &yes}) }, []string{"mailbox.options by root:  g@terzo.example   [personal_seen,file_receipts > file_sent,file_receipts]"}},
		{func() error { return options(by, "g@terzo.example", Options{FileSent: &yes}) }, nil},
		{func() error { return h.CreateUser(by, NewUser{Login: "Anna", Password: password}) }, []string{"user.created by root:   anna  [ > ]"}},
		{func() error { return h.Grant(by, "anna", "g@terzo.example", storage.MayRead|storage.MayUseClient) }, []string{"user.grant by root:  g@terzo.example anna  [ > read,client]"}},
		{func() error { return h.Grant(by, "anna", "g@terzo.example", storage.MayRead|storage.MayUseClient) }, nil},
		{func() error { return h.Grant(by, "anna", "g@terzo.example", storage.MayRead) }, []string{"user.grant by root:  g@terzo.example anna  [read,client > read]"}},
		{func() error { return h.SetPassword(by, "anna", "un'altra password") }, []string{"user.password_reset by root:   anna  [ > ]"}},
		{func() error { return h.SetUserDisabled(by, "anna", true) }, []string{"user.disabled by root:   anna  [ > ]"}},
		{func() error { return h.SetUserDisabled(by, "anna", true) }, nil},
		{func() error { return h.SetUserDisabled(by, "anna", false) }, []string{"user.enabled by root:   anna  [ > ]"}},
		{func() error {
			a, _, err := h.CreateProgram(by, NewProgram{Login: "anna", Name: "Telefono", Mailbox: "G@terzo.example", Protocols: storage.ByIMAP, Permission: storage.MayRead})
			id = a.ID
			return err
		}, []string{"app_password.created by root:  g@terzo.example anna Telefono [ > imap: read]"}},
		{func() error { return h.RevokeProgram(by, "anna", id) }, []string{"app_password.revoked by root:  g@terzo.example anna Telefono [imap: read > ]"}},
		{func() error {
			_, _, err := h.CreateProgram(by, NewProgram{Login: "anna", Name: "Tablet", Protocols: storage.ByIMAP | storage.ByPOP3, Permission: storage.MayRead})
			return err
		}, []string{"app_password.created by root:   anna Tablet [ > imap,pop3: read]"}},
		{func() error { return h.DeleteUser(by, "anna") }, []string{
			"user.deleted by root:   anna  [ > ]", "user.grant by root:  g@terzo.example anna  [read > ]", "app_password.revoked by root:   anna Tablet [imap,pop3: read > ]"}},
		{func() error {
			tier, err := h.Tier(ctx, "standard")
			h.ok(err)
			tier.MaxPerDay = 900
			return h.SetTier(by, tier)
		}, []string{"tier.changed by root:     [quota=3221225472 day=500 minute=50 recipients=1000 message=104857600 recipients_minute=2000 recipients_day=20000 multi_user=false application=false notices=true > " +
			"quota=3221225472 day=900 minute=50 recipients=1000 message=104857600 recipients_minute=2000 recipients_day=20000 multi_user=false application=false notices=true] standard"}},
	} {
		last := h.lastRecord()
		h.ok(c.do())
		if got := h.records(last); !slices.Equal(got, c.want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestS0_44_DeletingAUser(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.mailbox("gruppo@alfa.example", "strutturata")
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Name: "Anna", Password: password}))
	h.ok(h.Grant(ctx, "anna", "gruppo@alfa.example", storage.MayAll))
	_, secret := h.program(NewProgram{Login: "anna", Name: "Telefono"})
	var sessions []Principal
	for _, pw := range []string{password, secret} {
		p, err := h.Authenticate(ctx, "anna", pw, storage.ByIMAP)
		h.ok(err)
		sessions = append(sessions, p)
	}
	h.want(h.DeleteUser(ctx, "gruppo@alfa.example"), fault.Conflict)
	h.ok(h.DeleteUser(ctx, "ANNA"))
	for _, p := range sessions {
		h.want(h.Still(ctx, p), fault.Denied)
	}
	for _, pw := range []string{password, secret, "-"} {
		_, err := h.Authenticate(ctx, "anna", pw, storage.ByIMAP)
		h.want(err, fault.Denied)
	}
	// She is nobody any more, and nobody else becomes her.
	h.want(h.DeleteUser(ctx, "anna"), fault.NotFound)
	h.want(h.SetUserDisabled(ctx, "anna", false), fault.NotFound)
	h.want(h.SetPassword(ctx, "anna", password), fault.NotFound)
	h.want(h.Grant(ctx, "anna", "gruppo@alfa.example", storage.MayRead), fault.NotFound)
	_, err := h.User(ctx, "anna")
	h.want(err, fault.NotFound)
	h.want(h.CreateUser(ctx, NewUser{Login: "Anna", Password: password}), fault.Exists)
	var users []string
	h.ok(h.ListUsers(ctx, func(u storage.User) error { users = append(users, u.Login); return nil }))
	grants, err := h.UsersOf(ctx, "Gruppo@alfa.example")
	if err != nil || len(grants) != 1 || fmt.Sprint(users) != "[gruppo@alfa.example]" {
		t.Errorf("%v, %v, %v", users, grants, err)
	}
	_, err = h.UsersOf(ctx, "nessuno@alfa.example")
	h.want(err, fault.NotFound)

	// The login of a mailbox goes when the mailbox is closed.
	h.ok(h.SetMailboxState(ctx, "gruppo@alfa.example", storage.MailboxDeactivated))
	h.want(h.DeleteUser(ctx, "gruppo@alfa.example"), fault.Conflict)
	h.ok(h.SetMailboxState(ctx, "gruppo@alfa.example", storage.MailboxClosed))
	h.ok(h.DeleteUser(ctx, "gruppo@alfa.example"))
}

func TestWordsOfPermissionsAndProtocols(t *testing.T) {
	for s, want := range map[string]storage.Permission{
		"read": storage.MayRead, "Lettura, INVIO": storage.MayRead | storage.MaySend, "all": storage.MayAll, "tutti": storage.MayAll,
		"settings,write,client": storage.MayChangeSettings | storage.MayWrite | storage.MayUseClient, "programmi di posta": storage.MayUseClient,
		"": 0, "read,": 0, "read,delete": 0, "imap": 0,
	} {
		got, err := ParsePermissions(s)
		if got != want || (err != nil) != (want == 0) || err != nil && (!fault.Is(err, fault.Invalid) || fault.TextOf(err) == "") {
			t.Errorf("%q: %v, %v", s, got, err)
		}
		if want != 0 {
			if again, err := ParsePermissions(PermissionNames(got)); err != nil || again != got {
				t.Errorf("%q: %v, %v", PermissionNames(got), again, err)
			}
		}
	}
	if s := PermissionNames(storage.MayAll); s != "read,write,send,client,settings" {
		t.Error(s)
	}
	if s := PermissionTexts(storage.MayAll); s != "lettura,scrittura,invio,programmi di posta,impostazioni" {
		t.Error(s)
	}
	for s, want := range map[string]storage.Protocol{"imap,POP3": storage.ByIMAP | storage.ByPOP3, "all": storage.ByAll, "submission,web": storage.BySubmission | storage.ByWeb, "smtp": 0} {
		got, err := ParseProtocols(s)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if s := ProtocolNames(storage.ByAll); s != "imap,pop3,submission,web" {
		t.Error(s)
	}
}
