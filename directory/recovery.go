// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// What a recovery of a password is bound to (S4-059, S4-115).
const (
	RecoveryLife     = 15 * time.Minute // one that the user asked for
	ResetLife        = 24 * time.Hour   // a link that an administrator hands over
	recoveryHour     = time.Hour
	recoveriesInHour = 3 // that a user may ask for
	recoveryTries    = 5
	saltLength       = 16
	secretLength     = 32
)

// recoveryRefused is the one answer to whatever does not set a password, so that
// nothing can be learnt from it.
const recoveryRefused = "il collegamento o il codice non è valido, è scaduto o è già stato usato / the link or code is not valid, has expired, or was used"

// BeginRecovery makes what a user proves himself with who asked for a new password:
// the secret of a link, or a code of eight digits. by tells for the log how it
// came about. NotFound without the user or where he is disabled; TooMany beyond
// three in an hour.
func (d *Directory) BeginRecovery(ctx context.Context, login string, kind storage.RecoveryKind, by string) (secret string, err error) {
	const op = "directory.BeginRecovery"
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.present(ctx, login)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if u.Disabled {
		return "", fault.Say(op, fault.NotFound, unknownUser)
	}
	now := d.clk.Now().UTC()
	before, err := d.st.Recoveries(ctx, u.Login, now.Add(-recoveryHour))
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if len(before) >= recoveriesInHour {
		return "", fault.Say(op, fault.TooMany, "troppe richieste di recupero: riprovare fra un'ora / too many recoveries asked for: try again in an hour")
	}
	secret, err = d.beginRecovery(ctx, storage.Recovery{Kind: kind, Login: u.Login, By: by, Created: now, Expires: now.Add(RecoveryLife)})
	return secret, fault.Wrap(op, err)
}

// BeginReset makes the secret of a link that an administrator hands to a user, who
// sets his password with it within a day (S4-059). NotFound without the user.
func (d *Directory) BeginReset(ctx context.Context, login string) (secret string, ends time.Time, err error) {
	const op = "directory.BeginReset"
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.mayUser(ctx, ChangeUser, login)
	if err != nil {
		return "", ends, fault.Wrap(op, err)
	}
	now := d.clk.Now().UTC()
	ends = now.Add(ResetLife)
	secret, err = d.beginRecovery(ctx, storage.Recovery{Kind: storage.RecoveryLink, Login: u.Login, By: "administrator " + ActorOf(ctx).Name, Created: now, Expires: ends},
		d.recorded(ctx, ledger.Event{Kind: ledger.RecoveryBegun, User: u.Login, Detail: "administrator"}))
	return secret, ends, fault.Wrap(op, err)
}

func (d *Directory) beginRecovery(ctx context.Context, r storage.Recovery, more ...storage.Op) (secret string, err error) {
	if r.Kind == storage.RecoveryCode {
		secret = newCode()
		salt := make([]byte, saltLength)
		rand.Read(salt) // never fails
		r.Sum = codeSum(salt, secret)
	} else {
		b := make([]byte, secretLength)
		rand.Read(b)
		secret = base64.RawURLEncoding.EncodeToString(b)
		sum := sha256.Sum256([]byte(secret))
		r.Sum = sum[:]
	}
	step := new(storage.Step).Add(&storage.AddRecovery{Recovery: r})
	if len(more) == 0 {
		more = []storage.Op{d.recorded(ctx, ledger.Event{Kind: ledger.RecoveryBegun, User: r.Login, Detail: r.By})}
	}
	return secret, d.st.Commit(ctx, step.Add(more...))
}

// newCode leaves out the numbers that would make some codes likelier.
func newCode() string {
	const codes, most = 100_000_000, 42 * 100_000_000
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		if n := binary.BigEndian.Uint32(b[:]); n < most {
			return fmt.Sprintf("%08d", n%codes)
		}
	}
}

func codeSum(salt []byte, code string) []byte {
	sum := sha256.Sum256(append(salt[:saltLength:saltLength], code...))
	return append(salt[:saltLength:saltLength], sum[:]...)
}

// Recover sets a new password with the secret of a link (login ""), or with a
// login and the code that was sent to him, and returns whose password it was.
// The old password ends, with it the sessions that it opened, and every other link
// or code that he has; application passwords go on.
// Denied, always with the same text, where the secret is not good; Invalid where
// the password is not.
func (d *Directory) Recover(ctx context.Context, login, secret, password string) (storage.User, error) {
	const op = "directory.Recover"
	r, err := d.recovery(ctx, login, secret)
	if err != nil {
		return storage.User{}, fault.Wrap(op, err)
	}
	hash, err := d.newHash(ctx, password)
	if err != nil {
		return storage.User{}, fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.present(ctx, r.Login)
	if fault.Is(err, fault.NotFound) || err == nil && u.Disabled {
		return storage.User{}, fault.Say(op, fault.Denied, recoveryRefused)
	}
	if err != nil {
		return storage.User{}, fault.Wrap(op, err)
	}
	u.Hash = hash
	e := ledger.Event{Kind: ledger.UserPassword, User: u.Login, Detail: string(r.Kind) + ", " + r.By}
	now := d.clk.Now().UTC()
	err = d.st.Commit(ctx, new(storage.Step).Add(
		&storage.UseRecovery{ID: r.ID, At: now}, &storage.EndRecoveries{Login: u.Login, At: now}, &storage.PutUser{User: u}, d.recorded(ctx, e)))
	d.users.drop(u.Login)
	if fault.Is(err, fault.Conflict) {
		return storage.User{}, fault.Say(op, fault.Denied, recoveryRefused)
	}
	return u, fault.Wrap(op, err)
}

// recovery finds the recovery that a secret opens. A code counts a try before it
// is compared: however many come at once, five are looked at.
func (d *Directory) recovery(ctx context.Context, login, secret string) (storage.Recovery, error) {
	const op = "directory.recovery"
	refused := fault.Say(op, fault.Denied, recoveryRefused)
	if login == "" {
		r, err := d.st.RecoveryLink(ctx, sha256.Sum256([]byte(secret)))
		if fault.Is(err, fault.NotFound) || err == nil && !d.recoverable(r) {
			return storage.Recovery{}, refused
		}
		return r, err
	}
	name, ok := canonicalLogin(login)
	if !ok {
		return storage.Recovery{}, refused
	}
	all, err := d.st.Recoveries(ctx, name, d.clk.Now().Add(-RecoveryLife))
	if err != nil {
		return storage.Recovery{}, err
	}
	for _, r := range all {
		if r.Kind != storage.RecoveryCode || !d.recoverable(r) || len(r.Sum) < saltLength {
			continue
		}
		err := d.st.Commit(ctx, new(storage.Step).Add(&storage.TryRecovery{ID: r.ID, Most: recoveryTries}))
		switch {
		case fault.Is(err, fault.Conflict):
			return storage.Recovery{}, refused
		case err != nil:
			return storage.Recovery{}, err
		case subtle.ConstantTimeCompare(codeSum(r.Sum, secret), r.Sum) == 1:
			return r, nil
		}
		return storage.Recovery{}, refused // the newest alone counts
	}
	return storage.Recovery{}, refused
}

func (d *Directory) recoverable(r storage.Recovery) bool {
	return r.Used.IsZero() && d.clk.Now().Before(r.Expires)
}
