// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

// signOpaque returns a .p7m with the content.
func signOpaque(t testing.TB, s *signer.Signer, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, s.SignOpaque(context.Background(), &out, bytes.NewReader(content), int64(len(content)), dayOne))
	return out.Bytes()
}

// verifyOpaque reads a .p7m as a stream and returns the content whole.
func verifyOpaque(v *signer.Verifier, p7m []byte, at time.Time) ([]byte, error) {
	section, _, err := v.VerifyOpaque(bytes.NewReader(p7m), int64(len(p7m)), at)
	if err != nil {
		if section != nil {
			return nil, errors.New("an error and a content")
		}
		return nil, err
	}
	return io.ReadAll(section)
}

// TestRFC6109_4_5_6_SignOpaque: lengths of one to three octets more in each
// header, read by openssl, by OpenSigned and as a stream.
func TestRFC6109_4_5_6_SignOpaque(t *testing.T) {
	ca := testCA(t)
	v := verifierFor(ca)
	for kind, opt := range map[string]pki.Option{"RSA": pki.WithKey(rsaKey(t, "leaf", 2048)), "ECDSA": pki.WithECDSA()} {
		id := identity(t, ca, opt)
		s := newSigner(t, id)
		dir := workshop(t, ca, id)
		for _, n := range []int{0, 1, 100, 127, 128, 255, 256, 1000, 65535, 65536, 1 << 20, 1<<24 - 1, 1 << 24} {
			t.Run(fmt.Sprint(kind, n), func(t *testing.T) {
				content := bytes.Repeat([]byte("riga\r\n"), n/6+1)[:n]
				p7m := signOpaque(t, s, content)
				if opened, by, err := v.OpenSigned(p7m, n, dayOne); err != nil || !bytes.Equal(opened, content) || !by.Equal(id.Certificate) {
					t.Errorf("OpenSigned: %d octets, %v", len(opened), err)
				}
				section, by, err := v.VerifyOpaque(bytes.NewReader(p7m), int64(len(p7m)), dayOne)
				must(t, err)
				if got, err := io.ReadAll(section); err != nil || !bytes.Equal(got, content) || !by.Equal(id.Certificate) {
					t.Errorf("VerifyOpaque: %d octets, %v", len(got), err)
				}
				if again, err := signer.TranscodeLargeBER(p7m); err != nil || !bytes.Equal(again, p7m) {
					t.Errorf("not DER: %v", err)
				}
				if n > 1<<20 {
					return
				}
				write(t, dir, "x.p7m", p7m)
				mustOpenSSL(t, dir, "cms", "-verify", "-inform", "DER", "-in", "x.p7m", "-CAfile", "ca.pem", "-purpose", "any",
					"-attime", fmt.Sprint(dayOne.Unix()), "-binary", "-out", "out")
				if !bytes.Equal(read(t, dir, "out"), content) {
					t.Error("openssl reads something else")
				}
			})
		}
	}
}

// sparse is a file in which blocks of zeros take no room.
type sparse struct{ f *os.File }

func (s sparse) Write(p []byte) (int, error) {
	if len(p) >= 4096 && bytes.Count(p, []byte{0}) == len(p) {
		_, err := s.f.Seek(int64(len(p)), io.SeekCurrent)
		return len(p), err
	}
	return s.f.Write(p)
}

// TestOpaqueOfAnyLength: a day of several hundred MB is signed and verified in
// little memory.
func TestOpaqueOfAnyLength(t *testing.T) {
	const size = 256 << 20
	ca := testCA(t)
	s, v := newSigner(t, identity(t, ca)), verifierFor(ca)
	day, err := os.Create(filepath.Join(t.TempDir(), "day"))
	must(t, err)
	defer day.Close()
	must(t, day.Truncate(size))
	p7m, err := os.Create(filepath.Join(t.TempDir(), "day.p7m"))
	must(t, err)
	defer p7m.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, s.SignOpaque(context.Background(), sparse{p7m}, day, size, dayOne))
	info, err := p7m.Stat()
	must(t, err)
	content, _, err := v.VerifyOpaque(p7m, info.Size(), dayOne)
	must(t, err)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d octets allocated", used)
	}
	if content.Size() != size || info.Size() < size || info.Size() > size+8<<10 {
		t.Errorf("content %d, file %d", content.Size(), info.Size())
	}
}

