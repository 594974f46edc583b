// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What mail clients are told over HTTPS and by the DNS, asked of the real
// program by curl and judged by xmllint, openssl and Python's plistlib.

const (
	outlookRequest = `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">` +
		`<Request><EMailAddress>%s</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
	accountPath = `/*[local-name()="Autodiscover"]/*[local-name()="Response"]/*[local-name()="Account"]/*[local-name()="Protocol"]`
)

// https asks alfa for an address of its HTTPS server, by the name and port 443
// that the address has, and returns status and document. The demo's authority is
// the only one believed.
func (d *demo) https(t testing.TB, address string, more ...string) (status, document string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return curl(t, address, append([]string{"--cacert", d.file(t, "CA_FILE"), "--connect-to", u.Hostname() + ":443:" + d.get(t, "ALFA_HTTPS")}, more...)...)
}

func curl(t testing.TB, address string, args ...string) (status, document string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "document")
	out := run(t, "curl", append([]string{"-sS", "--noproxy", "*", "-o", file, "-w", "%{http_code}"}, append(args, address)...)...)
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(out), string(b)
}

// xpath evaluates an expression on a document, which must be well-formed.
func xpath(t testing.TB, document, expression string) string {
	t.Helper()
	return strings.TrimSpace(string(run(t, "xmllint", "--nonet", "--xpath", expression, write(t, "document.xml", []byte(document)))))
}

func TestAutoconfig(t *testing.T) {
	need(t, "curl", "xmllint")
	d := sharedDemo(t)
	_, imaps := d.hostPort(t, "ALFA_IMAPS")
	_, smtps := d.hostPort(t, "ALFA_SMTPS")
	var first string
	for _, address := range []string{
		"https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=standard001%40alfa.example",
		"https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=nessuno.di.nessuno%40alfa.example", // no such mailbox: nobody learns that
		"https://autoconfig.alfa.example/mail/config-v1.1.xml",
		"https://localhost/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=standard001%40alfa.example",
	} {
		status, doc := d.https(t, address)
		if first == "" {
			first = doc
		}
		if status != "200" || doc != first {
			t.Fatalf("%s: %s\n%s", address, status, doc)
		}
	}
	const provider = "/clientConfig[@version='1.1']/emailProvider[@id='alfa.example']"
	for expression, want := range map[string]string{
		"string(" + provider + "/domain)":                        "alfa.example",
		"string(" + provider + "/incomingServer[1]/@type)":       "imap",
		"string(" + provider + "/incomingServer[1]/port)":        imaps,
		"string(" + provider + "/incomingServer[1]/socketType)":  "SSL",
		"string(" + provider + "/outgoingServer[1]/port)":        smtps,
		"string(" + provider + "/outgoingServer[1]/username)":    "%EMAILADDRESS%",
		"string(" + provider + "/displayName)":                   "Gestore Alfa S.p.A. (posta certificata)",
		"count(" + provider + "//hostname[text()!='localhost'])": "0",
	} {
		if got := xpath(t, first, expression); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
	if status, doc := d.https(t, "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=x%40beta.example"); status != "404" {
		t.Errorf("a domain of another provider: %s\n%s", status, doc)
	}

	// In clear there is nothing but the way to the same question over HTTPS.
	status, doc := curl(t, "http://"+d.get(t, "ALFA_HTTP")+"/mail/config-v1.1.xml", "-H", "Host: autoconfig.alfa.example", "-w", "%{http_code} %{redirect_url}")
	_, port := d.hostPort(t, "ALFA_HTTPS")
	if want := "302 https://localhost:" + port + "/mail/config-v1.1.xml?domain=alfa.example"; !strings.HasSuffix(status, want) || strings.Contains(doc, "clientConfig") {
		t.Errorf("in clear: %s, want %s\n%s", status, want, doc)
	}
}

func TestAutodiscover(t *testing.T) {
	need(t, "curl", "xmllint")
	d := sharedDemo(t)
	ask := func(body string) (string, string) {
		return d.https(t, "https://autodiscover.alfa.example/Autodiscover/Autodiscover.xml", "-H", "Content-Type: text/xml", "--data-binary", body)
	}
	_, imaps := d.hostPort(t, "ALFA_IMAPS")
	status, doc := ask(fmt.Sprintf(outlookRequest, "Standard001@alfa.example"))
	for expression, want := range map[string]string{
		"string(" + accountPath + "[1]/*[local-name()='Type'])":      "IMAP",
		"string(" + accountPath + "[1]/*[local-name()='Port'])":      imaps,
		"string(" + accountPath + "[1]/*[local-name()='LoginName'])": "standard001@alfa.example",
		"string(" + accountPath + "[last()]/*[local-name()='Type'])": "SMTP",
		"string(namespace-uri(//*[local-name()='Account']))":         "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a",
	} {
		if got := xpath(t, doc, expression); got != want {
			t.Errorf("%s %s: %q, want %q\n%s", status, expression, got, want, doc)
		}
	}
	// The answer says the same of a mailbox that is not there, and holds nothing
	// of the question but the address, in which & is a letter.
	_, other := ask(fmt.Sprintf(outlookRequest, "a&amp;b@alfa.example"))
	if got := strings.ReplaceAll(other, "a&amp;b@alfa.example", "standard001@alfa.example"); got != doc {
		t.Errorf("another answer for another mailbox:\n%s\n%s", doc, other)
	}
	for name, body := range map[string]string{
		"markup in the address": fmt.Sprintf(outlookRequest, "&lt;/LoginName&gt;@alfa.example"),
		"a foreign domain":      fmt.Sprintf(outlookRequest, "x@beta.example"),
	} {
		if status, doc := ask(body); status != "400" && status != "404" || strings.Contains(doc, "LoginName") {
			t.Errorf("%s: %s\n%s", name, status, doc)
		}
	}
	for name, body := range map[string]string{"nothing": "", "100 kB": fmt.Sprintf(outlookRequest, strings.Repeat("x", 100<<10)), "no XML": "x=y"} {
		if status, doc := ask(body); status != "200" || xpath(t, doc, "string(//ErrorCode|//*[local-name()='ErrorCode'])") != "600" {
			t.Errorf("%s: %s\n%s", name, status, doc)
		}
	}
	var found struct{ Protocol, Url string }
	status, doc = d.https(t, "https://autodiscover.alfa.example/autodiscover/autodiscover.json?Email=standard001%40alfa.example&Protocol=AutodiscoverV1")
	if err := json.Unmarshal([]byte(doc), &found); err != nil || status != "200" || !strings.HasSuffix(found.Url, "/autodiscover/autodiscover.xml") {
		t.Errorf("%s %s: %v", status, doc, err)
	}
}

// TestAppleProfile reads the profile as a device does: a signature first, then a
// property list.
func TestAppleProfile(t *testing.T) {
	need(t, "curl", "openssl", "python3")
	d := sharedDemo(t)
	status, doc := d.https(t, "https://localhost/mail.mobileconfig?emailaddress=a%26b%40alfa.example")
	if status != "200" {
		t.Fatal(status, doc)
	}
	file := write(t, "pec.mobileconfig", []byte(doc))
	plist := file + ".plist"
	run(t, "openssl", "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", d.file(t, "CA_FILE"), "-purpose", "any", "-out", plist)
	out := run(t, "python3", "-c", "import plistlib, json, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))", plist)
	var profile struct {
		PayloadType, PayloadUUID, PayloadOrganization string
		PayloadContent                                []map[string]any
	}
	if err := json.Unmarshal(out, &profile); err != nil || len(profile.PayloadContent) != 1 || profile.PayloadType != "Configuration" || profile.PayloadOrganization != "Gestore Alfa S.p.A." {
		t.Fatalf("%v\n%s", err, out)
	}
	_, port := d.hostPort(t, "ALFA_IMAPS")
	for key, want := range map[string]string{
		"PayloadType": "com.apple.mail.managed", "EmailAccountType": "EmailTypeIMAP", "EmailAddress": "a&b@alfa.example",
		"IncomingMailServerUsername": "a&b@alfa.example", "IncomingMailServerPortNumber": port, "IncomingMailServerUseSSL": "true",
		"OutgoingMailServerHostName": "localhost", "IncomingPassword": "<nil>", "allowMailDrop": "false",
	} {
		if got := fmt.Sprint(profile.PayloadContent[0][key]); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// TestPageForPeople: the form on the page leads to a profile, and the table names
// what listens.
func TestPageForPeople(t *testing.T) {
	need(t, "curl", "xmllint")
	d := sharedDemo(t)
	status, page := d.https(t, "https://localhost/client")
	_, imaps := d.hostPort(t, "ALFA_IMAPS")
	action, field, port := xpath(t, page, "string(//*[local-name()='form']/@action)"), xpath(t, page, "string(//*[local-name()='input']/@name)"),
		xpath(t, page, "string(//*[local-name()='tbody']/*[1]/*[3])")
	if status != "200" || port != imaps {
		t.Errorf("%s, the port of IMAP is %s, want %s", status, port, imaps)
	}
	if status, doc := d.https(t, "https://localhost"+action+"?"+field+"=x%40alfa.example"); status != "200" {
		t.Errorf("the form leads to %s %s", status, doc)
	}
}

// TestDomainDNS: the records are lines that a resolver's tools would take, and
// lead to what listens.
func TestDomainDNS(t *testing.T) {
	d := sharedDemo(t)
	config := filepath.Join(d.dir, "alfa.toml")
	zone := string(run(t, pecd(t), "domain", "dns", "alfa.example", "--config", config))
	_, imaps := d.hostPort(t, "ALFA_IMAPS")
	for _, want := range []string{"$ORIGIN alfa.example.", "IN MX    10 mail.alfa.example.", "_imaps._tcp         IN SRV   0 1 " + imaps + " localhost.", "autoconfig          IN CNAME localhost."} {
		if !strings.Contains(zone, want) {
			t.Errorf("no %q in\n%s", want, zone)
		}
	}
	if strings.Contains(zone, "certificate") {
		t.Errorf("the demo's certificate is for all names:\n%s", zone)
	}
	var out struct {
		Domain    string
		Records   []struct{ Name, Type, Value string }
		Uncovered []string
	}
	text := run(t, pecd(t), "domain", "dns", "ALFA.example", "--json", "--config", config)
	if err := json.Unmarshal(text, &out); err != nil || out.Domain != "alfa.example" || len(out.Uncovered) != 0 || len(out.Records) != strings.Count(zone, " IN ") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, r := range out.Records {
		var priority, weight, port int
		var target string
		if r.Type != "SRV" || strings.HasSuffix(r.Value, " .") {
			continue
		}
		if _, err := fmt.Sscanf(r.Value, "%d %d %d %s", &priority, &weight, &port, &target); err != nil {
			t.Errorf("%+v: %v", r, err)
			continue
		}
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
		if err != nil {
			t.Errorf("%+v: %v", r, err)
			continue
		}
		c.Close()
	}
	if r := runWithin(t, minute, pecd(t), "domain", "dns", "beta.example", "--config", config); r.code != 1 || !bytes.Contains(r.stderr, []byte("no domain of this provider")) {
		t.Errorf("a domain of another provider: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
