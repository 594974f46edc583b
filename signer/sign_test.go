// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

// kinds are the keys a provider may sign with.
func kinds(t *testing.T) map[string]signer.Identity {
	ca := testCA(t)
	ec, err := ca.IssueSigner(provider, address, pki.WithECDSA())
	must(t, err)
	return map[string]signer.Identity{
		"rsa2048": identity(t, ca),
		"rsa3072": identity(t, ca, pki.WithKey(rsaKey(t, "3072", 3072))),
		"rsa4096": identity(t, ca, pki.WithKey(rsaKey(t, "4096", 4096))),
		"p256":    ec,
	}
}

// smime wraps entity and signature as a mail message.
func smime(p7s []byte) []byte {
	var b bytes.Buffer
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\"; micalg=sha-256; boundary=\"outer\"\r\n\r\n--outer\r\n")
	b.Write(entity)
	b.WriteString("\r\n--outer\r\nContent-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	enc := base64.StdEncoding.EncodeToString(p7s)
	for len(enc) > 64 {
		b.WriteString(enc[:64] + "\r\n")
		enc = enc[64:]
	}
	b.WriteString(enc + "\r\n--outer--\r\n")
	return b.Bytes()
}

func TestRFC6109_2_1_OpenSSLVerifiesWhatWeSign(t *testing.T) {
	for name, id := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			ca := testCA(t)
			p7s := sign(t, newSigner(t, id), entity)
			dir := workshop(t, ca, id)
			write(t, dir, "p7s", p7s)
			write(t, dir, "mail", smime(p7s))
			at := fmt.Sprint(dayOne.Unix())
			for _, tool := range []string{"cms", "smime"} {
				got := mustOpenSSL(t, dir, tool, "-verify", "-CAfile", "ca.pem", "-attime", at, "-inform", "SMIME", "-in", "mail")
				if !bytes.Equal(got, entity) {
					t.Errorf("%s: verified %q", tool, got)
				}
				mustOpenSSL(t, dir, tool, "-verify", "-CAfile", "ca.pem", "-attime", at, "-inform", "DER", "-in", "p7s", "-content", "entity", "-binary")
			}
			printed := string(mustOpenSSL(t, dir, "cms", "-cmsout", "-print", "-inform", "DER", "-in", "p7s"))
			for _, want := range []string{"contentType", "messageDigest", "Jun  2 08:00:00 2026 GMT"} {
				if !strings.Contains(printed, want) {
					t.Errorf("openssl prints no %q", want)
				}
			}
			wantStep(t, verify(verifierFor(ca, id.Certificate), p7s), signer.StepOK)
		})
	}
}

// What RFC 5652 and RFC 3370 ask for, seen by another reader.
func TestSignedStructure(t *testing.T) {
	id := identity(t, testCA(t))
	p7s := sign(t, newSigner(t, id), entity)
	if der, err := signer.TranscodeBER(p7s); err != nil || !bytes.Equal(der, p7s) {
		t.Errorf("what we sign is not DER: %v", err)
	}
	p7, err := pkcs7.Parse(p7s)
	must(t, err)
	if len(p7.Certificates) != 2 || !p7.Certificates[0].Equal(id.Certificate) || !p7.Certificates[1].Equal(testCA(t).Certificate()) {
		t.Errorf("%d certificates inside", len(p7.Certificates))
	}
	if len(p7.Content) != 0 {
		t.Error("the signature is not detached")
	}
	si := p7.Signers[0]
	if si.Version != 1 || !si.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSA) ||
		!bytes.Equal(si.DigestEncryptionAlgorithm.Parameters.FullBytes, []byte{5, 0}) {
		t.Errorf("signature algorithm %+v", si.DigestEncryptionAlgorithm)
	}
	if !si.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) || len(si.AuthenticatedAttributes) != 3 {
		t.Errorf("digest %v, %d attributes", si.DigestAlgorithm, len(si.AuthenticatedAttributes))
	}
	var at time.Time
	must(t, p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &at))
	if !at.Equal(dayOne) {
		t.Errorf("signing time %v", at)
	}
	p7.Content = entity
	must(t, p7.Verify())
}

// The same digest, time and RSA key give the same octets: a step repeated after
// a crash produces the same receipt.
func TestSignIsDeterministicWithRSA(t *testing.T) {
	s := newSigner(t, identity(t, testCA(t)))
	if !bytes.Equal(sign(t, s, entity), sign(t, s, entity)) {
		t.Error("two signatures differ")
	}
}

func TestSignerAccessors(t *testing.T) {
	id := identity(t, testCA(t))
	s := newSigner(t, id)
	if s.MicAlg() != "sha-256" || s.Address() != address || s.Certificate() != id.Certificate {
		t.Errorf("%s %s", s.MicAlg(), s.Address())
	}
}

