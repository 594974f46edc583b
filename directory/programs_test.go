// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/storage"
)

const forMail = storage.MayRead | storage.MayWrite | storage.MaySend | storage.MayUseClient

// program creates an application password of the user.
func (h house) program(n NewProgram) (storage.AppPassword, string) {
	h.t.Helper()
	if n.Protocols == 0 {
		n.Protocols = storage.ByIMAP | storage.ByPOP3 | storage.BySubmission
	}
	if n.Permission == 0 {
		n.Permission = forMail
	}
	a, secret, err := h.CreateProgram(ctx, n)
	h.ok(err)
	return a, secret
}

func TestSecretsHaveTheirForm(t *testing.T) {
	seen := make(map[string]bool)
	used := make(map[rune]int)
	for range 2000 {
		s := newSecret()
		got, ok := programSecret(" " + strings.ToUpper(s) + "\t")
		if !ok || got != s || seen[s] {
			t.Fatalf("%q: %q, %v", s, got, ok)
		}
		seen[s] = true
		for _, r := range s {
			used[r]++
		}
	}
	for _, r := range secretSigns { // 50,000 signs, 1,613 of each expected
		if n := used[r]; n < 1400 || n > 1830 {
			t.Errorf("%c is used %d times", r, n)
		}
	}
	for _, s := range []string{"", password, "abcde-fghjk-mnpqr-stuvw-xyz2", "abcde-fghjk-mnpqr-stuvw-xyz10", "abcde fghjk mnpqr stuvw xyz23", "abcdefghjk-mnpqr-stuvw-xyz234"} {
		if _, ok := programSecret(s); ok {
			t.Errorf("%q passes for one", s)
		}
	}
	h := newHouse(t)
	h.want(h.CreateUser(ctx, NewUser{Login: "anna", Password: newSecret()}), fault.Invalid)
}

func TestS4_018_ProgramLogsIn(t *testing.T) {
	h := newHouse(t)
	work := counted(h)
	m := h.mailbox("gruppo@alfa.example", "strutturata")
	o := h.mailbox("altra@alfa.example", "strutturata")
	h.ok(h.Grant(ctx, "gruppo@alfa.example", o.Address, storage.MayRead))
	work()
	a, secret := h.program(NewProgram{Login: "Gruppo@alfa.example", Name: "Protocollo", Mailbox: m.Address,
		Protocols: storage.ByPOP3 | storage.BySubmission, Permission: storage.MayRead | storage.MaySend | storage.MayUseClient})
	for range 3 {
		p, err := h.Authenticate(ctx, "gruppo@ALFA.example", secret, storage.ByPOP3)
		if err != nil || p.Login != "gruppo@alfa.example" || p.Program != "Protocollo" || p.ProgramID != a.ID || p.By != storage.ByPOP3 ||
			len(p.Grants) != 1 || p.Grants[0].Mailbox != m.ID || p.Grants[0].Permission != storage.MayRead|storage.MaySend|storage.MayUseClient {
			t.Errorf("%+v, %v", p, err)
		}
	}
	all, ofAll := h.program(NewProgram{Login: "gruppo@alfa.example", Name: "Telefono"})
	if p, err := h.Authenticate(ctx, "gruppo@alfa.example", ofAll, storage.ByIMAP); err != nil || len(p.Grants) != 2 || p.ProgramID != all.ID {
		t.Errorf("%+v, %v", p, err)
	}

	// What is refused costs no derivation, and says the same as a wrong password.
	h.mailbox("terza@alfa.example", "strutturata")
	work()
	for name, c := range map[string]struct {
		login, secret string
		by            storage.Protocol
		who, program  string
		reason        string
	}{
		"another protocol": {"gruppo@alfa.example", secret, storage.ByIMAP, "gruppo@alfa.example", "Protocollo", wrongProtocol},
		"another's":        {"terza@alfa.example", secret, storage.ByPOP3, "terza@alfa.example", "", wrongProgram},
		"nobody's":         {"gruppo@alfa.example", newSecret(), storage.ByPOP3, "gruppo@alfa.example", "", wrongProgram},
		"no such user":     {"nessuno@alfa.example", secret, storage.ByPOP3, "", "", unknownUser},
		"no login":         {"\x00", secret, storage.ByPOP3, "", "", unknownUser},
	} {
		_, err := h.Authenticate(ctx, c.login, c.secret, c.by)
		h.want(err, fault.Denied)
		want := Refusal{Login: c.who, Program: c.program, Reason: c.reason}
		if c.program != "" {
			want.ID = a.ID
		}
		if r := RefusalOf(err); r == nil || *r != want {
			t.Errorf("%s: %+v", name, r)
		}
		if n := work(); n != 0 {
			t.Errorf("%s: %d derivations", name, n)
		}
		if Guessed(err) != (c.program == "") {
			t.Errorf("%s: a guess: %v", name, Guessed(err))
		}
	}
	_, err := h.Authenticate(ctx, "gruppo@alfa.example", "wrong", storage.ByPOP3)
	if r := RefusalOf(err); r == nil || *r != (Refusal{Login: "gruppo@alfa.example", Reason: wrongPassword}) {
		t.Errorf("%+v", r)
	}
}

