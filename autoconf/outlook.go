// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"encoding/xml"
	"io"
)

// The schemas of autodiscover ([MS-OXDSCLI] §2.2).
const (
	poxResponse = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	poxOutlook  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// The error codes of autodiscover ([MS-OXDSCLI] §2.2.4.1.1.2.1).
const (
	poxBadRequest = 600
	poxBadSchema  = 601 // a response schema that is not served: Exchange ActiveSync
)

// poxRequest is what Outlook posts.
type poxRequest struct {
	XMLName xml.Name `xml:"Autodiscover"`
	Address string   `xml:"Request>EMailAddress"`
	Schema  string   `xml:"Request>AcceptableResponseSchema"`
}

// readPOX reads a request. The reader is bounded by who calls.
func readPOX(r io.Reader) (q poxRequest, err error) {
	return q, xml.NewDecoder(r).Decode(&q)
}

// poxSettings is the answer with the servers.
type poxSettings struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response struct {
		XMLName xml.Name  `xml:"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a Response"`
		Name    string    `xml:"User>DisplayName"`
		Type    string    `xml:"Account>AccountType"`
		Action  string    `xml:"Account>Action"`
		Servers []poxHost `xml:"Account>Protocol"`
	}
}

type poxHost struct {
	Type           string `xml:"Type"`
	Host           string `xml:"Server"`
	Port           int    `xml:"Port"`
	DomainRequired string `xml:"DomainRequired"`
	Login          string `xml:"LoginName"`
	SPA            string `xml:"SPA"`
	SSL            string `xml:"SSL"`
	Encryption     string `xml:"Encryption"` // SSL from the first octet, TLS after STARTTLS
	AuthRequired   string `xml:"AuthRequired"`
	SameLogin      string `xml:"UsePOPAuth,omitempty"` // SMTP: by the login of the other server
	SMTPLast       string `xml:"SMTPLast,omitempty"`
}

// autodiscover returns the settings for an address, which is also the login.
func (s Site) autodiscover(address string) ([]byte, error) {
	var d poxSettings
	r := &d.Response
	r.Name, r.Type, r.Action = address, "email", "settings"
	add := func(kind string, all []access) {
		for _, a := range all {
			h := poxHost{
				Type: kind, Host: a.Host, Port: a.Port, Login: address,
				DomainRequired: "off", SPA: "off", SSL: "on", Encryption: "TLS", AuthRequired: "on",
			}
			if a.implicit {
				h.Encryption = "SSL"
			}
			if kind == "SMTP" {
				h.SameLogin, h.SMTPLast = "on", "off"
			}
			r.Servers = append(r.Servers, h)
		}
	}
	// One way to each service, the preferred one: nobody is asked to choose.
	add("IMAP", first(s.imap()))
	add("POP3", first(s.pop3()))
	add("SMTP", first(s.smtp()))
	return encode(d)
}

func first(all []access) []access { return all[:min(1, len(all))] }

// poxError is the answer to a request that cannot be served.
type poxError struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response struct {
		Error struct {
			Time    string `xml:"Time,attr"` // hh:mm:ss
			ID      int    `xml:"Id,attr"`
			Code    int    `xml:"ErrorCode"`
			Message string `xml:"Message"`
			Debug   string `xml:"DebugData"`
		}
	}
}

func refusePOX(code int, message, at string) ([]byte, error) {
	var d poxError
	e := &d.Response.Error
	e.Time, e.ID, e.Code, e.Message = at, code, code, message
	return encode(d)
}

// discovery is the answer of autodiscover.json: where the XML is.
type discovery struct {
	Protocol string
	URL      string `json:"Url"`
}

// discoveryError is the answer to a question that it does not serve.
type discoveryError struct {
	Code    string `json:"ErrorCode"`
	Message string `json:"ErrorMessage"`
}
