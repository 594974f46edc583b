// SPDX-License-Identifier: EUPL-1.2

package thunderbird

import (
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

const (
	flagInbox   = 0x1000
	flagSent    = 0x200
	validSigned = 0  // nsICMSMessageErrors.SUCCESS
	notSigned   = -1 // what the message pane starts from
	socketSSL   = 3  // nsMsgSocketType.SSL
)

// TestHolderNeedsNoManual: Thunderbird, configured by autoconfig alone, sends a
// certified message from alfa to beta and shows both receipts, validly signed.
func TestHolderNeedsNoManual(t *testing.T) {
	if !wanted() {
		t.Skip("make thunderbird runs it (PECD_THUNDERBIRD=1)")
	}
	d := startDemo(t)
	web := net.JoinHostPort("127.0.0.1", d.port(t, "ALFA_HTTPS"))
	internet := newNetwork(t, map[string]string{
		"autoconfig.alfa.example:443":   web,
		"autoconfig.comune.example:80":  d.env["ALFA_HTTP"],
		"autoconfig.comune.example:443": "127.0.0.1:1", // a body's domain: there is no certificate for its name
	})
	h := startThunderbird(t, newProfile(t, filepath.Join(d.dir, "ca.pem"), internet.address))
	from, to := d.env["ALFA_STANDARD"], d.env["BETA_STANDARD"]

	found := h.addAccount("Ufficio Protocollo", from, d.env["PASSWORD"])
	if !contains(found, "localhost", d.port(t, "ALFA_IMAPS"), d.port(t, "ALFA_SMTPS"), from, "IMAP") {
		t.Errorf("the wizard found: %s", found)
	}
	if names := internet.names(); !slices.Equal(names, []string{"autoconfig.alfa.example:443"}) {
		t.Errorf("the settings came from %v", names)
	}
	if got, want := h.account(), (account{
		Type: "imap", Host: "localhost", Port: number(t, d.port(t, "ALFA_IMAPS")), Socket: socketSSL, User: from,
		OutHost: "localhost", OutPort: number(t, d.port(t, "ALFA_SMTPS")), OutSocket: socketSSL, OutUser: from,
	}); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}

	const subject = "Richiesta di accesso agli atti, n. 42"
	h.send(to, subject, "Gentile ufficio,\nsi trasmette la richiesta di cui all'oggetto.\nCordiali saluti")
	h.show(flagInbox)
	for _, receipt := range []struct{ prefix, signer, says, picture string }{
		{"ACCETTAZIONE: ", "posta-certificata@alfa.example", "è stato accettato dal sistema", "3-accettazione"},
		{"CONSEGNA: ", "posta-certificata@beta.example", "è stato consegnato nella casella di destinazione", "4-consegna"},
	} {
		r := h.read(receipt.prefix+subject, func(r reading) bool { return r.Signature != notSigned && r.Signer != "" })
		if r.Signature != validSigned || r.Signer != receipt.signer || filepath.Base(r.Icon) != "message-signed-ok.svg" || !contains(r.Text, receipt.says, from) {
			t.Errorf("%s: %+v", receipt.prefix, r)
		}
		h.openPanel(true)
		h.picture(receipt.picture)
		h.openPanel(false)
	}

	// The same look at the sender's own copy finds no signature.
	h.show(flagSent)
	if r := h.read(subject, func(r reading) bool { return contains(r.Text, "Gentile ufficio") }); r.Signature != notSigned || r.Icon != "" {
		t.Errorf("the copy in the folder of sent mail: %+v", r)
	}

	// A body's domain, whose names the certificate does not have, is reached by
	// the redirection that is served in clear.
	d.pecd(t, "", "domain", "add", "comune.example")
	var body struct {
		Source, Host string
		Port         int
	}
	out := h.do("WebDriver:ExecuteAsyncScript", map[string]any{"args": []any{}, "scriptTimeout": 60000, "script": `
		const done = arguments[arguments.length - 1];
		const {FetchConfig} = ChromeUtils.importESModule("resource:///modules/accountcreation/FetchConfig.sys.mjs");
		FetchConfig.fromISP("comune.example", "protocollo@comune.example", new AbortController().signal).then(
			c => done({Source: c.subSource, Host: c.incoming.hostname, Port: c.incoming.port}), e => done({Source: String(e)}));`})
	if err := json.Unmarshal(out, &struct{ Value any }{&body}); err != nil {
		t.Fatal(err)
	}
	if body.Source != "xml-from-isp-http" || body.Host != "localhost" || strconv.Itoa(body.Port) != d.port(t, "ALFA_IMAPS") {
		t.Errorf("a body's domain: %+v", body)
	}
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
