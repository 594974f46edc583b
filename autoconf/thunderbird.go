// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"bytes"
	"encoding/xml"
)

// The autoconfig document, version 1.1 (draft-ietf-mailmaint-autoconfig).
type clientConfig struct {
	XMLName  xml.Name      `xml:"clientConfig"`
	Version  string        `xml:"version,attr"`
	Provider emailProvider `xml:"emailProvider"`
}

type emailProvider struct {
	ID        string       `xml:"id,attr"`
	Domain    string       `xml:"domain"`
	Name      string       `xml:"displayName"`
	ShortName string       `xml:"displayShortName"`
	Incoming  []mailServer `xml:"incomingServer"`
	Outgoing  []mailServer `xml:"outgoingServer"`
}

type mailServer struct {
	Type           string    `xml:"type,attr"`
	Host           string    `xml:"hostname"`
	Port           int       `xml:"port"`
	Socket         string    `xml:"socketType"` // SSL or STARTTLS
	Authentication string    `xml:"authentication"`
	User           string    `xml:"username"`
	POP3           *pop3Hint `xml:"pop3"`
}

// pop3Hint asks clients to leave messages where they are: who fetches and
// deletes has receipts in one program only.
type pop3Hint struct {
	Leave bool `xml:"leaveMessagesOnServer"`
}

// autoconfig returns the document for a domain, the same whoever asks: the
// client puts the address in place of the placeholder.
func (s Site) autoconfig(domain string) ([]byte, error) {
	server := func(kind string, a access) mailServer {
		m := mailServer{Type: kind, Host: a.Host, Port: a.Port, Socket: "STARTTLS", Authentication: "password-cleartext", User: "%EMAILADDRESS%"}
		if a.implicit {
			m.Socket = "SSL"
		}
		return m
	}
	p := emailProvider{ID: domain, Domain: domain, Name: s.Provider + " (posta certificata)", ShortName: "PEC"}
	for _, a := range s.imap() {
		p.Incoming = append(p.Incoming, server("imap", a))
	}
	for _, a := range s.pop3() {
		m := server("pop3", a)
		m.POP3 = &pop3Hint{Leave: true}
		p.Incoming = append(p.Incoming, m)
	}
	for _, a := range s.smtp() {
		p.Outgoing = append(p.Outgoing, server("smtp", a))
	}
	return encode(clientConfig{Version: "1.1", Provider: p})
}

// encode writes an XML document.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
