// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// indexServer is the central index: signed, over HTTPS, for client certificates.
type indexServer struct {
	*httptest.Server
	p      *peerProvider
	ca     *issuer // of the index's signature and of both TLS ends
	client tls.Certificate

	mu  sync.Mutex
	p7m []byte
}

func pair(c *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

func newIndexServer(t testing.TB, p *peerProvider) *indexServer {
	t.Helper()
	s := &indexServer{p: p, ca: newIssuer(t, "CA dell'indice")}
	c, key := s.ca.issue(t, func(c *x509.Certificate) { c.EmailAddresses = []string{"igpec@agid.example"} })
	p.keep(t, "index", c, key)
	server, serverKey := s.ca.issue(t, func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	client, clientKey := s.ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	p.keep(t, "client", client, clientKey)
	s.client = pair(client, clientKey)
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	s.Server = httptest.NewUnstartedServer(s)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair(server, serverKey)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP gives the index out.
func (s *indexServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Write(s.p7m)
}

// publish signs an index.
func (s *indexServer) publish(t testing.TB, ldif string) {
	t.Helper()
	k := s.p.signers["index"]
	p7m := run(t, "openssl", "cms", "-sign", "-nodetach", "-binary", "-md", "sha256", "-outform", "DER", "-signer", k.cert, "-inkey", k.key, "-in", write(t, "index.ldif", []byte(ldif)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p7m = p7m
}

// TestIndexOverHTTPS: the index is fetched with a client certificate; a hostile
// one is refused and the old one kept; an operator may accept it. Our own record
// is published, signed, with the next certificate.
func TestIndexOverHTTPS(t *testing.T) {
	var s *indexServer
	var good string
	p := newPeer(t, func(p *peerProvider, config string) string {
		s = newIndexServer(t, p)
		good = string(p.read(t, "alfa/index.ldif"))
		s.publish(t, good)
		ca := write(t, "index-ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.cert.Raw}))
		config = strings.Replace(config, "file = \"alfa/index.ldif\"\n", fmt.Sprintf("file = \"alfa/index.ldif.p7m\"\nauthorities = %q\nurl = %q\ntls_authorities = %q\nclient_certificate = %q\nclient_key = %q\n",
			ca, s.URL+"/igpec.ldif.p7m", ca, p.signers["client"].cert, p.signers["client"].key), 1)
		return config + fmt.Sprintf("\n[publish]\npath = \"/ldif/alfa.ldif.p7m\"\nurl = \"https://localhost/ldif/alfa.ldif.p7m\"\nclient_authorities = %q\nnext_certificates = [%q]\n",
			ca, p.signers["renewed"].cert)
	})
	config := filepath.Join(p.demo.dir, "alfa.toml")
	type status struct {
		Providers int
		Fetch     struct {
			LastError string
			Refused   *struct{ Reason, SHA256 string }
		}
	}
	read := func() (st status) {
		t.Helper()
		if err := json.Unmarshal(run(t, pecd(t), "index", "status", "--json", "--config", config), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := read(); st.Providers != 4 || st.Fetch.Refused != nil {
		t.Fatalf("index: %+v", st)
	}
	stolen := strings.Replace(strings.Replace(good, "managedDomains: beta.example\n", "managedDomains: beta2.example\n", 1), "managedDomains: "+peerDomain+"\n", "managedDomains: "+peerDomain+"\nmanagedDomains: beta.example\n", 1)
	s.publish(t, stolen)
	if code, out := pecdIn(t, "", "index", "refresh", "--config", config); code != 1 || !strings.Contains(out, "beta.example") {
		t.Fatalf("a stolen domain: exit %d\n%s", code, out)
	}
	st := read()
	if st.Providers != 4 || st.Fetch.Refused == nil || !strings.Contains(st.Fetch.Refused.Reason, "beta.example") {
		t.Fatalf("after a stolen domain: %+v", st)
	}
	if code, out := pecdIn(t, "", "status", "--config", config); code != 1 || !strings.Contains(out, "index_refused") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
	if code, _ := pecdIn(t, "", "index", "accept", strings.Repeat("0", 64), "--config", config); code != 1 {
		t.Errorf("another index than the one looked at: exit %d", code)
	}
	run(t, pecd(t), "index", "accept", st.Fetch.Refused.SHA256, "--config", config)
	until(t, 20*time.Second, "the alarm is cleared", func() (bool, string) {
		code, out := pecdIn(t, "", "status", "--config", config)
		return code == 0, out
	})
	if out := string(run(t, pecd(t), "ledger", "search", "--kind", "index.loaded", "--json", "--config", config)); !strings.Contains(out, "by hand: true") {
		t.Errorf("log of the index taken over by hand: %s", out)
	}
	checkOwnRecord(t, p, s, p.demo.get(t, "ALFA_HTTPS"))
	checkWhoIsAskedForACertificate(t, p.demo)
}

// checkOwnRecord reads what alfa publishes of itself.
func checkOwnRecord(t *testing.T, p *peerProvider, s *indexServer, https string) {
	t.Helper()
	host, _ := p.demo.hostPort(t, "ALFA_SMTPS")
	get := func(certs ...tls.Certificate) (int, []byte, http.Header) {
		t.Helper()
		cfg := p.demo.tls(t, host)
		cfg.Certificates = certs
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + https + "/ldif/alfa.ldif.p7m")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b, resp.Header
	}
	if code, _, _ := get(); code != http.StatusForbidden {
		t.Errorf("without a client certificate: %d", code)
	}
	code, p7m, header := get(s.client)
	if code != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "application/pkcs7-mime") {
		t.Fatalf("%d, %v", code, header)
	}
	file := write(t, "own.p7m", p7m)
	ldif := string(run(t, "openssl", "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", p.demo.file(t, "CA_FILE"), "-purpose", "any"))
	if strings.Count(ldif, "providerCertificateHash: ") != 2 || !strings.Contains(ldif, "managedDomains: alfa.example") || !strings.Contains(ldif, "LDIFLocationURL: https://localhost/") {
		t.Errorf("own record:\n%s", ldif)
	}
}

// checkWhoIsAskedForACertificate: whoever fetches the record by the server's own
// name is; a mail client that asks for its configuration is not.
func checkWhoIsAskedForACertificate(t *testing.T, d *demo) {
	t.Helper()
	for name, want := range map[string]bool{"localhost": true, "autoconfig.alfa.example": false, "autodiscover.alfa.example": false} {
		asked := false
		cfg := d.tls(t, name)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}
		c, err := tls.Dial("tcp", d.get(t, "ALFA_HTTPS"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if asked != want {
			t.Errorf("%s: asked for a client certificate: %v, want %v", name, asked, want)
		}
	}
}