// TestOpaqueDamaged: what was cut or lengthened anywhere is refused; a changed
// bit never gives another content.
func TestOpaqueDamaged(t *testing.T) {
	ca := testCA(t)
	v := verifierFor(ca)
	content := bytes.Repeat([]byte("riga\r\n"), 50)
	p7m := signOpaque(t, newSigner(t, identity(t, ca)), content)
	at := bytes.Index(p7m, content)
	for n := range p7m {
		if _, err := verifyOpaque(v, p7m[:n], dayOne); !fault.Is(err, fault.Invalid) {
			t.Fatalf("the first %d octets: %v", n, err)
		}
		if got, err := verifyOpaque(v, append(bytes.Clone(p7m[:n]), p7m[min(n+1, len(p7m)):]...), dayOne); err == nil {
			t.Fatalf("without octet %d: %d octets", n, len(got))
		}
		if n > at+20 && n < at+len(content)-20 && n%7 > 0 {
			continue // much the same as its neighbours
		}
		changed := bytes.Clone(p7m)
		changed[n] ^= 1 << (n % 8)
		got, err := verifyOpaque(v, changed, dayOne)
		if err == nil && !bytes.Equal(got, content) {
			t.Fatalf("octet %d changed: another content", n)
		}
		if inside := n >= at && n < at+len(content); inside && !fault.Is(err, fault.Denied) || n < at && err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Denied) {
			t.Errorf("octet %d changed: %v", n, err)
		}
	}
	if _, err := verifyOpaque(v, append(bytes.Clone(p7m), 0), dayOne); !fault.Is(err, fault.Invalid) {
		t.Errorf("an octet more: %v", err)
	}
}

// TestVerifyOpaque: structures that are not ours, and signatures that do not hold.
func TestVerifyOpaque(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	stranger, err := pki.NewCA("Altra CA", epoch)
	must(t, err)
	crl, err := ca.CRL(id.Certificate.SerialNumber)
	must(t, err)
	good := forgery{id: id, content: ldif, opaque: true}.build(t)
	// The outermost length, in one octet more than it takes.
	long := append([]byte{0x30, 0x83, 0, good[2], good[3]}, good[4:]...)
	// An element more at the end of SignedData, which every length counts.
	signed := good[4+11+4+4:]
	lengthened := tlv(0x30, good[4:4+11], tlv(0xa0, tlv(0x30, signed, []byte{5, 0})))
	// Certificates and signers inside the wrapping of the content.
	begin := bytes.Index(good, ldif)
	encap := bytes.Index(good, append([]byte{6, 9}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}...))
	swallowed := tlv(0x30, good[4:4+11], tlv(0xa0, tlv(0x30, signed[:encap-4-(4+11+4+4)],
		tlv(0x30, good[encap:encap+11], tlv(0xa0, tlv(0x04, ldif), good[begin+len(ldif):])))))
	for name, c := range map[string]struct {
		p7m  []byte
		at   time.Time
		crl  bool
		kind fault.Kind
		ok   bool
	}{
		"another's DER":        {p7m: good, ok: true},
		"chunks":               {p7m: forgery{id: id, content: ldif, opaque: true, chunk: 1000}.build(t), kind: fault.Invalid},
		"length not minimal":   {p7m: long, kind: fault.Invalid},
		"PEM":                  {p7m: []byte("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n"), kind: fault.Invalid},
		"empty":                {kind: fault.Invalid},
		"detached":             {p7m: forgery{id: id, content: ldif}.build(t), kind: fault.Invalid},
		"not signed data":      {p7m: bytes.Replace(good, []byte{0xf7, 0x0d, 1, 7, 2}, []byte{0xf7, 0x0d, 1, 7, 3}, 1), kind: fault.Invalid},
		"no signer":            {p7m: forgery{id: id, content: ldif, opaque: true, noSigner: true}.build(t), kind: fault.Invalid},
		"no certificate":       {p7m: forgery{id: id, content: ldif, opaque: true, noCerts: true}.build(t), kind: fault.Invalid},
		"too much around":      {p7m: forgery{id: id, content: ldif, opaque: true, extraCerts: [][]byte{tlv(0xa1, tlv(0x04, make([]byte, signer.MaxSignatureBytes)))}}.build(t), kind: fault.Invalid},
		"element behind":       {p7m: append(bytes.Clone(good), 5, 0), kind: fault.Invalid},
		"swallowed":            {p7m: swallowed, kind: fault.Invalid},
		"element behind it":    {p7m: lengthened, kind: fault.Invalid},
		"much around":          {p7m: forgery{id: id, content: ldif, opaque: true, extraCerts: [][]byte{tlv(0xa1, tlv(0x04, make([]byte, signer.MaxSignatureBytes/2)))}}.build(t), ok: true},
		"changed":              {p7m: bytes.Replace(good, []byte("alfa.example"), []byte("beta.example"), 1), kind: fault.Denied},
		"expired":              {p7m: good, at: epoch.AddDate(4, 0, 0), kind: fault.Denied},
		"revoked":              {p7m: good, crl: true, kind: fault.Denied},
		"untrusted":            {p7m: forgery{id: identity(t, stranger), content: ldif, opaque: true}.build(t), kind: fault.Denied},
		"of another's content": {p7m: forgery{id: id, content: ldif, opaque: true, outerType: oidTSTInfo, contentType: oidTSTInfo}.build(t), kind: fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := signer.PECConfig(ca.Certificate())
			if c.crl {
				cfg.CRLs = crlSource(t, crl)
			}
			at := c.at
			if at.IsZero() {
				at = dayOne
			}
			content, err := verifyOpaque(signer.NewVerifier(cfg), c.p7m, at)
			if c.ok {
				if err != nil || !bytes.Equal(content, ldif) {
					t.Fatalf("%d octets, %v", len(content), err)
				}
				return
			}
			if !fault.Is(err, c.kind) || !strings.Contains(fault.TextOf(err), " / ") {
				t.Fatalf("%d octets, %v, %q", len(content), err, fault.TextOf(err))
			}
		})
	}
	v := verifierFor(ca)
	if _, _, err := v.VerifyOpaque(bytes.NewReader(good), -1, dayOne); !fault.Is(err, fault.Invalid) {
		t.Errorf("negative size: %v", err)
	}
	if _, _, err := v.VerifyOpaque(bytes.NewReader(good[:200]), int64(len(good)), dayOne); !fault.Is(err, fault.Invalid) {
		t.Errorf("shorter than said: %v", err)
	}
	for off := range 3 {
		broken := brokenAt{bytes.NewReader(good), []int64{0, 10000, int64(len(good)) - 1}[off]}
		if _, _, err := v.VerifyOpaque(broken, int64(len(good)), dayOne); !fault.Is(err, fault.Temporary) {
			t.Errorf("disk error at %d: %v", broken.off, err)
		}
	}
}

