// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// MaxEnrolled is how many users, in how many mailboxes ever, one enrolment has at
// most: it is one step of the store, for which everything else that writes waits.
const MaxEnrolled = 5000

// Enrolment is a body with its mailboxes and users, created in one step: all of it,
// or nothing. Whatever refers to a line is told with that line.
type Enrolment struct {
	Body      string   // code of the body
	Name      string   // the body is created, or gets this name; "": it is there
	Domains   []string // created for the body where they are not there
	Pending   bool     // as domains that are not certified yet
	Mailboxes []EnrolledMailbox

	// DryRun checks everything and changes nothing.
	DryRun bool
	// Password is told the password that was made for each new user, before anything
	// is created; its error ends the enrolment. nil: they get none, and set one by a
	// link.
	Password func(u EnrolledUser, password string) error
	// Progress is told how many of all passwords are made; nil: nobody is.
	Progress func(done, all int)
}

// EnrolledMailbox is one mailbox of an enrolment.
type EnrolledMailbox struct {
	Line     int // of the file that it comes from
	Address  string
	Tier     string // Tier.Code
	Holder   string
	Ordinary bool // open to ordinary mail
	Users    []EnrolledUser
}

// EnrolledUser is one user of a mailbox. The same login in several mailboxes is one
// user. One who is there already keeps his name and password.
type EnrolledUser struct {
	Line       int
	Login      string
	Name       string
	Permission storage.Permission
}

// Objection is why a line is not taken, or 0 where it is about no line.
type Objection struct {
	Line int
	Text string // Italian first
}

// Enrolled is what an enrolment creates.
type Enrolled struct {
	Mailboxes int
	Users     int // new ones
	Grants    int // permissions, of new users and of those who were there
}