func TestNewRefuses(t *testing.T) {
	ca := testCA(t)
	good := identity(t, ca)
	other, err := pki.NewCA("Altra CA", epoch)
	must(t, err)
	noIssuer := good
	noIssuer.Chain = append(noIssuer.Chain[:0:0], other.Certificate())
	wrongKey := good
	wrongKey.Key = rsaKey(t, "3072", 3072)
	broken := good
	broken.Key = &module{Signer: good.Key, wrong: true}
	weak := identity(t, ca, pki.WithKey(rsaKey(t, "1024", 1024)))
	for name, c := range map[string]struct {
		id   signer.Identity
		at   time.Time
		text string
	}{
		"nothing":          {signer.Identity{}, dayOne, "manca"},
		"wrong key":        {wrongKey, dayOne, "non è quella"},
		"wrong chain":      {noIssuer, dayOne, "catena"},
		"key that lies":    {broken, dayOne, "non funziona"},
		"RSA 1024":         {weak, dayOne, "RSA 1024"},
		"expired":          {good, epoch.AddDate(4, 0, 0), "scaduto"},
		"broken profile":   {identity(t, ca, pki.WithBasicConstraints()), dayOne, "basicConstraints"},
		"before its start": {good, epoch.AddDate(0, 0, -1), "non ancora valido"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := signer.New(c.id, provider, address, clock.NewManual(c.at))
			if s != nil || !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), c.text) {
				t.Fatalf("got %v, text %q", err, fault.TextOf(err))
			}
		})
	}
}

// module is a key that is no *rsa.PrivateKey, like one in a hardware module.
type module struct {
	crypto.Signer
	wrong   bool
	fail    error
	running atomic.Int32
	most    atomic.Int32
	hold    chan struct{}
	started chan struct{}
}

func (m *module) Sign(r io.Reader, sum []byte, o crypto.SignerOpts) ([]byte, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	if n := m.running.Add(1); n > m.most.Load() {
		m.most.Store(n)
	}
	defer m.running.Add(-1)
	if m.hold != nil {
		m.started <- struct{}{}
		<-m.hold
	}
	sig, err := m.Signer.Sign(r, sum, o)
	if m.wrong {
		sig[0] ^= 1
	}
	return sig, err
}

func TestSignThroughAnyCryptoSigner(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	id.Key = &module{Signer: id.Key}
	wantStep(t, verify(verifierFor(ca, id.Certificate), sign(t, newSigner(t, id), entity)), signer.StepOK)
}

func TestSignKeyFailureIsTemporary(t *testing.T) {
	m := &module{Signer: rsaKey(t, "leaf", 2048)}
	id := identity(t, testCA(t))
	id.Key = m
	s := newSigner(t, id)
	m.fail = errors.New("token removed")
	_, err := s.Sign(context.Background(), sha256.Sum256(entity), dayOne)
	if !fault.Is(err, fault.Temporary) || !errors.Is(err, m.fail) {
		t.Fatal(err)
	}
	m.fail = nil
	if _, err := s.Sign(context.Background(), sha256.Sum256(entity), dayOne); err != nil {
		t.Fatal("the slot was not given back:", err)
	}
}

func TestSignOutsideValidityIsRefused(t *testing.T) {
	s := newSigner(t, identity(t, testCA(t)))
	for _, at := range []time.Time{epoch.AddDate(3, 0, 1), epoch.Add(-time.Second)} {
		if _, err := s.Sign(context.Background(), sha256.Sum256(entity), at); !fault.Is(err, fault.Temporary) {
			t.Errorf("%v: %v", at, err)
		}
	}
}

func TestSignWaitsForASlotAndHonoursContext(t *testing.T) {
	m := &module{Signer: rsaKey(t, "leaf", 2048)}
	id := identity(t, testCA(t))
	id.Key = m
	s := newSigner(t, id)
	m.hold, m.started = make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	stop, cancelAll := context.WithCancel(context.Background())
	defer cancelAll()
	const callers = 64
	var waiting atomic.Int32
	for range callers {
		wg.Go(func() {
			if _, err := s.Sign(stop, sha256.Sum256(entity), dayOne); err != nil {
				if !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Temporary) {
					t.Error(err)
				}
				waiting.Add(1)
			}
		})
	}
	<-m.started // at least one is inside the key
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Sign(cancelled, sha256.Sum256(entity), dayOne); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller got %v", err)
	}
	cancelAll()
	close(m.hold)
	var inside sync.WaitGroup
	inside.Go(func() { // let those inside announce themselves
		for range m.started {
		}
	})
	wg.Wait()
	close(m.started)
	inside.Wait()
	if m.most.Load() >= callers || waiting.Load() == 0 {
		t.Errorf("%d at once, %d gave up", m.most.Load(), waiting.Load())
	}
}

func TestPool(t *testing.T) {
	p := signer.NewPool(0)
	must(t, signer.Enter(p, context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := signer.Enter(p, ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a full pool let another in: %v", err)
	}
	signer.Leave(p)
	must(t, signer.Enter(p, context.Background()))
	signer.Leave(p)
}

func BenchmarkSign(b *testing.B) {
	s := newSigner(b, identity(b, testCA(b)))
	sum := sha256.Sum256(entity)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Sign(context.Background(), sum, dayOne); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	id := identity(b, testCA(b))
	p7s, v := sign(b, newSigner(b, id), entity), verifierFor(testCA(b), id.Certificate)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !verify(v, p7s).OK() {
				b.Fatal("not verified")
			}
		}
	})
}
