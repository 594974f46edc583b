// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"errors"
	"fmt"
	"strings"

	"pecd/rfc822"
)

// Submission is a message at the access point with its SMTP envelope.
type Submission struct {
	ReversePath string   // MAIL FROM, without angle brackets
	Recipients  []string // RCPT TO, without angle brackets
	Message     *rfc822.Message
	Header      rfc822.Header // of the message
	MaxSize     int64         // octets of the message; 0: no limit
	MaxProduct  int64         // octets times recipients; 0: no limit
	// Strict also asks that every address of To and Cc is a recipient, and for
	// a Date. Without it only the reverse is asked: clients submit one message
	// in several batches, and a submission agent may be given one without Date.
	Strict bool
}

// Violation is a formal check that a message has not passed.
type Violation struct {
	Check   int    // 1 to 7, in the order of RFC 6109 §3.1.1 (pec-rules §4.1)
	Text    string // Italian, one line, to follow "a causa di"
	English string
}

// The checks of RFC 6109 §3.1.1 by number.
const (
	checkFormat     = iota + 1 // conforms to RFC 5322
	checkFrom                  // From with a valid address
	checkTo                    // To with at least one
	checkSender                // reverse path is the address in From
	checkRecipients            // forward paths are in To or Cc
	checkBcc                   // Bcc has no value
	checkSize                  // size, and size times recipients
)

const (
	maxLineOctets = 998 // RFC 5322 §2.1.1
	maxNamed      = 5   // addresses named in one violation
)

// CheckSubmission makes the formal checks of the access point (RFC 6109 §3.1.1,
// pec-rules §4.1) and returns what is violated, ordered by check; nil means that
// the message can be accepted.
func CheckSubmission(s Submission) []Violation {
	c := checker{Submission: s}
	if s.Message == nil {
		c.add(checkFormat, "messaggio non leggibile", "message not readable")
		return c.found
	}
	c.format()
	c.structure()
	c.fields()
	c.from()
	c.recipients()
	c.size()
	return c.found
}

type checker struct {
	Submission
	found []Violation
}

func (c *checker) add(check int, it, en string) {
	c.found = append(c.found, Violation{Check: check, Text: it, English: en})
}

// format looks at the octets: RFC 5322 §2.1, §2.1.1, §2.2.
func (c *checker) format() {
	m := c.Message
	if m.HasNUL {
		c.add(checkFormat, "presenza di caratteri NUL", "NUL characters present")
	}
	if m.BareCR || m.BareLF {
		c.add(checkFormat, "fine riga non conforme (CR o LF isolato)", "malformed line end (bare CR or LF)")
	}
	if m.LongestLine > maxLineOctets {
		c.add(checkFormat, "righe più lunghe di 998 caratteri", "lines longer than 998 characters")
	}
	for _, b := range c.Header.Raw() {
		if b >= 0x80 {
			c.add(checkFormat, "caratteri non ASCII non codificati nell'intestazione", "unencoded non-ASCII characters in the header")
			break
		}
	}
}

// structure looks at the header lines and the MIME tree. What an attached
// message looks like inside is its sender's matter, but what could not be
// looked into at all cannot be accepted.
func (c *checker) structure() {
	said := make(map[rfc822.DefectKind]bool)
	for _, d := range c.Message.Defects {
		if said[d.Kind] || d.Attached && !d.Kind.IsLimit() {
			continue
		}
		said[d.Kind] = true
		switch d.Kind {
		case rfc822.DefectHeaderLine:
			c.add(checkFormat, "righe di intestazione non conformi", "malformed header lines")
		case rfc822.DefectHeaderSize:
			c.add(checkFormat, "intestazione troppo grande", "header too large")
		case rfc822.DefectHeaderFields:
			c.add(checkFormat, "troppi campi di intestazione", "too many header fields")
		case rfc822.DefectDepth:
			c.add(checkFormat, "troppi livelli di annidamento MIME", "MIME parts nested too deep")
		case rfc822.DefectParts:
			c.add(checkFormat, "troppe parti MIME", "too many MIME parts")
		case rfc822.DefectNoBoundary, rfc822.DefectUnclosed, rfc822.DefectEmpty:
			c.add(checkFormat, "struttura MIME non corretta: "+brokenMIME(d.Kind, true), "broken MIME structure: "+brokenMIME(d.Kind, false))
		case rfc822.DefectContentType: // RFC 2045 §5.2 says how to take it
		}
	}
}

func brokenMIME(k rfc822.DefectKind, italian bool) string {
	it, en := "parte multipart non chiusa", "multipart not closed"
	switch k {
	case rfc822.DefectNoBoundary:
		it, en = "parte multipart senza delimitatore", "multipart without a boundary"
	case rfc822.DefectEmpty:
		it, en = "parte multipart vuota", "multipart without parts"
	default:
	}
	if italian {
		return it
	}
	return en
}

// fields looks for fields that RFC 5322 §3.6 and RFC 2045 §3 allow once, and
// for a value of Bcc.
func (c *checker) fields() {
	for _, name := range []string{
		"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "X-TipoRicevuta",
	} {
		if len(c.Header.Values(name)) > 1 {
			c.add(checkFormat, "campo "+name+" ripetuto", "field "+name+" repeated")
		}
	}
	if c.Strict && !c.Header.Has("Date") {
		c.add(checkFormat, "campo Date mancante", "field Date missing")
	}
}