func TestProgramsAreCheckedWhenMade(t *testing.T) {
	h := newHouse(t)
	h.mailbox("uno@alfa.example", "standard")
	h.mailbox("due@alfa.example", "standard")
	good := NewProgram{Login: "uno@alfa.example", Name: "Protocollo", Protocols: storage.ByIMAP, Permission: storage.MayRead}
	for name, c := range map[string]struct {
		edit func(*NewProgram)
		kind fault.Kind
	}{
		"no user":            {func(n *NewProgram) { n.Login = "nessuno" }, fault.NotFound},
		"no name":            {func(n *NewProgram) { n.Name = " " }, fault.Invalid},
		"endless name":       {func(n *NewProgram) { n.Name = strings.Repeat("à", maxProgramName+1) }, fault.Invalid},
		"name of two lines":  {func(n *NewProgram) { n.Name = "a\nb" }, fault.Invalid},
		"no protocol":        {func(n *NewProgram) { n.Protocols = 0 }, fault.Invalid},
		"unknown protocol":   {func(n *NewProgram) { n.Protocols = 1 << 6 }, fault.Invalid},
		"no permission":      {func(n *NewProgram) { n.Permission = 0 }, fault.Invalid},
		"unknown permission": {func(n *NewProgram) { n.Permission = 1 << 6 }, fault.Invalid},
		"ended":              {func(n *NewProgram) { n.Expires = start }, fault.Invalid},
		"another's mailbox":  {func(n *NewProgram) { n.Mailbox = "due@alfa.example" }, fault.NotFound},
	} {
		n := good
		c.edit(&n)
		_, _, err := h.CreateProgram(ctx, n)
		if !fault.Is(err, c.kind) || fault.TextOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, _ := h.program(good)
	_, _, err := h.CreateProgram(ctx, NewProgram{Login: good.Login, Name: "PROTOCOLLO", Protocols: storage.ByIMAP, Permission: storage.MayRead})
	h.want(err, fault.Exists)
	h.ok(h.RevokeProgram(ctx, good.Login, first.ID))
	h.want(h.RevokeProgram(ctx, good.Login, first.ID), fault.NotFound)
	h.want(h.RevokeProgram(ctx, "due@alfa.example", first.ID), fault.NotFound)
	again, _ := h.program(good) // its name is free again
	for range maxPrograms - 1 {
		h.program(NewProgram{Login: good.Login, Name: newSecret()})
	}
	_, _, err = h.CreateProgram(ctx, NewProgram{Login: good.Login, Name: "una di troppo", Protocols: storage.ByIMAP, Permission: storage.MayRead})
	h.want(err, fault.TooMany)
	list, err := h.Programs(ctx, "UNO@alfa.example")
	if err != nil || len(list) != maxPrograms+1 || list[0].Revoked.IsZero() || list[1].ID != again.ID {
		t.Errorf("%d of them, %v", len(list), err)
	}
	_, err = h.Programs(ctx, "nessuno")
	h.want(err, fault.NotFound)
}

// S0-44: what is taken away ends the sessions that go on with it.
func TestS0_44_StillTellsWhatIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(house, storage.AppPassword) error
		own     bool // the session logged in with the user's own password
		remains bool
	}{
		"nothing":                     {func(h house, a storage.AppPassword) error { return nil }, false, true},
		"revoked":                     {func(h house, a storage.AppPassword) error { return h.RevokeProgram(ctx, a.Login, a.ID) }, false, false},
		"another revoked":             {func(h house, a storage.AppPassword) error { return h.RevokeProgram(ctx, a.Login, a.ID) }, true, true},
		"ended":                       {func(h house, a storage.AppPassword) error { h.clk.Advance(time.Hour); return nil }, false, false},
		"disabled":                    {func(h house, a storage.AppPassword) error { return h.SetUserDisabled(ctx, a.Login, true) }, false, false},
		"own, disabled":               {func(h house, a storage.AppPassword) error { return h.SetUserDisabled(ctx, a.Login, true) }, true, false},
		"own, password changed":       {func(h house, a storage.AppPassword) error { return h.SetPassword(ctx, a.Login, "altra password") }, true, false},
		"program's, password changed": {func(h house, a storage.AppPassword) error { return h.SetPassword(ctx, a.Login, "altra password") }, false, true},
		"grant removed":               {func(h house, a storage.AppPassword) error { return h.Grant(ctx, a.Login, "gruppo@alfa.example", 0) }, false, false},
		"grant lessened": {func(h house, a storage.AppPassword) error {
			return h.Grant(ctx, a.Login, "gruppo@alfa.example", storage.MayRead|storage.MayUseClient)
		}, true, false},
		"grant lessened by what the program had not": {func(h house, a storage.AppPassword) error {
			return h.Grant(ctx, a.Login, "gruppo@alfa.example", forMail)
		}, false, true},
		"grant added": {func(h house, a storage.AppPassword) error {
			h.mailbox("altra@alfa.example", "strutturata")
			return h.Grant(ctx, a.Login, "altra@alfa.example", storage.MayRead)
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			counted(h)
			h.mailbox("gruppo@alfa.example", "strutturata")
			h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Password: password}))
			h.ok(h.Grant(ctx, "anna", "gruppo@alfa.example", storage.MayAll))
			a, secret := h.program(NewProgram{Login: "anna", Name: "Telefono", Expires: start.Add(time.Hour)})
			if c.own {
				secret = password
			}
			p, err := h.Authenticate(ctx, "anna", secret, storage.ByIMAP)
			h.ok(err)
			h.ok(h.Still(ctx, p))
			h.ok(c.end(h, a))
			err = h.Still(ctx, p)
			if c.remains {
				h.ok(err)
			} else {
				h.want(err, fault.Denied)
			}
		})
	}
}