// brokenAt is a disk with a bad octet.
type brokenAt struct {
	io.ReaderAt
	off int64
}

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off <= b.off && b.off < off+int64(len(p)) {
		return 0, errors.New("I/O error")
	}
	return b.ReaderAt.ReadAt(p, off)
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

// TestSignOpaqueFails where content or disk are not as they should be.
func TestSignOpaqueFails(t *testing.T) {
	s := newSigner(t, identity(t, testCA(t)))
	ctx := context.Background()
	for _, size := range []int64{-1, 0, 4, 6, 1<<63 - 1} {
		if err := s.SignOpaque(ctx, io.Discard, strings.NewReader("cinque"[:5]), size, dayOne); !fault.Is(err, fault.Invalid) {
			t.Errorf("5 octets said to be %d: %v", size, err)
		}
	}
	// What is signed is what was read first: a content that changed is found.
	changing := &secondRead{first: []byte("cinque"), second: []byte("cinquE")}
	if err := s.SignOpaque(ctx, io.Discard, changing, 6, dayOne); !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "changed") {
		t.Errorf("changed content: %v", err)
	}
	for _, left := range []int{0, 100, 70_000} {
		if err := s.SignOpaque(ctx, &fullDisk{left}, bytes.NewReader(ldif), int64(len(ldif)), dayOne); (left < len(ldif)+100) != fault.Is(err, fault.Temporary) {
			t.Errorf("disk of %d octets: %v", left, err)
		}
	}
	if err := s.SignOpaque(ctx, io.Discard, bytes.NewReader(ldif), int64(len(ldif)), epoch.AddDate(9, 0, 0)); !fault.Is(err, fault.Temporary) {
		t.Errorf("expired: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.SignOpaque(done, io.Discard, bytes.NewReader(ldif), int64(len(ldif)), dayOne); !fault.Is(err, fault.Temporary) {
		t.Errorf("cancelled: %v", err)
	}
}

// secondRead is a content that is another one when it is read again.
type secondRead struct {
	first, second []byte
	r             *bytes.Reader
}

func (s *secondRead) Seek(int64, int) (int64, error) {
	s.r = bytes.NewReader(s.first)
	s.first = s.second
	return 0, nil
}

func (s *secondRead) Read(p []byte) (int, error) { return s.r.Read(p) }

// FuzzOpaque checks the reader of headers against the one for any CMS: what it
// reads, that one reads alike.
func FuzzOpaque(f *testing.F) {
	id := identity(f, testCA(f))
	content := []byte("riga\r\n")
	f.Add(signOpaque(f, newSigner(f, id), content))
	f.Add(forgery{id: id, content: content, opaque: true}.build(f))
	f.Add(forgery{id: id, content: content, opaque: true, chunk: 2}.build(f))
	f.Add([]byte{0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	v := verifierFor(testCA(f))
	f.Fuzz(func(t *testing.T, p7m []byte) {
		inside, err := signer.OpaqueContent(p7m)
		if err == nil {
			if want, err := signer.SignedContent(p7m); err != nil || !bytes.Equal(inside, want) {
				t.Errorf("%q and %q (%v)", inside, want, err)
			}
		}
		if got, err := verifyOpaque(v, p7m, dayOne); err == nil && sha256.Sum256(got) != sha256.Sum256(inside) {
			t.Errorf("verified %q, inside is %q", got, inside)
		}
	})
}