func (c *checker) from() {
	values := c.Header.Values("From")
	if len(values) == 0 {
		c.add(checkFrom, "campo From mancante", "field From missing")
		return
	}
	from, err := rfc822.ParseMailbox(strings.Join(values, ", "))
	switch {
	case errors.Is(err, rfc822.ErrTooManyAddresses):
		c.add(checkFrom, "più di un indirizzo nel campo From", "more than one address in field From")
		return
	case err != nil || !rfc822.ValidAddress(from.Address):
		c.add(checkFrom, "nessun indirizzo valido nel campo From", "no valid address in field From")
		return
	}
	if rfc822.FoldCase(from.Address) != rfc822.FoldCase(c.ReversePath) {
		c.add(checkSender, "il mittente della trasmissione ("+nameOf(c.ReversePath)+") non coincide con il campo From ("+from.Address+")",
			"the sender of the transmission ("+nameOf(c.ReversePath)+") differs from field From ("+from.Address+")")
	}
}

// recipients makes the checks of To, of the forward paths and of Bcc.
func (c *checker) recipients() {
	to, errTo := c.addresses("To")
	cc, errCc := c.addresses("Cc")
	switch {
	case !c.Header.Has("To"):
		c.add(checkTo, "campo To mancante", "field To missing")
	case !anyValid(to):
		c.add(checkTo, "nessun indirizzo valido nel campo To", "no valid address in field To")
	}
	if errors.Is(errTo, rfc822.ErrTooManyAddresses) || errors.Is(errCc, rfc822.ErrTooManyAddresses) {
		c.add(checkTo, "troppi indirizzi nei campi To e Cc", "too many addresses in fields To and Cc")
	}

	named, routed := make(map[string]bool), make(map[string]bool)
	for _, a := range append(to, cc...) {
		named[rfc822.FoldCase(a.Address)] = true
	}
	var unnamed, unrouted []string
	for _, r := range c.Recipients {
		routed[rfc822.FoldCase(r)] = true
		if !named[rfc822.FoldCase(r)] {
			unnamed = append(unnamed, r)
		}
	}
	if len(c.Recipients) == 0 {
		c.add(checkRecipients, "nessun destinatario", "no recipient")
	}
	if len(unnamed) > 0 {
		c.add(checkRecipients, "destinatari non presenti nei campi To e Cc: "+listSome(unnamed, "e altri"),
			"recipients not in fields To and Cc: "+listSome(unnamed, "and more:"))
	}
	if c.Strict {
		for _, a := range append(to, cc...) {
			if key := rfc822.FoldCase(a.Address); !routed[key] {
				routed[key] = true // name it once
				unrouted = append(unrouted, a.Address)
			}
		}
		if len(unrouted) > 0 {
			c.add(checkRecipients, "indirizzi dei campi To e Cc che non sono destinatari: "+listSome(unrouted, "e altri"),
				"addresses of fields To and Cc that are no recipients: "+listSome(unrouted, "and more:"))
		}
	}
	for _, v := range c.Header.Values("Bcc") {
		if v != "" {
			c.add(checkBcc, "campo Bcc non vuoto", "field Bcc not empty")
			break
		}
	}
}

func (c *checker) addresses(field string) ([]rfc822.Address, error) {
	return rfc822.ParseAddressList(strings.Join(c.Header.Values(field), ", "))
}

func anyValid(list []rfc822.Address) bool {
	for _, a := range list {
		if rfc822.ValidAddress(a.Address) {
			return true
		}
	}
	return false
}

func (c *checker) size() {
	size, n := c.Message.Size, int64(len(c.Recipients))
	if c.MaxSize > 0 && size > c.MaxSize {
		c.add(checkSize, fmt.Sprintf("dimensione del messaggio (%d byte) superiore al limite di %d byte", size, c.MaxSize),
			fmt.Sprintf("size of the message (%d bytes) above the limit of %d bytes", size, c.MaxSize))
	}
	if c.MaxProduct > 0 && n > 0 && size > c.MaxProduct/n {
		c.add(checkSize, fmt.Sprintf("dimensione del messaggio per numero di destinatari (%d byte × %d) superiore al limite di %d byte", size, n, c.MaxProduct),
			fmt.Sprintf("size of the message times recipients (%d bytes × %d) above the limit of %d bytes", size, n, c.MaxProduct))
	}
}

// nameOf returns an address as it can be named in a notice.
func nameOf(address string) string {
	if address == "" {
		return "<>"
	}
	return cleanLine(address, maxAddress)
}

// listSome names the first few addresses.
func listSome(addresses []string, more string) string {
	var named []string
	for _, a := range addresses[:min(len(addresses), maxNamed)] {
		named = append(named, nameOf(a))
	}
	text := strings.Join(named, ", ")
	if rest := len(addresses) - maxNamed; rest > 0 {
		text += fmt.Sprintf(" %s %d", more, rest)
	}
	return text
}