// What another node took away is seen after five seconds at the latest.
func TestStillOnAnotherNode(t *testing.T) {
	h := newHouse(t)
	h.mailbox("gruppo@alfa.example", "strutturata")
	a, secret := h.program(NewProgram{Login: "gruppo@alfa.example", Name: "Telefono"})
	p, err := h.Authenticate(ctx, a.Login, secret, storage.ByIMAP)
	h.ok(err)
	h.ok(New(h.st, h.clk).RevokeProgram(ctx, a.Login, a.ID))
	h.clk.Advance(lookupTTL)
	h.want(h.Still(ctx, p), fault.Denied)
	_, err = h.Authenticate(ctx, a.Login, secret, storage.ByIMAP)
	h.want(err, fault.Denied)
	if r := RefusalOf(err); r == nil || r.Reason != wasRevoked || r.Program != "Telefono" {
		t.Errorf("%+v", r)
	}
}

func TestD6_ApplicationTierSendsByApplication(t *testing.T) {
	h := newHouse(t)
	counted(h)
	h.mailbox("gruppo@alfa.example", "strutturata")
	h.mailbox("invii@alfa.example", "small")
	h.ok(h.CreateUser(ctx, NewUser{Login: "anna", Password: password}))
	h.ok(h.Grant(ctx, "anna", "gruppo@alfa.example", storage.MayAll&^storage.MayUseClient))
	h.ok(h.Grant(ctx, "anna", "invii@alfa.example", storage.MayAll))
	_, secret := h.program(NewProgram{Login: "anna", Name: "Protocollo"})
	_, reader := h.program(NewProgram{Login: "anna", Name: "Lettore", Permission: storage.MayRead | storage.MayUseClient})
	for name, c := range map[string]struct {
		login, secret, address string
		may                    bool
	}{
		"the application's own login": {"invii@alfa.example", password, "INVII@alfa.example", true},
		"a person":                    {"anna", password, "invii@alfa.example", false},
		"her application":             {"anna", secret, "invii@alfa.example", true},
		"one that may only read":      {"anna", reader, "invii@alfa.example", false},
		"without use of clients":      {"anna", password, "gruppo@alfa.example", false},
		"another's mailbox":           {"invii@alfa.example", password, "gruppo@alfa.example", false},
		"no mailbox":                  {"anna", password, "nessuno@alfa.example", false},
	} {
		p, err := h.Authenticate(ctx, c.login, c.secret, storage.BySubmission)
		h.ok(err)
		err = h.MaySubmit(ctx, p, c.address)
		if c.may && err != nil || !c.may && (!fault.Is(err, fault.Denied) || fault.TextOf(err) == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tokens knows whose which is.
type tokens map[string]string

func (t tokens) VerifyToken(_ context.Context, token string) (string, error) {
	if token == "late" {
		return "", fault.New("test", fault.Temporary, nil)
	}
	login, ok := t[token]
	if !ok {
		return "", fault.New("test", fault.Denied, nil)
	}
	return login, nil
}

func TestAuthenticateToken(t *testing.T) {
	h := newHouse(t)
	work := counted(h)
	h.mailbox("uno@alfa.example", "standard")
	h.mailbox("due@alfa.example", "standard")
	h.mailbox("fuori@alfa.example", "standard")
	h.ok(h.SetUserDisabled(ctx, "fuori@alfa.example", true))
	work()
	_, err := h.AuthenticateToken(ctx, "uno@alfa.example", "t1", storage.ByIMAP)
	h.want(err, fault.Denied)
	if h.TakesTokens() {
		t.Error("takes tokens")
	}
	h.SetTokens(tokens{"t1": "UNO@alfa.example", "t2": "due@alfa.example", "t3": "fuori@alfa.example", "t4": "nessuno@alfa.example", "t5": "\x00"})
	if !h.TakesTokens() {
		t.Error("takes no tokens")
	}
	for name, c := range map[string]struct {
		login, token string
		kind         fault.Kind
	}{
		"another's":     {"uno@alfa.example", "t2", fault.Denied},
		"unknown":       {"uno@alfa.example", "t9", fault.Denied},
		"disabled":      {"fuori@alfa.example", "t3", fault.Denied},
		"no such user":  {"nessuno@alfa.example", "t4", fault.Denied},
		"no login":      {"", "t5", fault.Denied},
		"not told now":  {"uno@alfa.example", "late", fault.Temporary},
		"odd claim":     {"\x00", "t1", fault.Denied},
		"claims nobody": {"nessuno", "t1", fault.Denied},
	} {
		if _, err := h.AuthenticateToken(ctx, c.login, c.token, storage.ByIMAP); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, login := range []string{"", "Uno@alfa.example"} {
		p, err := h.AuthenticateToken(ctx, login, "t1", storage.ByIMAP)
		if err != nil || p.Login != "uno@alfa.example" || len(p.Grants) != 1 || p.Program != "" || work() != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		h.ok(h.SetPassword(ctx, "uno@alfa.example", "quella nuova"))
		h.ok(h.Still(ctx, p))
		work()
	}
}
