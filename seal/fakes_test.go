// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"pecd/clock"
	"pecd/storage"
)

// faulty is a store whose commits fail when a test wants it.
type faulty struct {
	Store
	before func(*storage.Step) error // fails a commit that is not done
	after  func(*storage.Step) error // … or one that was
}

func (f *faulty) Commit(ctx context.Context, s *storage.Step) error {
	if f.before != nil {
		if err := f.before(s); err != nil {
			return err
		}
	}
	if err := f.Store.Commit(ctx, s); err != nil {
		return err
	}
	if f.after != nil {
		return f.after(s)
	}
	return nil
}

var errTest = errors.New("as the test wants it")

// onOp fails steps with an operation of type T.
func onOp[T storage.Op](s *storage.Step) error {
	for _, op := range s.Ops {
		if _, ok := op.(T); ok {
			return errTest
		}
	}
	return nil
}

// fakeSigner makes the content followed by an Ed25519 signature over its sum, in
// the place of CMS: fast, and as easy to break.
type fakeSigner struct {
	key  ed25519.PrivateKey
	fail bool
	half bool // fail in the midst of writing
	name string
}

func newFakeSigner(seed byte) *fakeSigner {
	return &fakeSigner{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), name: "ALFA PEC  S.p.A."}
}

func (s *fakeSigner) SignOpaque(_ context.Context, w io.Writer, content io.ReadSeeker, size int64, _ time.Time) error {
	if s.fail {
		return errTest
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), content)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%d octets of content, not %d", n, size)
	}
	if s.half {
		return errTest
	}
	_, err = w.Write(ed25519.Sign(s.key, h.Sum(nil)))
	return err
}

func (s *fakeSigner) open(p7m io.ReaderAt, size int64, at time.Time) (io.Reader, []string, error) {
	size -= ed25519.SignatureSize
	if size < 0 || at.IsZero() {
		return nil, nil, errors.New("too short, or without an instant")
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(p7m, 0, size)); err != nil {
		return nil, nil, err
	}
	sig := make([]byte, ed25519.SignatureSize)
	if _, err := p7m.ReadAt(sig, size); err != nil && err != io.EOF {
		return nil, nil, err
	}
	if !ed25519.Verify(s.key.Public().(ed25519.PublicKey), h.Sum(nil), sig) {
		return nil, nil, errors.New("bad signature")
	}
	return io.NewSectionReader(p7m, 0, size), []string{"Posta Certificata", s.name}, nil
}

// fakeTSA stamps with Ed25519 over instant and digest.
type fakeTSA struct {
	key   ed25519.PrivateKey
	clk   clock.Clock
	fail  bool
	asked [][32]byte // digests in the order of the requests
}

func newFakeTSA(seed byte, clk clock.Clock) *fakeTSA {
	return &fakeTSA{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), clk: clk}
}

func (t *fakeTSA) Stamp(_ context.Context, digest [32]byte) ([]byte, time.Time, error) {
	t.asked = append(t.asked, digest)
	if t.fail {
		return nil, time.Time{}, errTest
	}
	at := t.clk.Now().UTC().Truncate(time.Second)
	signed := append(at.AppendFormat(nil, time.RFC3339), digest[:]...)
	return append(at.AppendFormat(nil, time.RFC3339), ed25519.Sign(t.key, signed)...), at, nil
}

func (t *fakeTSA) verify(response []byte, digest [32]byte) (time.Time, error) {
	const n = len("2006-01-02T15:04:05Z")
	if len(response) != n+ed25519.SignatureSize {
		return time.Time{}, errors.New("no stamp")
	}
	at, err := time.Parse(time.RFC3339, string(response[:n]))
	if err != nil {
		return time.Time{}, err
	}
	signed := append(slices.Clone(response[:n]), digest[:]...)
	if !ed25519.Verify(t.key.Public().(ed25519.PublicKey), signed, response[n:]) {
		return time.Time{}, errors.New("the stamp is of something else")
	}
	return at, nil
}
