// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"
	"unicode/utf8"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// An application password is five groups of five of these 31 signs, with hyphens
// between: 123 bits, none taken for another when somebody types it, and a form by
// which it is told from a user's own password.
const (
	secretSigns  = "abcdefghjkmnpqrstuvwxyz23456789"
	secretGroups = 5
	secretGroup  = 5
	secretLen    = secretGroups*secretGroup + secretGroups - 1
)

// Bounds of the application passwords of one user.
const (
	maxProgramName = 64 // characters
	maxPrograms    = 50 // in use
)

// newSecret makes an application password.
func newSecret() string {
	var b strings.Builder
	for b.Len() < secretLen {
		if b.Len()%(secretGroup+1) == secretGroup {
			b.WriteByte('-')
		}
		b.WriteByte(randomSign())
	}
	return b.String()
}

// randomSign leaves out the octets that would make some signs likelier.
func randomSign() byte {
	const most = 256 - 256%len(secretSigns)
	for {
		var r [1]byte
		rand.Read(r[:]) // never fails
		if int(r[0]) < most {
			return secretSigns[int(r[0])%len(secretSigns)]
		}
	}
}

// programSecret reports whether a password has the form of an application
// password, and returns it as it was made: phones and people add capitals and
// blanks.
func programSecret(password string) (string, bool) {
	s := strings.ToLower(strings.TrimSpace(password))
	if len(s) != secretLen {
		return "", false
	}
	for i := range len(s) {
		if hyphen := i%(secretGroup+1) == secretGroup; hyphen && s[i] != '-' || !hyphen && strings.IndexByte(secretSigns, s[i]) < 0 {
			return "", false
		}
	}
	return s, true
}

// NewProgram is an application password to be created (S4-018).
type NewProgram struct {
	Login      string
	Name       string             // as its holder will know it: "Protocollo", "Telefono"
	Protocols  storage.Protocol   // at least one
	Permission storage.Permission // at least one
	Mailbox    string             // address; "" for all that the user has
	Expires    time.Time          // zero: never
}

