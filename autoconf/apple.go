// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
)

// profile returns the configuration profile (property list, not signed) that
// sets up a mailbox on iPhone, iPad and Mac: Apple's payload type
// com.apple.mail.managed. Without an address the device asks for it; it asks
// for the password in any case. ok is false where there is no IMAP or no SMTP.
func (s Site) profile(address string) (plist []byte, ok bool, err error) {
	in, out := first(s.imap()), first(s.smtp())
	if len(in) == 0 || len(out) == 0 {
		return nil, false, nil
	}
	id := s.HTTPS.Host + ".pec"
	title := "PEC " + s.Provider
	if address != "" {
		id += "." + address
		title = "PEC " + address
	}
	// The keys say UseSSL for both ways; which one follows from the port.
	account := dict{
		{"PayloadType", "com.apple.mail.managed"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", id + ".mail"},
		{"PayloadUUID", stableUUID(id + ".mail")},
		{"PayloadDisplayName", title},
		{"EmailAccountType", "EmailTypeIMAP"},
		{"EmailAccountDescription", title},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", in[0].Host},
		{"IncomingMailServerPortNumber", in[0].Port},
		{"IncomingMailServerUseSSL", true},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
		{"OutgoingMailServerHostName", out[0].Host},
		{"OutgoingMailServerPortNumber", out[0].Port},
		{"OutgoingMailServerUseSSL", true},
		{"OutgoingPasswordSameAsIncomingPassword", true},
		// A certified message carries its attachments, not links to them.
		{"allowMailDrop", false},
	}
	if address != "" {
		account = append(account, dict{
			{"EmailAddress", address}, {"IncomingMailServerUsername", address}, {"OutgoingMailServerUsername", address},
		}...)
	}
	plist, err = encodePlist(dict{
		{"PayloadType", "Configuration"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", id},
		{"PayloadUUID", stableUUID(id)},
		{"PayloadDisplayName", title},
		{"PayloadOrganization", s.Provider},
		{"PayloadDescription", "Configura la casella di posta elettronica certificata: server, porte e nome utente. La password si inserisce sul dispositivo. / " +
			"Sets up the certified mailbox; the password is typed on the device."},
		{"PayloadRemovalDisallowed", false},
		{"PayloadContent", []dict{account}},
	})
	return plist, true, err
}

// stableUUID makes a UUID of a name (RFC 9562 §5.8): a device that gets the
// profile again replaces what it has.
func stableUUID(name string) string {
	sum := sha256.Sum256([]byte("pecd profile " + name))
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	h := hex.EncodeToString(u)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// dict is a dictionary of a property list, in order. A value is a string, an
// int, a bool or a list of dictionaries.
type dict []struct {
	key   string
	value any
}

const plistHead = xml.Header +
	`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" + `<plist version="1.0">` + "\n"

func encodePlist(d dict) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(plistHead)
	if err := d.encode(&b); err != nil {
		return nil, err
	}
	b.WriteString("</plist>\n")
	return b.Bytes(), nil
}

func (d dict) encode(b *bytes.Buffer) error {
	b.WriteString("<dict>\n")
	for _, e := range d {
		if err := element(b, "key", e.key); err != nil {
			return err
		}
		if err := encodeValue(b, e.value); err != nil {
			return fmt.Errorf("%s: %w", e.key, err)
		}
	}
	b.WriteString("</dict>\n")
	return nil
}

func encodeValue(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case string:
		return element(b, "string", v)
	case int:
		return element(b, "integer", fmt.Sprint(v))
	case bool:
		fmt.Fprintf(b, "<%t/>\n", v)
		return nil
	case []dict:
		b.WriteString("<array>\n")
		for _, d := range v {
			if err := d.encode(b); err != nil {
				return err
			}
		}
		b.WriteString("</array>\n")
		return nil
	}
	return fmt.Errorf("no value of a property list: %T", v)
}

// element writes a text element; what XML cannot hold is replaced.
func element(b *bytes.Buffer, name, text string) error {
	b.WriteString("<" + name + ">")
	if err := xml.EscapeText(b, []byte(text)); err != nil {
		return err
	}
	b.WriteString("</" + name + ">\n")
	return nil
}