// Enrol creates a body with its mailboxes and users (ADR 0024 §13). Where it
// returns objections it has created nothing. Denied and NotFound as for creating
// single ones.
func (d *Directory) Enrol(ctx context.Context, e Enrolment) (Enrolled, []Objection, error) {
	const op = "directory.Enrol"
	if err := d.mayEnrol(ctx, &e); err != nil {
		return Enrolled{}, nil, fault.Wrap(op, err)
	}
	plan, err := d.plan(ctx, e, nil)
	if err != nil || len(plan.objections) > 0 || e.DryRun {
		return plan.enrolled, plan.objections, fault.Wrap(op, err)
	}
	hashes, err := d.passwords(ctx, e, plan.fresh)
	if err != nil {
		return Enrolled{}, nil, fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	d.tiers.drop("")
	// Time has passed: everything is looked at again.
	if plan, err = d.plan(ctx, e, hashes); err != nil || len(plan.objections) > 0 {
		return Enrolled{}, plan.objections, fault.Wrap(op, err)
	}
	if err := plan.commit(ctx); err != nil {
		return Enrolled{}, nil, fault.Wrap(op, err)
	}
	d.domains.drop("")
	return plan.enrolled, nil, nil
}

// mayEnrol checks that who acts may do all of it, and brings the body's code into
// the form in which it is kept.
func (d *Directory) mayEnrol(ctx context.Context, e *Enrolment) (err error) {
	if e.Body, err = bodyCode(e.Body); err != nil {
		return err
	}
	if err := d.MayBody(ctx, CreateMailboxes, e.Body); err != nil {
		return err
	}
	if e.Name != "" {
		if err := d.May(ctx, ChangeBodies); err != nil {
			return err
		}
	}
	if len(e.Domains) > 0 {
		return d.May(ctx, ChangeDomains)
	}
	return nil
}

// enrolling is an enrolment on its way into a step.
type enrolling struct {
	*founding
	enrolled   Enrolled
	fresh      []EnrolledUser // users who are not there yet
	objections []Objection
}

// plan gathers what an enrolment creates, and what stands against it. hashes are
// those of new users by login, nil where they get no passwords.
func (d *Directory) plan(ctx context.Context, e Enrolment, hashes map[string]string) (*enrolling, error) {
	p := &enrolling{founding: d.found()}
	if err := p.body(ctx, e); err != nil {
		return p, err
	}
	users := 0
	for _, m := range e.Mailboxes {
		users += len(m.Users)
	}
	if users > MaxEnrolled {
		return p, fault.Say("directory.plan", fault.TooMany, fmt.Sprintf("al massimo %d righe in una volta / %d lines at once at most", MaxEnrolled, MaxEnrolled))
	}
	for _, m := range e.Mailboxes {
		put, tier, err := p.box(ctx, e, m)
		if err := p.object(m.Line, err); err != nil {
			return p, err
		}
		granted := make(map[string]bool)
		for _, u := range m.Users {
			if err := p.object(u.Line, p.holder(ctx, e, u, put, tier, granted, hashes)); err != nil {
				return p, err
			}
		}
	}
	slices.SortStableFunc(p.objections, func(a, b Objection) int { return a.Line - b.Line })
	return p, nil
}

// object notes an error that can be told to who made the file; others are returned.
func (p *enrolling) object(line int, err error) error {
	text := fault.TextOf(err)
	if err == nil || text == "" {
		return err
	}
	p.objections = append(p.objections, Objection{line, text})
	return nil
}

// body adds the body and its domains.
func (p *enrolling) body(ctx context.Context, e Enrolment) error {
	if e.Name == "" {
		if _, err := p.d.body(ctx, e.Body); err != nil {
			return err
		}
	} else if _, err := p.d.putBody(ctx, &p.step, e.Body, e.Name); err != nil {
		return err
	}
	for _, name := range e.Domains {
		n, why := canonicalDomain(name)
		if why != "" {
			return fault.Say("directory.Enrol", fault.Invalid, why)
		}
		switch dom, err := p.d.Domain(ctx, n); {
		case err == nil && dom.Customer != e.Body:
			return fault.Say("directory.Enrol", fault.Conflict, "il dominio "+n+" esiste già e non è di questo ente / the domain is there, and not of this body")
		case err == nil:
			continue
		case !fault.Is(err, fault.NotFound):
			return err
		}
		dom := storage.Domain{Name: n, State: storage.DomainCertified, Customer: e.Body, Created: p.d.clk.Now().UTC()}
		if e.Pending {
			dom.State = storage.DomainPending
		}
		p.domains[n] = dom
		p.step.Add(&storage.PutDomain{Domain: dom},
			p.d.recorded(ctx, ledger.Event{Kind: ledger.DomainState, Domain: n, To: string(dom.State)}),
			p.d.recorded(ctx, ledger.Event{Kind: ledger.DomainBody, Domain: n, To: e.Body}))
	}
	return nil
}

// box adds a mailbox; put is nil where it cannot be.
func (p *enrolling) box(ctx context.Context, e Enrolment, m EnrolledMailbox) (*storage.PutMailbox, storage.Tier, error) {
	if _, domain, why := canonicalAddress(m.Address); why == "" {
		if of, err := p.bodyOf(ctx, domain); err == nil && of != e.Body {
			return nil, storage.Tier{}, fault.Say("directory.box", fault.Denied, "il dominio "+domain+" non è di questo ente / the domain is not of this body")
		}
	}
	put, tier, err := p.mailbox(ctx, NewMailbox{Address: m.Address, Tier: m.Tier, Holder: m.Holder, Ordinary: m.Ordinary})
	if err == nil {
		p.enrolled.Mailboxes++
	}
	return put, tier, err
}

// holder adds a user of a mailbox, where he is new, and his permission on it.
func (p *enrolling) holder(ctx context.Context, e Enrolment, u EnrolledUser, put *storage.PutMailbox, tier storage.Tier, granted map[string]bool, hashes map[string]string) error {
	const op = "directory.holder"
	login, ok := canonicalLogin(u.Login)
	switch {
	case !ok:
		return fault.Say(op, fault.Invalid, "nome utente non valido / malformed login")
	case granted[login]:
		return fault.Say(op, fault.Invalid, "l'utente è ripetuto per questa casella / the user is named twice for this mailbox")
	case u.Permission == 0 || u.Permission&^storage.MayAll != 0:
		return fault.Say(op, fault.Invalid, "permesso sconosciuto / unknown permission")
	}
	granted[login] = true
	if err := p.person(ctx, e, login, u, hashes); err != nil || put == nil {
		return err
	}
	p.enrolled.Grants++
	return p.grant(ctx, put, tier, login, u.Permission)
}

// person finds or adds the user of a login, who must be one that the body looks after.
func (p *enrolling) person(ctx context.Context, e Enrolment, login string, u EnrolledUser, hashes map[string]string) error {
	const op = "directory.person"
	if before, ok := p.users[login]; ok {
		if u.Name != "" && before.Name != "" && u.Name != before.Name {
			return fault.Say(op, fault.Invalid, "lo stesso utente ha due nomi: "+before.Name+", "+u.Name+" / the user has two names")
		}
		return nil
	}
	there, err := p.d.st.User(ctx, login)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	known := err == nil
	if !known {
		there = storage.User{Login: login, Customer: e.Body}
	}
	of, err := p.looksAfter(ctx, there)
	switch {
	case err != nil:
		return err
	case known && (of != e.Body || !there.Deleted.IsZero()):
		return fault.Say(op, fault.Exists, "il nome utente esiste già e non è di questo ente / the login exists, and is not of this body")
	case of != e.Body:
		return fault.Say(op, fault.Denied, "il dominio del nome utente non è di questo ente / the login's domain is not of this body")
	case known:
		p.users[login] = there
		return nil
	}
	hash := hashes[login]
	if _, err := p.user(ctx, NewUser{Login: login, Name: u.Name, Body: e.Body, Hash: hash, NoPassword: hash == ""}); err != nil {
		return err
	}
	p.enrolled.Users++
	p.fresh = append(p.fresh, EnrolledUser{Line: u.Line, Login: login, Name: u.Name, Permission: u.Permission})
	return nil
}

// looksAfter is Directory.looksAfter that knows the domains of the step.
func (p *enrolling) looksAfter(ctx context.Context, u storage.User) (string, error) {
	if _, domain, ok := strings.Cut(u.Login, "@"); ok {
		if dom, ok := p.domains[domain]; ok {
			return dom.Customer, nil
		}
	}
	return p.d.looksAfter(ctx, u)
}

// passwords makes a password for each new user and tells it, and returns what is
// kept of them by login. Each takes as long as a login.
func (d *Directory) passwords(ctx context.Context, e Enrolment, fresh []EnrolledUser) (map[string]string, error) {
	if e.Password == nil {
		return nil, nil
	}
	hashes := make(map[string]string, len(fresh))
	for i, u := range fresh {
		password := newPassword()
		hash, err := d.newHash(ctx, password)
		if err != nil {
			return nil, err
		}
		hashes[u.Login] = hash
		if err := e.Password(u, password); err != nil {
			return nil, fault.New("directory.passwords", fault.Temporary, err)
		}
		if e.Progress != nil {
			e.Progress(i+1, len(fresh))
		}
	}
	return hashes, nil
}

// A first password is four groups of four of the signs of application passwords: 79
// bits, and another form than theirs.
const (
	firstGroups = 4
	firstGroup  = 4
)

func newPassword() string {
	groups := make([]string, firstGroups)
	for i := range groups {
		var b [firstGroup]byte
		for j := range b {
			b[j] = randomSign()
		}
		groups[i] = string(b[:])
	}
	return strings.Join(groups, "-")
}
