// SPDX-License-Identifier: EUPL-1.2

package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

const (
	provider = "Alfa PEC S.p.A."
	address  = "posta-certificata@alfa.example"
)

var epoch = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newCA(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("CA di prova", epoch)
	must(t, err)
	return ca
}

// openssl runs the openssl binary on files written before.
func openssl(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: apt-get install openssl")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestIssuedCertificatesSatisfyOpenSSL(t *testing.T) {
	ca := newCA(t)
	id, err := ca.IssueSigner(provider, address)
	must(t, err)
	must(t, signer.CheckProfile(id.Certificate, provider, address, epoch))
	server, err := ca.IssueTLS([]string{"localhost", "127.0.0.1", "::1"})
	must(t, err)
	tsa, err := ca.IssueTSA("TSA di prova", pki.WithCRLPoints("http://127.0.0.1/ca.crl"))
	must(t, err)
	crl, err := ca.CRL(id.Certificate.SerialNumber)
	must(t, err)
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"ca.pem": pki.EncodeCertificates(ca.Certificate()), "signer.pem": pki.EncodeCertificates(id.Certificate),
		"tls.pem": pki.EncodeCertificates(server.Leaf), "tsa.pem": pki.EncodeCertificates(tsa.Certificate), "crl.pem": pki.EncodeCRL(crl),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	at := fmt.Sprint(epoch.Add(time.Hour).Unix())
	verify := []string{"verify", "-x509_strict", "-attime", at, "-CAfile", "ca.pem"}
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"-purpose", "smimesign", "signer.pem"}, true},
		{[]string{"-verify_email", address, "signer.pem"}, true},
		{[]string{"-purpose", "sslserver", "-verify_hostname", "localhost", "tls.pem"}, true},
		{[]string{"-purpose", "sslserver", "-verify_ip", "::1", "tls.pem"}, true},
		{[]string{"-purpose", "sslserver", "signer.pem"}, false},
		{[]string{"-purpose", "timestampsign", "tsa.pem"}, true},
		{[]string{"-purpose", "timestampsign", "signer.pem"}, false},
		{[]string{"-purpose", "smimesign", "tsa.pem"}, false},
		{[]string{"-crl_check", "-CRLfile", "crl.pem", "tls.pem"}, true},
		{[]string{"-crl_check", "-CRLfile", "crl.pem", "signer.pem"}, false},
	} {
		if out, err := openssl(t, dir, append(verify[:len(verify):len(verify)], c.args...)...); (err == nil) != c.ok {
			t.Errorf("%v: %v %s", c.args, err, out)
		}
	}
	text, err := openssl(t, dir, "x509", "-noout", "-text", "-in", "signer.pem")
	must(t, err)
	for _, want := range []string{"C = IT, O = Alfa PEC S.p.A., CN = Posta Certificata", "Key Usage: critical", "Digital Signature", "E-mail Protection", "email:" + address} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the certificate", want)
		}
	}
	if strings.Contains(text, "Basic Constraints") {
		t.Error("the signing certificate has basicConstraints")
	}
	text, err = openssl(t, dir, "x509", "-noout", "-text", "-in", "tsa.pem")
	must(t, err)
	for _, want := range []string{"CN = TSA di prova", "Extended Key Usage: critical", "Time Stamping", "URI:http://127.0.0.1/ca.crl"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the certificate for time stamps", want)
		}
	}
}

func TestSerialNumbersCountUp(t *testing.T) {
	ca := newCA(t)
	serials := []*big.Int{ca.Certificate().SerialNumber}
	for range 2 {
		c, err := ca.IssueTLS([]string{"localhost"})
		must(t, err)
		serials = append(serials, c.Leaf.SerialNumber)
	}
	renewed, err := ca.Renew(epoch.AddDate(1, 0, 0))
	must(t, err)
	serials = append(serials, renewed.Certificate().SerialNumber)
	c, err := renewed.IssueTLS([]string{"localhost"})
	must(t, err)
	serials = append(serials, c.Leaf.SerialNumber)
	reopened := pki.Open(renewed.Certificate(), renewed.Key(), 6, epoch.AddDate(1, 1, 0))
	c, err = reopened.IssueTLS([]string{"localhost"})
	must(t, err)
	serials = append(serials, c.Leaf.SerialNumber)
	for i, s := range serials {
		if s.Int64() != int64(i+1) {
			t.Errorf("serials %v", serials)
		}
	}
	if !c.Leaf.NotBefore.Equal(epoch.AddDate(1, 1, 0)) {
		t.Errorf("from %v", c.Leaf.NotBefore)
	}
	must(t, c.Leaf.CheckSignatureFrom(ca.Certificate())) // the key is the same
}

func TestIssueTLSServesTLS(t *testing.T) {
	ca := newCA(t)
	cert, err := ca.IssueTLS([]string{"localhost", "127.0.0.1"})
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	now := func() time.Time { return epoch.Add(time.Hour) }
	for _, name := range []string{"localhost", "127.0.0.1"} {
		server, client := net.Pipe()
		done := make(chan error, 1)
		go func() {
			defer server.Close()
			_, err := io.WriteString(tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}, Time: now}), "ciao")
			done <- err
		}()
		got := make([]byte, 4)
		_, err := io.ReadFull(tls.Client(client, &tls.Config{RootCAs: roots, ServerName: name, Time: now}), got)
		must(t, err)
		client.Close()
		must(t, <-done)
		if string(got) != "ciao" {
			t.Errorf("%q", got)
		}
	}
	if _, err := ca.IssueTLS(nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	ca := newCA(t)
	from, to := epoch.AddDate(0, 1, 0), epoch.AddDate(0, 2, 0)
	id, err := ca.IssueSigner(provider, address, pki.WithECDSA(), pki.WithValidity(from, to),
		pki.WithSubject(pkix.Name{CommonName: "x"}), pki.WithExtKeyUsage(x509.ExtKeyUsageAny), pki.WithKeyUsage(0x40))
	must(t, err)
	c := id.Certificate
	if c.PublicKeyAlgorithm != x509.ECDSA || !c.NotBefore.Equal(from) || !c.NotAfter.Equal(to) || c.Subject.CommonName != "x" ||
		len(c.ExtKeyUsage) != 1 || c.KeyUsage != x509.KeyUsageContentCommitment {
		t.Errorf("%+v", c)
	}
	if _, err := ca.IssueSigner(provider, address, pki.WithRSA(3)); err == nil {
		t.Error("an RSA key of three bits")
	}
	key, err := pki.EncodeKey("no key", nil)
	if key != nil || !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
