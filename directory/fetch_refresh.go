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
	return s, fault.Wrap(op, err)
}

// Accept takes over by hand the index that was refused, when its signature still
// holds. sum is the SHA-256 of the file that the operator looked at, as Status
// gives it: another one may have come since; "" takes what is there. NotFound:
// there is none.
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
	return c.summary, nil
}

// candidate is a new index whose signature holds.
type candidate struct {
	p7m     []byte
	index   *Index
	diff    comparison
	summary Summary
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

// open verifies and reads a signed index and compares it with the one in use.
// An error is Temporary only where Open says that it cannot tell now.
func (f *Fetcher) open(p7m []byte) (*candidate, error) {
	const op = "directory.open"
	signed, err := f.cfg.Open(p7m)
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
// the new file's there is no way back, so that ctx counts no more.
func (f *Fetcher) takeOver(ctx context.Context, c *candidate) error {
	const op = "directory.takeOver"
	if err := f.replaceFile(f.cfg.File, c.p7m); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	f.mu.Lock()
	f.state.Signed = c.summary.SignedAt
	f.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	if f.live != nil {
		if err := f.live.Reload(ctx); err != nil {
			return &fault.Error{Op: op, Kind: fault.Temporary, Err: err}
		}
	}
	f.cfg.Loaded(ctx, c.summary)
	return nil
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
	f.saveState()
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
	f.saveState()
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