// CreateProgram makes an application password and returns its secret, which is
// kept nowhere. NotFound without the user or a grant of his on the mailbox;
// Exists where one in use has that name; TooMany beyond 50.
func (d *Directory) CreateProgram(ctx context.Context, n NewProgram) (a storage.AppPassword, secret string, err error) {
	const op = "directory.CreateProgram"
	if err := d.checkProgram(n); err != nil {
		return a, "", fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.mayUser(ctx, ChangeUser, n.Login)
	if err != nil {
		return a, "", fault.Wrap(op, err)
	}
	if err := d.roomForProgram(ctx, u.Login, n.Name); err != nil {
		return a, "", fault.Wrap(op, err)
	}
	secret = newSecret()
	a = storage.AppPassword{
		Login: u.Login, Name: n.Name, Sum: sha256.Sum256([]byte(secret)), Protocols: n.Protocols, Permission: n.Permission,
		Created: d.clk.Now().UTC(), Expires: n.Expires,
	}
	if n.Mailbox != "" {
		if a.Mailbox, err = d.granted(ctx, u.Login, n.Mailbox); err != nil {
			return a, "", fault.Wrap(op, err)
		}
	}
	put := &storage.PutAppPassword{AppPassword: a}
	created := ledger.Event{Kind: ledger.ProgramCreated, User: u.Login, Program: n.Name, Mailbox: strings.ToLower(n.Mailbox), To: programScope(a)}
	put.Logged = func(id int64) storage.Record {
		e := created
		e.ProgramID = id
		return d.recorded(ctx, e).Record
	}
	if err := d.st.Commit(ctx, new(storage.Step).Add(put)); err != nil {
		return a, "", fault.Wrap(op, err)
	}
	a.ID = put.ID
	return a, secret, nil
}

func (d *Directory) checkProgram(n NewProgram) error {
	const op = "directory.checkProgram"
	switch {
	case strings.TrimSpace(n.Name) == "" || utf8.RuneCountInString(n.Name) > maxProgramName || strings.ContainsFunc(n.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
		return fault.Say(op, fault.Invalid, "serve un nome, di 64 caratteri al massimo / a name is needed, of 64 characters at most")
	case n.Protocols == 0 || n.Protocols&^storage.ByAll != 0:
		return fault.Say(op, fault.Invalid, "protocollo mancante o sconosciuto / protocol missing or unknown")
	case n.Permission == 0 || n.Permission&^storage.MayAll != 0:
		return fault.Say(op, fault.Invalid, "permesso mancante o sconosciuto / permission missing or unknown")
	case !n.Expires.IsZero() && !n.Expires.After(d.clk.Now()):
		return fault.Say(op, fault.Invalid, "la scadenza è già passata / the end is past")
	}
	return nil
}

// roomForProgram checks that another application password may be added.
func (d *Directory) roomForProgram(ctx context.Context, login, name string) error {
	const op = "directory.roomForProgram"
	all, err := d.st.AppPasswords(ctx, login)
	if err != nil {
		return err
	}
	inUse := 0
	for _, a := range all {
		if why := closed(a, d.clk.Now(), 0); why != "" {
			continue
		}
		if strings.EqualFold(a.Name, name) {
			return fault.Say(op, fault.Exists, "esiste già una password per applicazione con questo nome / an application password with this name exists")
		}
		inUse++
	}
	if inUse >= maxPrograms {
		return fault.Say(op, fault.TooMany, "troppe password per applicazioni in uso / too many application passwords in use")
	}
	return nil
}

// granted returns the mailbox of an address on which a user has a grant.
func (d *Directory) granted(ctx context.Context, login, address string) (storage.MailboxID, error) {
	grants, err := d.st.Grants(ctx, login)
	if err != nil {
		return 0, err
	}
	g, ok := Principal{Grants: grants}.Grant(address)
	if !ok {
		return 0, fault.Say("directory.granted", fault.NotFound, "l'utente non ha accesso a questa casella / the user has no access to this mailbox")
	}
	return g.Mailbox, nil
}

// programScope tells for the log what an application password is good for.
func programScope(a storage.AppPassword) string {
	scope := ProtocolNames(a.Protocols) + ": " + PermissionNames(a.Permission)
	if !a.Expires.IsZero() {
		scope += ", " + a.Expires.UTC().Format(time.RFC3339)
	}
	return scope
}

// revoke adds to step the end of an application password at an instant, and its
// record, which names the mailbox that the record of its beginning names.
func (d *Directory) revoke(ctx context.Context, step *storage.Step, a storage.AppPassword, at time.Time) error {
	e := ledger.Event{Kind: ledger.ProgramRevoked, User: a.Login, Program: a.Name, ProgramID: a.ID, From: programScope(a)}
	if a.Mailbox != 0 {
		m, err := d.st.MailboxByID(ctx, a.Mailbox)
		if err != nil {
			return err
		}
		e.Mailbox = m.Address
	}
	a.Revoked = at
	step.Add(&storage.PutAppPassword{AppPassword: a}, d.recorded(ctx, e))
	return nil
}

// Programs lists a user's application passwords, those that have ended too, by
// ID. NotFound without the user.
func (d *Directory) Programs(ctx context.Context, login string) ([]storage.AppPassword, error) {
	const op = "directory.Programs"
	u, err := d.mayUser(ctx, SeeUsers, login)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	all, err := d.st.AppPasswords(ctx, u.Login)
	return all, fault.Wrap(op, err)
}

// RevokeProgram ends an application password of a user, and every session that
// logged in with it (Still). NotFound where there is none in use of that ID.
func (d *Directory) RevokeProgram(ctx context.Context, login string, id int64) error {
	const op = "directory.RevokeProgram"
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.mayUser(ctx, ChangeUser, login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	all, err := d.st.AppPasswords(ctx, u.Login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	for _, a := range all {
		if a.ID != id || !a.Revoked.IsZero() {
			continue
		}
		var step storage.Step
		if err := d.revoke(ctx, &step, a, d.clk.Now().UTC()); err != nil {
			return fault.Wrap(op, err)
		}
		err := d.st.Commit(ctx, &step)
		d.programs.drop(string(a.Sum[:]))
		return fault.Wrap(op, err)
	}
	return fault.Say(op, fault.NotFound, "nessuna password per applicazione in uso con questo numero / no application password in use of this number")
}
