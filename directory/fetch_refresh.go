// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

// Refresh fetches the index once, now, and takes it over when it is good. An
// error leaves the old one in use; its text is for the operator. Kinds:
// Temporary, nothing was fetched; Invalid, no validly signed index; Denied, an
// index that is not believed and now waits for Accept.
func (f *Fetcher) Refresh(ctx context.Context) (Summary, error) {
	const op = "directory.Refresh"
	if err := f.enter(ctx); err != nil {
		return Summary{}, err
	}
	defer f.leave()
	if f.live == nil {
		return Summary{}, fault.New(op, fault.Internal, errors.New("First comes before"))
	}
	s, err := f.fetch(ctx)
	f.note(ctx, err)
	f.tell(context.WithoutCancel(ctx))
	return s, fault.Wrap(op, err)
}

// Accept takes over by hand the index that was refused, when its signature still
// holds. sum is the SHA-256 of the file that the operator looked at, as Status
// gives it: another one may have come since; "" takes what is there. NotFound:
// there is none. It needs no index in use, and First need not have come before:
// the first index may be the one that was refused.
func (f *Fetcher) Accept(ctx context.Context, sum string) (Summary, error) {
	const op = "directory.Accept"
	if err := f.enter(ctx); err != nil {
		return Summary{}, err
	}
	defer f.leave()
	p7m, err := readBounded(f.cfg.File+refusedSuffix, f.cfg.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Summary{}, fault.Say(op, fault.NotFound, "nessun indice rifiutato da accettare / no refused index to accept")
	}
	if err != nil {
		return Summary{}, fault.New(op, fault.Temporary, err)
	}
	if sum != "" && !strings.EqualFold(sum, digestOf(p7m)) {
		return Summary{}, fault.Say(op, fault.Conflict, "nel frattempo è stato rifiutato un altro indice: guardare di nuovo / another index was refused meanwhile: look again")
	}
	c, err := f.open(p7m)
	if err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	c.summary.ByHand = true
	if err := f.takeOver(ctx, c); err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	f.accepted()
	f.tell(context.WithoutCancel(ctx))
	return c.summary, nil
}

// candidate is a new index whose signature holds.
type candidate struct {
	p7m      []byte
	index    *Index
	diff     comparison
	departed departed // what is to be remembered once it is in use
	summary  Summary
}

// fetch downloads the index, judges it and takes it over.
func (f *Fetcher) fetch(ctx context.Context) (Summary, error) {
	const op = "directory.fetch"
	p7m, err := f.download(ctx)
	if err != nil {
		return Summary{}, err
	}
	c, err := f.open(p7m)
	if err != nil {
		return Summary{}, err
	}
	inUse, err := readBounded(f.cfg.File, maxSignedIndex)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Summary{}, fault.New(op, fault.Temporary, err)
	}
	if bytes.Equal(inUse, p7m) {
		c.summary.Unchanged = true
		return c.summary, nil
	}
	found := guard{f.cfg.MaxLoss, f.cfg.Own, f.cfg.OwnRecord()}.judge(f.current(), c.index, c.diff)
	found.departures(f.departed(), f.current(), c, f.cfg.Clock.Now())
	found.rollback(c.summary.SignedAt, f.newestSigned(inUse), f.cfg.Clock.Now())
	if len(found) > 0 {
		why := &refusal{found}
		f.keepRefused(c, why.text())
		return Summary{}, &fault.Error{Op: op, Kind: fault.Denied, Err: why, Text: why.text()}
	}
	return c.summary, f.takeOver(ctx, c)
}

// current is the index in use, nil where there is none yet.
func (f *Fetcher) current() *Index {
	if f.live == nil {
		return nil
	}
	return f.live.Current()
}

// departed is what is remembered of what left the index.
func (f *Fetcher) departed() departed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Departed
}

// open verifies and reads a signed index and compares it with the one in use.
// An error is Temporary only where Open says that it cannot tell now, or where
// the revocation of the signer is not known and there is an index to go on with.
func (f *Fetcher) open(p7m []byte) (*candidate, error) {
	const op = "directory.open"
	signed, err := f.openSigned(p7m)
	if err == nil && signed.Unknown != nil && f.live != nil {
		err = signed.Unknown
		return nil, &fault.Error{Op: op, Kind: fault.Temporary, Err: err, Text: fault.TextOf(err)}
	}
	if err != nil {
		kind := fault.Invalid
		if fault.Is(err, fault.Temporary) {
			kind = fault.Temporary
		}
		return nil, &fault.Error{Op: op, Kind: kind, Err: err, Text: fault.TextOf(err)}
	}
	x, err := ReadLDIF(bytes.NewReader(signed.LDIF))
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	c := &candidate{p7m: p7m, index: x, diff: compare(f.current(), x)}
	c.departed = f.departed().after(x, c.diff, f.cfg.Clock.Now())
	f.mu.Lock()
	f.unproven = signed.Unknown != nil
	f.mu.Unlock()
	c.summary = Summary{
		Providers: len(x.providerNames()), Domains: x.Domains(), Certificates: len(x.distinctCerts()), Changes: c.diff.Changes,
		SHA256: digestOf(p7m), SignedAt: signed.SignedAt,
	}
	return c, nil
}

