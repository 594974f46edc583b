// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
)

const (
	// pollEvery is how often the index file is looked at.
	pollEvery = 5 * time.Second
	// retryEvery is how often an unchanged file that failed is read again: what
	// it is verified against may have changed.
	retryEvery = time.Minute
	// maxSignedIndex bounds a signed index file, in octets.
	maxSignedIndex = 256 << 20
	// loggedWarnings bounds how many warnings of one file are logged singly.
	loggedWarnings = 20
)

// LiveIndex is the provider index in use. It follows its file: a new version is
// taken over whole or, when anything is wrong with it, not at all. Its lookups
// are those of Index and may be called concurrently with a reload.
type LiveIndex struct {
	path string
	open func(p7m []byte) (SignedIndex, error)
	log  *slog.Logger
	clk  clock.Clock

	current atomic.Pointer[usedIndex]

	mu     sync.Mutex // one reload at a time
	seen   fileState  // of the last file tried
	failed time.Time  // when it failed, zero when it did not
}

// usedIndex is an index in use and what its signature says, which is empty
// where it has none.
type usedIndex struct {
	index  *Index
	signed SignedIndex // without the LDIF
}

type fileState struct {
	size int64
	time time.Time
}

func stateOf(i fs.FileInfo) fileState { return fileState{i.Size(), i.ModTime()} }

// NewLiveIndex reads the index from path. A name that ends in ".p7m" is a
// signed file: open verifies the signature and returns what is inside. It may be
// nil where the file is not signed.
//
// That the signer's revocation is not known keeps no index from being the first
// one, so that a node starts without a network; it keeps one from replacing
// another.
func NewLiveIndex(path string, open func(p7m []byte) (SignedIndex, error), log *slog.Logger, clk clock.Clock) (*LiveIndex, error) {
	l := &LiveIndex{path: path, open: open, log: log, clk: clk}
	if err := l.Reload(context.Background()); err != nil {
		return nil, fault.Wrap("directory.NewLiveIndex", err)
	}
	return l, nil
}

// Current returns the index in use.
func (l *LiveIndex) Current() *Index { return l.current.Load().index }

// SignedBy returns the certificate that signed the index in use, nil where it is
// not signed.
func (l *LiveIndex) SignedBy() *x509.Certificate { return l.current.Load().signed.By }

// SignedAt returns when the index in use was signed, as its signer says; zero
// where that is not known.
func (l *LiveIndex) SignedAt() time.Time { return l.current.Load().signed.SignedAt }

// ProviderOfDomain is that of the index in use.
func (l *LiveIndex) ProviderOfDomain(domain string) (Provider, bool) {
	return l.Current().ProviderOfDomain(domain)
}

// ProviderByCertificate implements signer.Origins with the index in use.
func (l *LiveIndex) ProviderByCertificate(c *x509.Certificate) (signer.Origin, bool) {
	return l.Current().ProviderByCertificate(c)
}

// Reload reads the file and swaps the index. On an error, which names the file,
// the index in use stays.
func (l *LiveIndex) Reload(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fault.Wrap("directory.Reload", l.reload(ctx))
}

func (l *LiveIndex) reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.New("directory.reload", fault.Temporary, err)
	}
	l.failed = l.clk.Now()
	used, err := l.read()
	if err != nil {
		return &fault.Error{Op: "directory.reload", Kind: fault.KindOf(err), Err: fmt.Errorf("%s: %w", l.path, err)}
	}
	l.failed = time.Time{}
	l.current.Store(used)
	x := used.index
	w := x.Warnings()
	l.log.Info("provider index in use", "file", l.path, "records", x.Len(), "domains", x.Domains(), "warnings", len(w))
	if why := used.signed.Unknown; why != nil {
		l.log.Warn("provider index in use, but the revocation of its signer is not known", "file", l.path, "err", why)
	}
	for _, s := range w[:min(len(w), loggedWarnings)] {
		l.log.Warn("provider index", "file", l.path, "warning", s)
	}
	return nil
}

func (l *LiveIndex) read() (*usedIndex, error) {
	const op = "directory.read"
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	l.seen = stateOf(info)
	if !info.Mode().IsRegular() {
		return nil, fault.New(op, fault.Invalid, errors.New("no regular file"))
	}
	if !isSigned(l.path) {
		x, err := ReadLDIF(f)
		return &usedIndex{index: x}, err
	}
	if l.open == nil {
		return nil, fault.New(op, fault.Unsupported, errors.New("signed index, but nothing to verify it with"))
	}
	if info.Size() > maxSignedIndex {
		return nil, fault.New(op, fault.Invalid, fmt.Errorf("longer than %d octets", maxSignedIndex))
	}
	p7m, err := io.ReadAll(io.LimitReader(f, maxSignedIndex))
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	signed, err := l.open(p7m)
	if err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	if signed.Unknown != nil && l.current.Load() != nil {
		return nil, fault.New(op, fault.Temporary, signed.Unknown)
	}
	x, err := ReadLDIF(bytes.NewReader(signed.LDIF))
	signed.LDIF = nil
	return &usedIndex{x, signed}, err
}

// Run follows the file until ctx ends, then returns. Errors are logged, once
// for each version of the file.
func (l *LiveIndex) Run(ctx context.Context) {
	for {
		tick, stop := l.clk.After(pollEvery)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-tick:
			l.poll(ctx)
		}
	}
}

// poll reloads when the file changed, or failed some time ago.
func (l *LiveIndex) poll(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var now fileState // zero while the file is missing
	if info, err := os.Stat(l.path); err == nil {
		now = stateOf(info)
	}
	changed := now.size != l.seen.size || !now.time.Equal(l.seen.time)
	again := !l.failed.IsZero() && !l.clk.Now().Before(l.failed.Add(retryEvery))
	if !changed && !again {
		return
	}
	l.seen = now // what cannot even be opened is told once, too
	if err := l.reload(ctx); err != nil {
		if changed {
			l.log.Error("provider index not reloaded, the previous one stays in use", "err", err)
		} else {
			l.log.Debug("provider index still not usable", "err", err)
		}
	}
}
