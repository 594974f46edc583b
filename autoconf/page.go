// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageText string

// row is a line of the page's table.
type row struct {
	Italian, English, Host, Encryption string
	Port                               int
}

// page returns what a person sees who opens the page about mail clients: a form
// for the profile of Apple's devices, and the servers for whoever types them.
func (s Site) page() ([]byte, error) {
	tmpl, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	data := struct {
		Provider, Profile string
		Rows              []row
	}{Provider: s.Provider, Profile: pathProfile}
	for _, service := range []struct {
		italian, english string
		ways             []access
	}{
		{"ricezione, IMAP (consigliato)", "incoming, IMAP (recommended)", s.imap()},
		{"ricezione, POP3", "incoming, POP3", s.pop3()},
		{"invio, SMTP", "outgoing, SMTP", s.smtp()},
	} {
		for _, way := range service.ways {
			r := row{service.italian, service.english, way.Host, "STARTTLS", way.Port}
			if way.implicit {
				r.Encryption = "SSL/TLS"
			}
			data.Rows = append(data.Rows, r)
		}
	}
	var b bytes.Buffer
	err = tmpl.Execute(&b, data)
	return b.Bytes(), err
}