// newestSigned is the signing time of the newest index that was taken over. The
// file in use may have been put there by hand, so that it is asked too.
func (f *Fetcher) newestSigned(inUse []byte) time.Time {
	f.mu.Lock()
	newest := f.state.Signed
	f.mu.Unlock()
	if len(inUse) > 0 {
		if s, err := f.cfg.Open(inUse); err == nil && s.SignedAt.After(newest) {
			newest = s.SignedAt
		}
	}
	return newest
}

// takeOver puts a file in place and the index in it to use. Once the name is
// the new file's there is no way back, so that ctx counts no more. What leaves
// the index is remembered before.
func (f *Fetcher) takeOver(ctx context.Context, c *candidate) error {
	const op = "directory.takeOver"
	if err := f.missing(c); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	if err := f.replaceFile(f.cfg.File, c.p7m); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	f.inPlace(c)
	ctx = context.WithoutCancel(ctx)
	if f.live != nil {
		if err := f.live.Reload(ctx); err != nil {
			return &fault.Error{Op: op, Kind: fault.Temporary, Err: err}
		}
	}
	return nil
}

// missing remembers what an index lacks that is about to be taken over. An
// error says that it could not be written down, which must be before.
func (f *Fetcher) missing(c *candidate) error {
	if len(c.diff.lostDomains)+len(c.diff.lostCerts) == 0 {
		return nil
	}
	kept, forgotten := c.departed.newest()
	if c.departed = kept; forgotten > 0 { // taken over by hand, else it was refused
		f.cfg.Log.Warn("more domains and certificates left the provider index than can be remembered; the first of them may come back under any provider", "forgotten", forgotten)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.state.Departed
	// What comes back is remembered too, until it is there.
	f.state.Departed = c.departed.with(before)
	err := f.saveState()
	if err != nil {
		f.state.Departed = before
	}
	return err
}

// inPlace notes that the file is a candidate's now.
func (f *Fetcher) inPlace(c *candidate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Signed, f.state.Departed = c.summary.SignedAt, c.departed
	f.state.Untold = append(f.state.Untold, c.summary)
	if n := len(f.state.Untold) - maxUntold; n > 0 {
		f.cfg.Log.Error("provider indexes taken over, but never recorded", "number", n)
		f.state.Untold = f.state.Untold[n:]
	}
	_ = f.saveState() // was logged
}

// tell hands Loaded what it was not told yet, oldest first.
func (f *Fetcher) tell(ctx context.Context) {
	for {
		s, ok := f.untold()
		if !ok {
			return
		}
		if err := f.cfg.Loaded(ctx, s); err != nil {
			f.cfg.Log.Error("provider index taken over, but not recorded yet", "sha256", s.SHA256, "err", err)
			return
		}
		f.mu.Lock()
		f.state.Untold = f.state.Untold[1:]
		_ = f.saveState() // was logged
		f.mu.Unlock()
	}
}

// untold is the first summary that Loaded was not told.
func (f *Fetcher) untold() (Summary, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.state.Untold) == 0 {
		return Summary{}, false
	}
	return f.state.Untold[0], true
}

// keepRefused lays a refused index beside the one in use, for Accept.
func (f *Fetcher) keepRefused(c *candidate, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.replaceFile(f.cfg.File+refusedSuffix, c.p7m); err != nil {
		f.cfg.Log.Error("refused provider index not kept", "err", err)
		return
	}
	f.state.Refused = &Refused{At: f.cfg.Clock.Now(), Reason: reason, SHA256: c.summary.SHA256}
	_ = f.saveState() // was logged
}

// accepted ends a refusal: the index that was refused is the one in use, as
// fresh as it was when it was fetched.
func (f *Fetcher) accepted() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.state.Refused; r != nil && r.At.After(f.state.Fetched) {
		f.state.Fetched = r.At
	}
	f.dropRefused()
}

// dropRefused forgets the refused index. f.mu is held.
func (f *Fetcher) dropRefused() {
	f.state.Refused = nil
	_ = f.saveState() // was logged
	if err := os.Remove(f.cfg.File + refusedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.cfg.Log.Error("refused provider index not removed", "err", err)
	}
	f.cfg.Alarms.Clear(alarm.IndexRefused)
	f.judgeAge()
}

// reasonOf is what an alarm says of an index that could not be used.
func reasonOf(err error) string {
	if text := fault.TextOf(err); text != "" {
		return text
	}
	return fmt.Sprintf("indice pubblicato non valido: %[1]v / published index not valid: %[1]v", err)
}

func digestOf(p7m []byte) string {
	sum := sha256.Sum256(p7m)
	return hex.EncodeToString(sum[:])
}
